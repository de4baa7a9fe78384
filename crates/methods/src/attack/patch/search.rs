//! A search for the place first and for the content second. Where a patch does most is badly told by a grey one
//! there, or by the gradient: a short descent tells it better. So many places get a few steps, and again and again the
//! better part of them gets more steps, in the way of successive halving (Jamieson and Talwalkar, AISTATS 2016); towards
//! the end the neighbours of the best places are looked at too.
//!
//! What is between two passes is done on the host, also on GPUs.

use super::{GREY_VALUE, patch_of};
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Patch, Place, Threat, Window};

pub(in crate::attack) const PATCH_SEARCH: Entry = Entry {
    name: "patch-search",
    about: "a few steps at many places, more steps at the better ones, again and again",
    threats: Threats::Patch,
    is_control: false,
    fields: &[PatchSearch::FIELDS],
    build: |parameters, threat| PatchSearch::new(patch_of(threat)).build(parameters),
};

documented! {
    /// `patch-search`: steps at many places, of which the better part is kept again and again.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PatchSearch {
        /// Size of the patch.
        pub patch: Patch,
        /// Where it is, in place of the search for places: row and column of its upper left pixel.
        pub place: Place,
        /// What the steps climb and places are compared by.
        pub loss: Loss,
        /// Pixels between two places that are tried with a grey patch, at least 1.
        pub stride: usize,
        /// How many of these places are tried at most, those with the largest gradients first; at least 1.
        pub scan: usize,
        /// How many places get the first two steps, at least 1: half of them by what the grey patch did there, half by
        /// the gradient.
        pub places: usize,
    }
}

impl PatchSearch {
    /// 96 places by the margin, after a grey patch at every second one.
    pub fn new(patch: Patch) -> Self {
        let (place, loss) = (Place::Any, Loss::Margin);
        Self { patch, place, loss, stride: patch.usual_stride(), scan: 256, places: 96 }
    }
}

impl HyperParameters for PatchSearch {
    fn entry(&self) -> &'static Entry {
        &PATCH_SEARCH
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.place = parameters.take("place", self.place)?;
        self.loss = parameters.take("loss", self.loss)?;
        self.stride = parameters.count("stride", self.stride)?;
        self.scan = parameters.count("scan", self.scan)?;
        self.places = parameters.count("places", self.places)?;
        Ok(Box::new(self))
    }
}

/// A round: so many of the best places go on, from the best content so far, with steps of these lengths.
struct Round {
    /// Of 96 places.
    places: usize,
    /// The neighbours of these places compete with them.
    shifts: bool,
    steps: usize,
    /// Lengths of the first and the last step; those between them fall geometrically.
    lengths: [f32; 2],
}

const ROUNDS: [Round; 4] = [
    Round { places: 96, shifts: false, steps: 2, lengths: [0.5, 0.25] },
    Round { places: 24, shifts: false, steps: 3, lengths: [0.25, 0.12] },
    Round { places: 6, shifts: true, steps: 16, lengths: [0.25, 0.02] },
    Round { places: 3, shifts: true, steps: 40, lengths: [0.25, 0.01] },
];

impl Round {
    /// Length of step number `step`.
    fn length(&self, step: usize) -> f32 {
        let [first, last] = self.lengths;
        let share = step as f32 / (self.steps - 1).max(1) as f32;
        first * libm::powf(last / first, share)
    }
}

/// A place with the best content that was found for it.
#[derive(Clone)]
struct Candidate {
    window: Window,
    /// Empty for grey, of which there are many.
    content: Vec<f32>,
    /// The loss of that content: larger is nearer to success.
    loss: f32,
}

/// What is known of an image.
#[derive(Clone)]
struct Image {
    /// All places, by what the gradient promises.
    promising: Vec<Window>,
    candidates: Vec<Candidate>,
    /// The candidate that is being looked at, and its content of this moment.
    current: Option<(usize, Vec<f32>)>,
}

impl Attack for PatchSearch {
    fn losses(&self) -> Vec<Loss> {
        vec![self.loss]
    }

