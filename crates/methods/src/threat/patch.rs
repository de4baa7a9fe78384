//! The patch threat model: any content in one rectangle, anywhere in the image. A mask is a
//! constraint like a norm is: an attack that stays inside a window is a patch attack.

use super::l0::differs;

/// Size of the rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A place for the patch: its upper left pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
}

impl std::fmt::Display for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

impl Patch {
    /// Number of places in an image of this size; 0 if the patch is larger than the image.
    pub fn places(self, [_, h, w]: [usize; 3]) -> usize {
        (h + 1).saturating_sub(self.height) * (w + 1).saturating_sub(self.width)
    }

    /// Place number `index` of [`Patch::places`], row by row.
    pub fn place(self, index: usize, [_, _, w]: [usize; 3]) -> Window {
        let columns = w + 1 - self.width;
        Window { top: index / columns, left: index % columns }
    }

    /// The stride of a [grid](Self::grid) of every second place, or, for a patch one pixel high or wide, of every one:
    /// the largest up to 2 with which every pixel of an image is reached.
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

    /// Indices into a `[C, H, W]` image that the patch covers at `at`, channel by channel.
    pub fn elements(self, at: Window, [c, h, w]: [usize; 3]) -> impl Iterator<Item = usize> {
        (0..c).flat_map(move |channel| {
            (at.top..at.top + self.height).flat_map(move |row| {
                let start = (channel * h + row) * w + at.left;
                start..start + self.width
            })
        })
    }

    /// Whether all pixels in which `x` and `x0` (`[C, H, W]`) differ fit under one patch.
    pub(super) fn covers_change(self, x: &[f32], x0: &[f32], [c, _, w]: [usize; 3]) -> bool {
        let mut bounds: Option<[usize; 4]> = None;
        for pixel in changed_pixels(x, x0, c) {
            let (row, column) = (pixel / w, pixel % w);
            let [top, bottom, left, right] = bounds.unwrap_or([row, row, column, column]);
            bounds = Some([top.min(row), bottom.max(row), left.min(column), right.max(column)]);
        }
        bounds.is_none_or(|[top, bottom, left, right]| {
            bottom - top < self.height && right - left < self.width
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
