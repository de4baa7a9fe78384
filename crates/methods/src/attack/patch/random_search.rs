//! Patch-RS, the black-box patch attack of Sparse-RS (Croce et al., AAAI 2022, section 5): random
//! squares of the patch are set to corners of the colour cube, its place is shifted now and then, and
//! a change stays when the loss improves. Of a patch that is no rectangle, the squares are painted on its window, and
//! what of them lies outside of the patch changes nothing; of several patches, one is changed at a time.

use super::pgd::random_windows;
use super::{of_rectangles, paste, patch_of};
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::{Patch, Threat};

pub(in crate::attack) const PATCH_RS: Entry = Entry {
    name: "patch-rs",
    about: "black-box random search over content and place (Croce et al. 2022)",
    threats: Threats::Patch,
    is_control: false,
    fields: &[PatchRs::FIELDS],
    build: |parameters, threat| PatchRs::new(patch_of(threat)).build(parameters),
};

documented! {
    /// `patch-rs`: the patch attack of Sparse-RS (Croce et al., AAAI 2022, section 5), random search without gradients.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PatchRs {
        /// Size of the patch.
        pub patch: Patch,
        /// Candidates, at least 1.
        pub queries: usize,
        /// Share of the patch that the first squares cover, above 0.
        pub alpha_init: f64,
        /// Every so many queries move the patch instead of repainting a part of it; at least 1.
        pub location_every: usize,
    }
}

impl PatchRs {
    /// The paper's values for untargeted patches: 10,000 queries, of which every fourth moves the patch.
    pub fn new(patch: Patch) -> Self {
        Self { patch, queries: 10_000, alpha_init: 0.4, location_every: 4 }
    }
}

impl HyperParameters for PatchRs {
    fn entry(&self) -> &'static Entry {
        &PATCH_RS
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.alpha_init = parameters.positive("alpha_init", self.alpha_init)?;
        self.location_every = parameters.count("location_every", self.location_every)?;
        Ok(Box::new(self))
    }
}

/// Number of squares painted for the first content.
const INITIAL_SQUARES: usize = 1000;

/// The element of a query's draw that says which of several patches it changes.
const WHICH: u32 = 3;

/// A colour that a square has already is drawn again, as in the published code, so that no query is spent on an image
/// that was asked about; but not without end.
const REDRAWS: usize = 16;

