//! Patch-RS, the black-box patch attack of Sparse-RS (Croce et al., AAAI 2022, section 5): random
//! squares of the patch are set to corners of the colour cube, its place is shifted now and then, and
//! a change stays when the loss improves.

use super::pgd::random_windows;
use super::{paste, patch_of};
use crate::attack::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::rng::Draw;
use crate::threat::{Patch, Window};

/// Defaults of the paper for untargeted patches.
pub(in crate::attack) const PATCH_RS: Entry = Entry {
    name: "patch-rs",
    about: "black-box random search over content and place (Croce et al. 2022)",
    threats: Threats::Patch,
    control: false,
    build: |parameters, threat| {
        Ok(Box::new(PatchRs {
            patch: patch_of(threat),
            queries: parameters.count("queries", 10_000)?,
            alpha_init: parameters.positive("alpha_init", 0.4)?,
            location_every: parameters.count("location_every", 4)?,
        }))
    },
};

struct PatchRs {
    patch: Patch,
    queries: usize,
    alpha_init: f64,
    location_every: usize,
}

/// One image's patch.
#[derive(Clone)]
struct State {
    content: Vec<f32>,
    window: Window,
    loss: f32,
}

/// Number of squares painted for the first content.
const INITIAL_SQUARES: usize = 1000;

impl Attack for PatchRs {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        // With a target the paper uses the cross-entropy, which also sees the other logits.
        let loss = if search.targets().is_some() { Loss::CrossEntropy } else { Loss::Margin };
        let channels = search.shape()[0];
        let windows = random_windows(search, self.patch, 0);
        let mut states: Vec<State> = windows
            .into_iter()
            .enumerate()
            .map(|(row, window)| State {
                content: self.initial_content(search.draw(row, 0, 1), channels),
                window,
                loss: f32::NEG_INFINITY,
            })
            .collect();
        let mut proposals = states.clone();
        for query in 0..self.queries {
            if query > 0 {
                proposals = states
                    .iter()
                    .enumerate()
                    .map(|(row, state)| {
                        let draw = search.draw(row, 1, query as u32);
                        self.change(state, draw, query, search.shape())
                    })
                    .collect();
            }
            let windows: Vec<Window> = proposals.iter().map(|p| p.window).collect();
            let x = paste(search, self.patch, &windows, |row, content| {
                content.copy_from_slice(&proposals[row].content);
            })?;
            let logits = search.logits(&x)?;
            let losses = loss.evaluate(&logits, search.labels(), search.targets())?;
            for ((state, proposal), loss) in states.iter_mut().zip(&proposals).zip(losses.values) {
                if loss > state.loss {
                    *state = State { loss, ..proposal.clone() };
                }
            }
            search.propose(&x, &logits)?.shrink_values(&mut states);
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl PatchRs {
    /// Squares of random corners of the colour cube, painted over each other.
    fn initial_content(&self, draw: Draw, channels: usize) -> Vec<f32> {
        let Patch { height, width } = self.patch;
        let mut content = vec![0.0; channels * height * width];
        let largest = height.min(width);
        for square in 0..INITIAL_SQUARES as u32 {
            let element = square * (4 + channels as u32);
            let side = 1 + draw.below(element, largest);
            let top = draw.below(element + 1, height - side + 1);
            let left = draw.below(element + 2, width - side + 1);
            for c in 0..channels {
                let value = draw.below(element + 4 + c as u32, 2) as f32;
                self.paint(&mut content, c, top, left, side, |v| *v = value);
            }
        }
        content
    }

    /// The proposal of one query: every `location_every`-th one moves the patch, the others repaint
    /// a square of it.
    fn change(&self, state: &State, draw: Draw, query: usize, shape: [usize; 3]) -> State {
        let mut next = state.clone();
        let [channels, image_height, image_width] = shape;
        let Patch { height, width } = self.patch;
        if query.is_multiple_of(self.location_every) {
            let left = 1.0 - query as f64 / self.queries as f64;
            let shift = |at: usize, size: usize, patch: usize, element: u32| {
                let reach = ((0.75 * left * size as f64) as usize).max(1);
                let moved =
                    at as isize + draw.below(element, 2 * reach + 1) as isize - reach as isize;
                moved.clamp(0, (size - patch) as isize) as usize
            };
            next.window.top = shift(state.window.top, image_height, height, 0);
            next.window.left = shift(state.window.left, image_width, width, 1);
            return next;
        }
        let largest = height.min(width);
        let share = self.alpha_init / f64::from(divisor(query, self.queries));
        let side = ((share.sqrt() * largest as f64) as usize).clamp(1, largest);
        let top = draw.below(0, height - side + 1);
        let left = draw.below(1, width - side + 1);
        // Late in the search, when squares are single pixels, one channel is changed at a time.
        let only = (side == 1 && channels > 1 && 2 * query > self.queries)
            .then(|| draw.below(2, channels));
        for c in (0..channels).filter(|c| only.is_none_or(|only| only == *c)) {
            let up = draw.below(4 + c as u32, 2) == 1;
            self.paint(&mut next.content, c, top, left, side, |v| {
                *v = if only.is_some() {
                    1.0 - *v
                } else if up {
                    (*v + 1.0).min(1.0)
                } else {
                    (*v - 1.0).max(0.0)
                };
            });
        }
        next
    }

    fn paint(
        &self,
        content: &mut [f32],
        channel: usize,
        top: usize,
        left: usize,
        side: usize,
        set: impl Fn(&mut f32),
    ) {
        let Patch { height, width } = self.patch;
        for row in top..top + side {
            let start = (channel * height + row) * width + left;
            content[start..start + side].iter_mut().for_each(&set);
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
