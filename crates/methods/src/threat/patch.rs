//! The patch threat model: any content in one window, anywhere in the image, or in a few. A mask is a constraint like
//! a norm is: an attack that stays inside a window is a patch attack. The window is a rectangle; a patch of
//! another form may change only some pixels of it.

use super::Mask;
use super::l0::differs;

/// What a patch is: a window, and the pixels of it that the attacker may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Rows of the window.
    pub height: usize,
    /// Columns of the window.
    pub width: usize,
    /// Which of its pixels are the patch.
    pub form: Form,
    /// How many there may be, each at a place of its own, which may overlap; at least 1.
    pub count: usize,
}

/// Most patches of one threat model: whether a change fits under several is found by trying places of all but one.
pub(super) const MOST: usize = 4;

/// The pixels of a window that belong to the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// All of them.
    Rectangle,
    /// Those whose centres are no farther from the centre of the (square) window than half of its side, as the
    /// circular patches of Brown et al. (2017) that are stuck to things.
    Disc,
    /// Those of a mask of the window's size.
    Mask(Mask),
}

/// A place for the patch: the upper left pixel of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
}

impl std::fmt::Display for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.count != 1 {
            write!(f, "{}x", self.count)?;
        }
        match self.form {
            Form::Rectangle => write!(f, "{}x{}", self.height, self.width),
            Form::Disc => write!(f, "circle:{}", self.height),
            Form::Mask(mask) => write!(f, "{mask}"),
        }
    }
}

impl Patch {
    /// All pixels of a window of so many rows and columns.
    pub const fn rectangle(height: usize, width: usize) -> Self {
        Self { height, width, form: Form::Rectangle, count: 1 }
    }

    /// A disc of this diameter in pixels: a pixel belongs to it if its centre does.
    pub const fn circle(diameter: usize) -> Self {
        Self { height: diameter, width: diameter, form: Form::Disc, count: 1 }
    }

    /// The pixels of a mask.
    pub fn mask(mask: Mask) -> Self {
        let [height, width] = mask.size();
        Self { height, width, form: Form::Mask(mask), count: 1 }
    }

    /// The same patch, `count` times in one image.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// Whether it is one, and all pixels of its window belong to it: kernels and certificates know no other patches.
    pub fn is_rectangle(self) -> bool {
        self.form == Form::Rectangle && self.count == 1
    }

    /// Whether the pixel of the window in this row and column belongs to it.
    pub fn has(self, row: usize, column: usize) -> bool {
        match self.form {
            Form::Rectangle => row < self.height && column < self.width,
            Form::Disc => {
                // In half pixels, so that the centre of the window is a whole number.
                let from_centre = |at: usize| (2 * at + 1).abs_diff(self.height);
                from_centre(row).pow(2) + from_centre(column).pow(2) <= self.height.pow(2)
            }
            Form::Mask(mask) => mask.has(row, column),
        }
    }

    /// Number of pixels of one.
    pub fn area(self) -> usize {
        let pixels = (0..self.height).flat_map(|row| (0..self.width).map(move |at| (row, at)));
        pixels.filter(|(row, column)| self.has(*row, *column)).count()
    }

    /// Number of places in an image of this size; 0 if the patch is larger than the image.
    pub fn places(self, [_, h, w]: [usize; 3]) -> usize {
        (h + 1).saturating_sub(self.height) * (w + 1).saturating_sub(self.width)
    }

    /// Place number `index` of [`Patch::places`], row by row.
    pub fn place(self, index: usize, [_, _, w]: [usize; 3]) -> Window {
        let columns = w + 1 - self.width;
        Window { top: index / columns, left: index % columns }
    }

    /// The number of a place: the inverse of [`Patch::place`].
    pub fn number(self, at: Window, [_, _, w]: [usize; 3]) -> usize {
        at.top * (w + 1).saturating_sub(self.width) + at.left
    }

    /// The stride of a [grid](Self::grid) of every second place, or, for a patch one pixel high or wide, of every one:
    /// the largest up to 2 with which the windows reach every pixel of an image.
    pub fn usual_stride(self) -> usize {
        self.height.min(self.width).clamp(1, 2)
    }

    /// Every `stride`-th place in both directions, and the last ones.
    pub fn grid(self, [_, h, w]: [usize; 3], stride: usize) -> Vec<Window> {
        let along = |size: usize, patch: usize| {
            let last = size.saturating_sub(patch);
            let mut starts: Vec<usize> = (0..=last).step_by(stride.max(1)).collect();
            if !last.is_multiple_of(stride.max(1)) {
                starts.push(last);
            }
            starts
        };
        let columns = along(w, self.width);
        along(h, self.height)
            .into_iter()
            .flat_map(|top| columns.iter().map(move |left| Window { top, left: *left }))
            .collect()
    }