    fn most_passes(&self, shape: [usize; 3], _: usize) -> Option<f64> {
        let scanned = self.place.grid(self.patch, shape, self.stride).len().min(self.scan);
        let round = |round: &Round| {
            let neighbours = if self.shifts(round) { 8 } else { 0 };
            self.most(round) as f64 * (2 * round.steps + 1 + neighbours) as f64
        };
        Some(2.0 + scanned as f64 + ROUNDS.iter().map(round).sum::<f64>())
    }

    fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        if self.patch.count > 1 {
            let remedy = "roa, patch-rs and patch-pgd know several";
            return Err(Error::setting("patch-search", "looks for the place of one patch", remedy));
        }
        self.place.check(self.patch, shape)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut images = self.scan(search)?;
        for round in &ROUNDS {
            if search.is_empty() {
                return Ok(());
            }
            let most = self.most(round);
            self.keep_best(&mut images, most);
            if self.shifts(round) {
                self.add_neighbours(search, &mut images)?;
                self.keep_best(&mut images, most);
            }
            for number in 0..most {
                self.descend(search, &mut images, number, round)?;
            }
        }
        Ok(())
    }
}

impl PatchSearch {
    /// How many places a round looks at.
    fn most(&self, round: &Round) -> usize {
        match self.place {
            Place::Any => round.places.saturating_mul(self.places).div_ceil(ROUNDS[0].places),
            Place::At(_) => 1,
        }
    }

    fn shifts(&self, round: &Round) -> bool {
        round.shifts && self.place == Place::Any
    }

    /// Tries a grey patch at the places of a grid, the promising ones first, and chooses the places to begin with.
    fn scan(&self, search: &mut Search<'_>) -> Result<Vec<Image>> {
        let shape = search.shape();
        let clean = search.clean().clone();
        let at = search.gradient(&clean, self.loss)?;
        let (pixels, gradients, width) = (clean.values()?, at.gradient.values()?, clean.width());
        let rows = pixels.chunks_exact(width).zip(gradients.chunks_exact(width));
        let image = |(x, g): (&[f32], &[f32])| Image {
            promising: self.promising(x, g, shape),
            candidates: Vec::new(),
            current: None,
        };
        let mut images: Vec<Image> = rows.map(image).collect();
        let grid = self.place.grid(self.patch, shape, self.stride);
        let mut tried = vec![false; self.patch.places(shape)];
        let number = |window: &Window| self.patch.number(*window, shape);
        grid.iter().for_each(|window| tried[number(window)] = true);
        for image in &mut images {
            let on_grid = image.promising.iter().filter(|window| tried[number(window)]);
            image.candidates = on_grid.take(self.scan).map(|w| Self::grey(*w)).collect();
        }
        for scanned in 0..grid.len().min(self.scan) {
            let look = |image: &mut Image| {
                image.current = Some((scanned, self.content(&image.candidates[scanned], shape)));
            };
            images.iter_mut().for_each(look);
            self.judge(search, &mut images, None)?;
            if search.is_empty() {
                return Ok(images);
            }
        }
        for image in &mut images {
            let order = best_first(&image.candidates);
            let (half, mut chosen) = (self.places.div_ceil(2), Vec::new());
            chosen.extend(order.iter().take(half).map(|at| image.candidates[*at].clone()));
            let taken: Vec<usize> = chosen.iter().map(|one| number(&one.window)).collect();
            let others = image.promising.iter().filter(|window| !taken.contains(&number(window)));
            let left = match self.place {
                Place::Any => self.places - chosen.len().min(self.places),
                Place::At(_) => 0,
            };
            chosen.extend(others.take(left).map(|window| Self::grey(*window)));
            image.candidates = chosen;
            image.promising = Vec::new();
        }
        Ok(images)
    }