impl Attack for PatchRs {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        // With a target the paper uses the cross-entropy, which also sees the other logits.
        let loss = if search.targets().is_some() { Loss::CrossEntropy } else { Loss::Margin };
        let shape @ [channels, ..] = search.shape();
        let Patch { height, width, .. } = self.patch;
        let mut windows = random_windows(search, self.patch, 0)?;
        let (count, of_one) = (self.patch.count, channels * height * width);
        let area = [count * channels, height, width];
        let mut content = rows::map_to(Kernel::NONE, &area, [&windows], |row, _, content| {
            for (number, content) in (1..).zip(content.chunks_exact_mut(of_one)) {
                self.initial_content(search.draw(row, 0, number), channels, content);
            }
        })?;
        let n = search.len();
        let mut best = Rows::numbers(search.location(), vec![f32::NEG_INFINITY; n])?;
        for query in 0..self.queries {
            let (mut new_content, mut new_windows) = (content.clone(), windows.clone());
            if query > 0 {
                let step = self.step(query, shape);
                let [key0, key1] = search.key(1);
                let kernel = kernel!(
                    "patch_rs",
                    query as u32,
                    key0,
                    key1,
                    shape[0],
                    shape[1],
                    shape[2],
                    height,
                    width,
                    step.moves,
                    step.reach[0],
                    step.reach[1],
                    step.side,
                    step.single,
                );
                let kernel = of_rectangles(self.patch, kernel);
                let outputs = [&mut new_content, &mut new_windows];
                rows::update(kernel, outputs, [search.id_words()], |row, [content, window], _| {
                    let draw = search.draw(row, 1, query as u32);
                    let number = if count > 1 { draw.below(WHICH, count) } else { 0 };
                    let content = &mut content[number * of_one..][..of_one];
                    let window = &mut window[2 * number..][..2];
                    self.change(&step, draw, shape, content, window);
                })?;
            }
            let x = paste(search, self.patch, &new_windows, &new_content)?;
            let logits = search.logits(&x)?;
            let losses = search.losses(&logits, loss)?;
            rows::update(
                of_rectangles(self.patch, kernel!("patch_rs_keep")),
                [&mut content, &mut windows, &mut best],
                [&new_content, &new_windows, &losses],
                |_, [content, window, best], [new_content, new_window, loss]| {
                    if loss[0] > best[0] {
                        best[0] = loss[0];
                        content.copy_from_slice(new_content);
                        window.copy_from_slice(new_window);
                    }
                },
            )?;
            search.propose(&x, &logits, (&mut content, &mut windows, &mut best))?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a query changes, apart from chance.
struct Step {
    /// It moves the patch instead of repainting a square of it.
    moves: bool,
    /// How far at most, vertically and horizontally.
    reach: [usize; 2],
    /// Side of the square.
    side: usize,
    /// One channel is changed at a time: late in the search, when squares are single pixels.
    single: bool,
}

impl PatchRs {
    /// Squares of random corners of the colour cube, painted over each other.
    fn initial_content(&self, draw: Draw, channels: usize, content: &mut [f32]) {
        let Patch { height, width, .. } = self.patch;
        content.fill(0.0);
        let largest = height.min(width);
        for square in 0..INITIAL_SQUARES as u32 {
            let element = square * (4 + channels as u32);
            let side = 1 + draw.below(element, largest);
            let top = draw.below(element + 1, height - side + 1);
            let left = draw.below(element + 2, width - side + 1);
            for c in 0..channels {
                let value = draw.below(element + 4 + c as u32, 2) as f32;
                self.paint(content, c, top, left, side, |v| *v = value);
            }
        }
    }

    /// Query number `query` for images of this shape.
    fn step(&self, query: usize, [channels, image_height, image_width]: [usize; 3]) -> Step {
        let left = 1.0 - query as f64 / self.queries as f64;
        let reach = |size: usize| ((0.75 * left * size as f64) as usize).max(1);
        let largest = self.patch.height.min(self.patch.width);
        let share = self.alpha_init / f64::from(divisor(query, self.queries));
        let side = ((share.sqrt() * largest as f64) as usize).clamp(1, largest);
        Step {
            moves: query.is_multiple_of(self.location_every),
            reach: [reach(image_height), reach(image_width)],
            side,
            single: side == 1 && channels > 1 && 2 * query > self.queries,
        }
    }

    /// The proposal of one query: every `location_every`-th one moves the patch, the others repaint
    /// a square of it.
    fn change(
        &self,
        step: &Step,
        draw: Draw,
        [channels, image_height, image_width]: [usize; 3],
        content: &mut [f32],
        window: &mut [f32],
    ) {
        let Patch { height, width, .. } = self.patch;
        let Step { side, reach, .. } = *step;
        if step.moves {
            let shift = |at: f32, most: usize, reach: usize, element: u32| {
                let moved =
                    at as isize + draw.below(element, 2 * reach + 1) as isize - reach as isize;
                moved.clamp(0, most as isize) as f32
            };
            window[0] = shift(window[0], image_height - height, reach[0], 0);
            window[1] = shift(window[1], image_width - width, reach[1], 1);
            return;
        }
        let top = draw.below(0, height - side + 1);
        let left = draw.below(1, width - side + 1);
        let only = step.single.then(|| draw.below(2, channels));
        for attempt in 0..REDRAWS {
            let mut changes = false;
            for c in (0..channels).filter(|c| only.is_none_or(|only| only == *c)) {
                let up = draw.below(4 + (attempt * channels + c) as u32, 2) == 1;
                self.paint(content, c, top, left, side, |v| {
                    let new = if only.is_some() {
                        1.0 - *v
                    } else if up {
                        (*v + 1.0).min(1.0)
                    } else {
                        (*v - 1.0).max(0.0)
                    };
                    changes |= new != *v;
                    *v = new;
                });
            }
            if changes {
                return;
            }
        }
    }

    fn paint(
        &self,
        content: &mut [f32],
        channel: usize,
        top: usize,
        left: usize,
        side: usize,
        mut set: impl FnMut(&mut f32),
    ) {
        let Patch { height, width, .. } = self.patch;
        for row in top..top + side {
            let start = (channel * height + row) * width + left;
            content[start..start + side].iter_mut().for_each(&mut set);
        }
    }
}

/// What the share of repainted pixels is divided by at this query, on the paper's schedule for
/// 10,000 queries.
fn divisor(query: usize, queries: usize) -> u32 {
    const STEPS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
    let scaled = query * 10_000 / queries.max(1);
    1 << STEPS.iter().filter(|step| scaled > **step).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// A square of one colour stays as it is in one of two draws of one channel, and in one of eight of three.
    #[test]
    fn no_repainting_is_none() {
        for channels in [1, 3] {
            let attack = PatchRs::new(Patch::rectangle(3, 3));
            let shape = [channels, 8, 8];
            let repaint = (0..200).filter(|query| !attack.step(*query, shape).moves);
            for query in repaint {
                let before = vec![(query / 8 % 2) as f32; channels * 9];
                let (mut content, mut window) = (before.clone(), [0.0, 0.0]);
                let draw = Stream::new(3, "patch-rs").draw(5, query as u32);
                let step = attack.step(query, shape);
                attack.change(&step, draw, shape, &mut content, &mut window);
                assert_ne!(content, before, "{channels} {query}");
            }
        }
    }
}