    /// Indices into a `[C, H, W]` image that a patch covers at `at`, channel by channel, each with the index of the
    /// same value in a content `[C, height, width]` of the window.
    pub fn elements(
        self,
        at: Window,
        [c, h, w]: [usize; 3],
    ) -> impl Iterator<Item = (usize, usize)> {
        let Self { height, width, .. } = self;
        (0..c).flat_map(move |channel| {
            (0..height).flat_map(move |row| {
                let of_image = (channel * h + at.top + row) * w + at.left;
                let inside = (channel * height + row) * width;
                let own = (0..width).filter(move |column| self.has(row, *column));
                own.map(move |column| (of_image + column, inside + column))
            })
        })
    }

    /// Whether all pixels in which `x` and `x0` (`[C, H, W]`) differ fit under so many patches.
    pub(super) fn covers_change(self, x: &[f32], x0: &[f32], [c, h, w]: [usize; 3]) -> bool {
        let changed: Vec<[usize; 2]> =
            changed_pixels(x, x0, c).map(|pixel| [pixel / w, pixel % w]).collect();
        self.covers(&changed, [h, w])
    }

    /// Whether these pixels, row by row, of an image of this size fit under so many patches.
    fn covers(self, pixels: &[[usize; 2]], image: [usize; 2]) -> bool {
        let Some(first) = pixels.first() else { return true };
        if self.count <= 1 {
            return self.one_covers(pixels, image);
        }
        let rest = Self { count: self.count - 1, ..self };
        // One of them has to cover the first pixel. No other is above that, so that a rectangle may be moved down until
        // its first row is there, or its last one is the image's.
        let lowest = first[0].min(image[0].saturating_sub(self.height));
        let highest = match self.form {
            Form::Rectangle => lowest,
            _ => (first[0] + 1).saturating_sub(self.height),
        };
        let leftmost = (first[1] + 1).saturating_sub(self.width);
        let rightmost = first[1].min(image[1].saturating_sub(self.width));
        (highest..=lowest).any(|top| {
            (leftmost..=rightmost).any(|left| {
                let at = Window { top, left };
                let left_over = |pixel: &&[usize; 2]| !self.covers_pixel(at, **pixel);
                self.covers_pixel(at, *first) && {
                    let others: Vec<[usize; 2]> =
                        pixels.iter().filter(left_over).copied().collect();
                    rest.covers(&others, image)
                }
            })
        })
    }

    /// Whether a patch at this place covers the pixel in this row and column.
    fn covers_pixel(self, at: Window, [row, column]: [usize; 2]) -> bool {
        let inside = |at: usize, from: usize| at.checked_sub(from);
        let place = inside(row, at.top).zip(inside(column, at.left));
        place.is_some_and(|(row, column)| {
            row < self.height && column < self.width && self.has(row, column)
        })
    }

    /// Whether these pixels, some, fit under one patch.
    fn one_covers(self, pixels: &[[usize; 2]], image: [usize; 2]) -> bool {
        let along = |axis: usize| {
            let all = pixels.iter().map(|pixel| pixel[axis]);
            [all.clone().min().unwrap_or(0), all.max().unwrap_or(0)]
        };
        let ([top, bottom], [left, right]) = (along(0), along(1));
        if bottom - top >= self.height || right - left >= self.width {
            return false;
        }
        // The places of the window, inside the image, that hold the smallest rectangle around the pixels.
        let starts = |first: usize, last: usize, size: usize, side: usize| {
            (last + 1).saturating_sub(size)..=first.min(side.saturating_sub(size))
        };
        self.form == Form::Rectangle
            || starts(top, bottom, self.height, image[0]).any(|top| {
                starts(left, right, self.width, image[1]).any(|left| {
                    pixels.iter().all(|pixel| self.covers_pixel(Window { top, left }, *pixel))
                })
            })
    }

    /// Whether a rectangle of this size lies inside the patch, wherever in its window.
    pub fn holds_rectangle(self, height: usize, width: usize) -> bool {
        let starts = |size: usize, side: usize| 0..(side + 1).saturating_sub(size);
        starts(height, self.height).any(|top| {
            starts(width, self.width).any(|left| {
                (top..top + height)
                    .all(|row| (left..left + width).all(|column| self.has(row, column)))
            })
        })
    }
}

