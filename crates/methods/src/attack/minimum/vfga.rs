//! VFGA, the voting folded Gaussian attack (Césaire et al., ICTAI 2021, algorithm 3): one value after the other is changed,
//! until the image is adversarial. In each step two are in question, the one that promises most if it grows and the one
//! that promises most if it falls; some random amounts are tried for both, and the best of all trials is kept. A value that
//! was changed is not touched again.
//!
//! The paper ranks values by the gradient of a probability, which is 0 in f32 where the network is certain. The gradient of
//! its logarithm ranks them alike and is not.
//!
//! The paper is about values. Where pixels are counted (L0-pixels), a change of one channel leaves the others free, so that
//! a pixel promises what its values do together, each in its better direction. In question are the two pixels that promise
//! most; the values of the one that is tried move by amounts of their own.

use super::super::{Attack, Entry, HyperParameters, Objective, Search};
use super::{COUNTS, counted_together, norm_of};
use crate::attack::ImageState as _;
use crate::attack::apgd::choose;
use crate::attack::search::image_state;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat, differs};

pub(in crate::attack) const VFGA: Entry = Entry {
    name: "vfga",
    about: "one value after the other by random amounts, until the image is broken (Césaire et al. 2021)",
    threats: COUNTS,
    is_control: false,
    fields: &[Vfga::FIELDS],
    build: |parameters, threat| Vfga::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `vfga`: few changed values, greedily (Césaire et al., ICTAI 2021, algorithm 3).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Vfga {
        /// What is to be small: the number of changed values, L0, or pixels, L0-pixels.
        pub norm: Norm,
        /// Largest number of steps, each of which changes one value or pixel; 0 for as many as an image has.
        pub steps: usize,
        /// Random amounts that are tried in a step for each of the two in question, at least 1, with a forward pass each.
        pub samples: usize,
    }
}

impl Vfga {
    /// The paper's ten amounts, and no limit. There is no radius: the search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 0, samples: 10 }
    }

    fn steps_for(&self, shape: [usize; 3]) -> usize {
        let most = shape.iter().product::<usize>() / counted_together(self.norm, shape);
        if self.steps == 0 { most } else { self.steps.min(most) }
    }
}

impl HyperParameters for Vfga {
    fn entry(&self) -> &'static Entry {
        &VFGA
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.take("steps", self.steps)?;
        self.samples = parameters.count("samples", self.samples)?;
        Ok(Box::new(self))
    }
}

/// The images that nothing was found of, as rows of the search.
struct RunState {
    of: Vec<usize>,
    clean: Rows,
    x: Rows,
}

image_state!(RunState { of, clean, x });

impl Attack for Vfga {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::CrossEntropy]
    }

    fn most_passes(&self, shape: [usize; 3], _: usize) -> Option<f64> {
        Some(self.steps_for(shape) as f64 * (2.0 + 2.0 * self.samples as f64))
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let clean = search.clean().clone();
        let mut state = RunState { of: (0..search.len()).collect(), x: clean.clone(), clean };
        let together = counted_together(self.norm, search.shape());
        for step in 0..self.steps_for(search.shape()) {
            let at = search.gradient_of(&state.of, &state.x, Loss::CrossEntropy)?;
            let inputs = [&state.x, &state.clean, &at.gradient];
            let places = rows::map_to(Kernel::NONE, &[2], inputs, |_, [x, x0, g], places| {
                let [first, second] = match self.norm {
                    Norm::L0Pixels => promising_pixels(x, x0, g, together),
                    _ => promising(x, x0, g),
                };
                (places[0], places[1]) = (first as f32, second as f32);
            })?;
            let all = 2 * self.samples * together;
            let amounts = rows::map_to(Kernel::NONE, &[all], [&state.x], |row, _, amounts| {
                search.draw(state.of[row], 0, step as u32).normal(amounts);
            })?;
            let broken = self.advance(search, &mut state, [&places, &amounts, &at.gradient])?;
            let left: Vec<usize> = (0..broken.len()).filter(|i| !broken[*i]).collect();
            if left.is_empty() {
                break;
            }
            state.keep(&left)?;
        }
        Ok(())
    }
}