    /// All places by the largest change of the loss that the gradient `g` promises for any content there: the sum
    /// over the patch of max(g (1 - x), -g x).
    fn promising(&self, x: &[f32], g: &[f32], shape: [usize; 3]) -> Vec<Window> {
        let [channels, height, width] = shape;
        // Sums over everything above and to the left, so that a place costs four numbers whatever the patch's size.
        let mut sums = vec![0.0_f64; (height + 1) * (width + 1)];
        for row in 0..height {
            for column in 0..width {
                let at = |channel: usize| (channel * height + row) * width + column;
                let own: f64 = (0..channels).map(at).map(|i| promise(x[i], g[i])).sum();
                let sum = |row: usize, column: usize| sums[row * (width + 1) + column];
                sums[(row + 1) * (width + 1) + column + 1] =
                    own + sum(row, column + 1) + sum(row + 1, column) - sum(row, column);
            }
        }
        let gain = |window: &Window| {
            if !self.patch.is_rectangle() {
                let own = self.patch.elements(*window, shape);
                return own.map(|(i, _)| promise(x[i], g[i])).sum();
            }
            let sum = |row: usize, column: usize| sums[row * (width + 1) + column];
            let (bottom, right) = (window.top + self.patch.height, window.left + self.patch.width);
            sum(bottom, right) - sum(window.top, right) - sum(bottom, window.left)
                + sum(window.top, window.left)
        };
        let places = (0..self.patch.places(shape)).map(|place| self.patch.place(place, shape));
        let mut gains: Vec<(f64, Window)> = places.map(|window| (gain(&window), window)).collect();
        // Of equal ones the first.
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        gains.into_iter().map(|(_, window)| window).collect()
    }

    fn content(&self, candidate: &Candidate, [channels, ..]: [usize; 3]) -> Vec<f32> {
        match candidate.content.is_empty() {
            true => vec![GREY_VALUE; channels * self.patch.height * self.patch.width],
            false => candidate.content.clone(),
        }
    }

    fn grey(window: Window) -> Candidate {
        Candidate { window, content: Vec::new(), loss: f32::NEG_INFINITY }
    }

    /// The best candidates of each image, best first.
    fn keep_best(&self, images: &mut [Image], most: usize) {
        for image in images {
            let order = best_first(&image.candidates);
            let kept = order.into_iter().take(most).map(|at| image.candidates[at].clone());
            image.candidates = kept.collect();
        }
    }

    /// Looks at the contents of the candidates one pixel further in every direction, where no candidate is yet.
    fn add_neighbours(&self, search: &mut Search<'_>, images: &mut Vec<Image>) -> Result<()> {
        let shape @ [_, height, width] = search.shape();
        for image in images.iter_mut() {
            for at in 0..image.candidates.len() {
                let Candidate { window: Window { top, left }, content, .. } =
                    image.candidates[at].clone();
                let (bottom, right) = (height - self.patch.height, width - self.patch.width);
                for top in top.saturating_sub(1)..=(top + 1).min(bottom) {
                    for left in left.saturating_sub(1)..=(left + 1).min(right) {
                        let window = Window { top, left };
                        if image.candidates.iter().all(|one| one.window != window) {
                            let (content, loss) = (content.clone(), f32::NEG_INFINITY);
                            image.candidates.push(Candidate { window, content, loss });
                        }
                    }
                }
            }
        }
        let most = images.iter().map(|image| image.candidates.len()).max().unwrap_or(0);
        for number in 0..most {
            for image in images.iter_mut() {
                let new = image.candidates.get(number).filter(|one| one.loss == f32::NEG_INFINITY);
                image.current = new.map(|one| (number, self.content(one, shape)));
            }
            self.judge(search, images, None)?;
        }
        Ok(())
    }

    /// Steps with candidate number `number` of every image that has so many.
    fn descend(
        &self,
        search: &mut Search<'_>,
        images: &mut Vec<Image>,
        number: usize,
        round: &Round,
    ) -> Result<()> {
        let shape = search.shape();
        for image in images.iter_mut() {
            let candidate = image.candidates.get(number);
            image.current = candidate.map(|one| (number, self.content(one, shape)));
        }
        for step in 0..round.steps {
            self.judge(search, images, Some(round.length(step)))?;
        }
        self.judge(search, images, None)
    }