/// Pixels (row * W + column) in which two `[C, H, W]` images differ in some channel.
pub(super) fn changed_pixels<'a>(
    x: &'a [f32],
    x0: &'a [f32],
    channels: usize,
) -> impl Iterator<Item = usize> + 'a {
    let pixels = x.len() / channels.max(1);
    (0..pixels).filter(move |pixel| {
        (0..channels).any(|c| differs(x[c * pixels + pixel], x0[c * pixels + pixel]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// The pixels of a patch as text, a row after the other.
    fn drawn(patch: Patch) -> Vec<String> {
        let dot = |row, column| if patch.has(row, column) { '#' } else { '.' };
        (0..patch.height).map(|row| (0..patch.width).map(|at| dot(row, at)).collect()).collect()
    }

    #[test]
    fn discs_of_small_diameters() {
        assert_eq!(drawn(Patch::circle(1)), ["#"]);
        assert_eq!(drawn(Patch::circle(3)), ["###"; 3]);
        assert_eq!(drawn(Patch::circle(4)), [".##.", "####", "####", ".##."]);
        assert_eq!(drawn(Patch::circle(5)), [".###.", "#####", "#####", "#####", ".###."]);
        // The share of a square tends to pi / 4.
        let share = Patch::circle(400).area() as f64 / 160_000.0;
        assert!((share - std::f64::consts::FRAC_PI_4).abs() < 1e-3, "{share}");
    }

    /// Every image that pasting can make is allowed, and with one pixel more none is, but where that pixel makes
    /// another place of the patch fit.
    #[test]
    fn a_change_is_covered_exactly_where_some_place_covers_it() {
        let (shape, corner) =
            ([2, 6, 7], Mask::new([2, 3], vec![true, false, true, false, true, true]));
        let x0 = vec![0.5_f32; 84];
        for patch in [Patch::circle(4), Patch::circle(5), Patch::mask(corner.unwrap())] {
            let places: Vec<Window> =
                (0..patch.places(shape)).map(|index| patch.place(index, shape)).collect();
            for at in &places {
                assert_eq!(patch.place(patch.number(*at, shape), shape), *at);
                let mut x = x0.clone();
                patch.elements(*at, shape).for_each(|(i, _)| x[i] = 1.0);
                assert!(patch.covers_change(&x, &x0, shape), "{patch} {at:?}");
                for more in 0..42 {
                    let mut x = x.clone();
                    x[more] = 0.0;
                    let changed: Vec<usize> = changed_pixels(&x, &x0, 2).collect();
                    let fits = places.iter().any(|place| {
                        let own: Vec<usize> =
                            patch.elements(*place, shape).map(|(i, _)| i % 42).collect();
                        changed.iter().all(|pixel| own.contains(pixel))
                    });
                    assert_eq!(patch.covers_change(&x, &x0, shape), fits, "{patch} {at:?} {more}");
                }
            }
        }
    }

    /// Several patches cover exactly what they cover at some of all their places.
    #[test]
    fn several_patches_cover_a_change_where_some_places_do() {
        let (image, shape) = ([5, 5], [1, 5, 5]);
        let mask = Mask::new([2, 2], vec![true, false, true, true]).unwrap();
        for one in [Patch::rectangle(2, 2), Patch::circle(4), Patch::mask(mask)] {
            let of = |index: usize| -> Vec<usize> {
                one.elements(one.place(index, shape), shape).map(|(i, _)| i).collect()
            };
            let places: Vec<Vec<usize>> = (0..one.places(shape)).map(of).collect();
            let (mut inside, draws) = (0, 400);
            for draw in 0..draws {
                let draw = Stream::new(5, "several").draw(draw, 0);
                let mut pixels: Vec<usize> =
                    (0..4 + draw.below(0, 4) as u32).map(|i| draw.below(1 + i, 25)).collect();
                pixels.sort_unstable();
                pixels.dedup();
                let fits = places.iter().any(|a| {
                    places.iter().any(|b| pixels.iter().all(|p| a.contains(p) || b.contains(p)))
                });
                let pixels: Vec<[usize; 2]> = pixels.iter().map(|p| [p / 5, p % 5]).collect();
                assert_eq!(one.times(2).covers(&pixels, image), fits, "{one} {pixels:?}");
                // A third one makes no change smaller.
                assert!(!fits || one.times(3).covers(&pixels, image));
                inside += usize::from(fits);
            }
            assert!((10..draws as usize).contains(&inside), "{one}: {inside}");
        }
        assert_eq!(Patch::rectangle(2, 3).times(2).to_string(), "2x2x3");
    }

    #[test]
    fn rectangles_inside_a_disc() {
        let disc = Patch::circle(5);
        for (height, width, inside) in
            [(1, 1, true), (3, 5, true), (5, 3, true), (4, 4, false), (5, 5, false), (6, 1, false)]
        {
            assert_eq!(disc.holds_rectangle(height, width), inside, "{height}x{width}");
        }
        assert!(Patch::rectangle(2, 3).holds_rectangle(2, 3));
        assert!(!Patch::rectangle(2, 3).holds_rectangle(3, 2));
    }
}