impl Vfga {
    /// Tries the amounts and moves every image to its best trial: one that is adversarial before one that is not, then
    /// the one of the largest loss. Says which images are broken.
    fn advance(
        &self,
        search: &mut Search<'_>,
        state: &mut RunState,
        [places, amounts, gradient]: [&Rows; 3],
    ) -> Result<Vec<bool>> {
        let together = counted_together(self.norm, search.shape());
        let place = search.location().clone();
        let mut best = state.x.clone();
        let mut reached = vec![(false, f32::NEG_INFINITY); state.of.len()];
        for trial in 0..2 * self.samples {
            let first = trial < self.samples;
            let inputs = [&state.x, places, amounts, gradient];
            let x = rows::map(Kernel::NONE, inputs, |_, [x, places, amounts, g], moved| {
                moved.copy_from_slice(x);
                let values = (places[usize::from(!first)] as usize..x.len())
                    .step_by(x.len() / together)
                    .take(together);
                for (at, amount) in values.zip(&amounts[trial * together..]) {
                    let upwards = if self.norm == Norm::L0Pixels { g[at] >= 0.0 } else { first };
                    // The standard deviation is how far the value can go.
                    let room = if upwards { 1.0 - x[at] } else { x[at] };
                    let by = room * amount.abs();
                    moved[at] = if upwards { (x[at] + by).min(1.0) } else { (x[at] - by).max(0.0) };
                }
            })?;
            let logits = search.logits_of(&state.of, &x)?;
            // Under this objective no row leaves the active set.
            search.propose_for(&state.of, &x, &logits, ())?;
            let adversarial = search.have_succeeded(&state.of, &logits)?;
            let losses = losses_of(search, &state.of, &logits)?;
            let mut better = vec![0.0; reached.len()];
            for (i, reached) in reached.iter_mut().enumerate() {
                let here = (adversarial[i], losses[i]);
                let first = here.0 && !reached.0;
                if first || (here.0 == reached.0 && here.1 > reached.1) {
                    (*reached, better[i]) = (here, 1.0);
                }
            }
            best = choose(&Rows::numbers(&place, better)?, &x, &best)?;
        }
        state.x = best;
        Ok(reached.into_iter().map(|(adversarial, _)| adversarial).collect())
    }
}

/// The losses of the active rows `of` with these logits.
fn losses_of(search: &Search<'_>, of: &[usize], logits: &Rows) -> Result<Vec<f32>> {
    let (z, classes) = (logits.values()?, logits.width());
    let mut unused = vec![0.0; classes];
    let loss = |(i, row): (usize, &usize)| {
        let target = search.targets().map(|targets| targets[*row] as usize);
        let label = search.labels()[*row] as usize;
        Loss::CrossEntropy.of(&z[i * classes..][..classes], label, target, &mut unused)
    };
    Ok(of.iter().enumerate().map(loss).collect())
}

/// The unchanged values of which the loss promises most if the first grows to 1 and if the second falls to 0; the first of
/// equals, and the first value where all are changed.
fn promising(x: &[f32], x0: &[f32], g: &[f32]) -> [usize; 2] {
    let unchanged = || (0..x.len()).filter(|i| !differs(x[*i], x0[*i]));
    let up = most(unchanged(), |i| f64::from(1.0 - x[i]) * f64::from(g[i]));
    let down = most(unchanged(), |i| -f64::from(x[i]) * f64::from(g[i]));
    [up.unwrap_or(0), down.unwrap_or(0)]
}

/// The two unchanged pixels, of so many values each, of which the loss promises most if every value goes to its better
/// end; the first of equals, one twice where only that is left, and the first pixel where all are changed.
fn promising_pixels(x: &[f32], x0: &[f32], g: &[f32], together: usize) -> [usize; 2] {
    let pixels = x.len() / together;
    let values = |pixel: usize| (pixel..x.len()).step_by(pixels);
    let unchanged = || (0..pixels).filter(|pixel| values(*pixel).all(|i| !differs(x[i], x0[i])));
    let gain = |i: usize| {
        let room = if g[i] >= 0.0 { 1.0 - x[i] } else { x[i] };
        f64::from(room) * f64::from(g[i].abs())
    };
    let all = |pixel: usize| values(pixel).map(gain).sum();
    let first = most(unchanged(), all);
    let second = most(unchanged().filter(|pixel| Some(*pixel) != first), all);
    let first = first.unwrap_or(0);
    [first, second.unwrap_or(first)]
}

/// Which of these has the largest `gain`; the first of equals.
fn most(of: impl Iterator<Item = usize>, gain: impl Fn(usize) -> f64) -> Option<usize> {
    let best = of.fold(None, |best: Option<(usize, f64)>, i| match best {
        Some((_, most)) if gain(i) <= most => best,
        _ => Some((i, gain(i))),
    });
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_directions_the_most_promising_unchanged_value() {
        let x0 = [0.5, 0.9, 0.0, 0.2];
        assert_eq!(promising(&x0, &x0, &[1.0, 4.0, -3.0, -3.0]), [0, 3]);
        // The first was changed.
        let x = [0.6, 0.9, 0.0, 0.2];
        assert_eq!(promising(&x, &x0, &[1.0, 4.0, -3.0, -3.0]), [1, 3]);
        assert_eq!(promising(&x0, &x0, &[0.0; 4]), [0, 0]);
    }

    #[test]
    fn a_pixel_promises_what_its_values_do_together() {
        // Three pixels of two values.
        let (x0, g) = ([0.5, 0.5, 0.9, 0.5, 0.5, 0.9], [2.0, 3.0, 9.0, -2.0, 0.0, 9.0]);
        assert_eq!(promising_pixels(&x0, &x0, &g, 2), [0, 2]);
        // A pixel is changed in one channel.
        let x = [0.5, 0.5, 0.9, 0.4, 0.5, 0.9];
        assert_eq!(promising_pixels(&x, &x0, &g, 2), [2, 1]);
        let x = [0.5, 0.6, 0.9, 0.4, 0.5, 0.9];
        assert_eq!(promising_pixels(&x, &x0, &g, 2), [2, 2]);
    }
}