    /// Judges the current contents and keeps those that are the best of their places; with a `step`, they go on along
    /// the signs of the gradient.
    fn judge(
        &self,
        search: &mut Search<'_>,
        images: &mut Vec<Image>,
        step: Option<f32>,
    ) -> Result<()> {
        let of: Vec<usize> =
            (0..images.len()).filter(|row| images[*row].current.is_some()).collect();
        if of.is_empty() {
            return Ok(());
        }
        let x = self.paste(search, images, &of)?;
        let shape = search.shape();
        let (logits, gradient) = match step {
            Some(_) => {
                let at = search.gradient_of(&of, &x, self.loss)?;
                (at.logits, Some(at.gradient))
            }
            None => (search.logits_of(&of, &x)?, None),
        };
        let (z, classes) = (logits.values()?, logits.width());
        let gradients = gradient.as_ref().map(Rows::values).transpose()?;
        let mut scratch = vec![0.0; classes];
        for (i, row) in of.iter().enumerate() {
            let label = search.labels()[*row] as usize;
            let target = search.targets().map(|targets| targets[*row] as usize);
            let z = &z[i * classes..][..classes];
            let loss = self.loss.of(z, label, target, &mut scratch);
            let Image { candidates, current: Some((number, content)), .. } = &mut images[*row]
            else {
                continue;
            };
            let candidate = &mut candidates[*number];
            if loss > candidate.loss {
                candidate.loss = loss;
                let is_grey = content.iter().all(|value| *value == GREY_VALUE);
                candidate.content = if is_grey { Vec::new() } else { content.clone() };
            }
            if let (Some(gradients), Some(length)) = (&gradients, step) {
                let g = &gradients[i * x.width()..][..x.width()];
                for (i, inside) in self.patch.elements(candidate.window, shape) {
                    let value = &mut content[inside];
                    // A gradient that is no number tells nothing.
                    let direction = match g[i] {
                        g if g > 0.0 => 1.0,
                        g if g < 0.0 => -1.0,
                        _ => 0.0,
                    };
                    *value = (*value + length * direction).clamp(0.0, 1.0);
                }
            }
        }
        search.propose_for(&of, &x, &logits, images)
    }

    /// The clean images of these rows with their current contents.
    fn paste(&self, search: &Search<'_>, images: &[Image], of: &[usize]) -> Result<Rows> {
        let shape = search.shape();
        let clean = search.clean().select(of)?;
        rows::map(Kernel::NONE, [&clean], |i, [clean], x| {
            x.copy_from_slice(clean);
            if let Image { candidates, current: Some((number, content)), .. } = &images[of[i]] {
                let elements = self.patch.elements(candidates[*number].window, shape);
                elements.for_each(|(at, inside)| x[at] = content[inside]);
            }
        })
    }
}

/// By how much the loss grows at most, by its gradient `g`, if the value `x` becomes another one of the box.
fn promise(x: f32, g: f32) -> f64 {
    let (x, g) = (f64::from(x), f64::from(g));
    // A gradient that is no number would be in all sums that follow.
    if g.is_finite() { (g * (1.0 - x)).max(-g * x) } else { 0.0 }
}

/// Numbers of the candidates, best first, of equal ones the first.
fn best_first(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| candidates[*b].loss.total_cmp(&candidates[*a].loss));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums over the patch, compared with additions one by one.
    #[test]
    fn the_places_are_in_the_order_of_what_the_gradient_promises() {
        let (shape, patch) = ([2, 4, 5], Patch::rectangle(2, 3));
        let x: Vec<f32> = (0..40).map(|i| (i * 7 % 11) as f32 / 10.0).collect();
        let g: Vec<f32> = (0..40).map(|i| (i * 5 % 13) as f32 / 6.0 - 1.0).collect();
        let windows = PatchSearch::new(patch).promising(&x, &g, shape);
        assert_eq!(windows.len(), 9);
        let gain = |window: &Window| -> f64 {
            let gain = |i: usize| f64::from((g[i] * (1.0 - x[i])).max(-g[i] * x[i]));
            patch.elements(*window, shape).map(|(i, _)| gain(i)).sum()
        };
        assert!(windows.windows(2).all(|pair| gain(&pair[0]) >= gain(&pair[1]) - 1e-6));
        assert!(gain(&windows[0]) > gain(&windows[8]));
    }

    #[test]
    fn steps_fall_geometrically() {
        let lengths: Vec<f32> = (0..3).map(|step| ROUNDS[1].length(step)).collect();
        assert!((lengths[0], lengths[2]) == (0.25, 0.12) && (lengths[1] - 0.1732).abs() < 1e-4);
        let round = Round { steps: 1, ..ROUNDS[0] };
        assert_eq!(round.length(0), 0.5);
    }
}
