//! sigma-zero (Cinà et al., ICLR 2025, algorithm 1): Adam on the margin and on a smooth stand-in for the number of changed
//! values, and after each step changes below a threshold are taken back. The threshold grows while the image is
//! adversarial and falls while it is not.
//!
//! That the threshold moves is the paper's; the code that came with it changes a copy of the threshold, which stays where it
//! began. The paper is about untargeted attacks. Towards a target the margin is the target's.
//!
//! The paper counts values. Where pixels are counted (L0-pixels), the square of a pixel's change is the sum over its
//! channels, and a pixel is taken back where none of its values has changed by the threshold. With one channel this is the
//! same.

use super::super::{Attack, Entry, HyperParameters, Objective, Search};
use super::primal_dual::Adam;
use super::{COUNTS, cosine, counted_together, norm_of};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SIGMA_ZERO: Entry = Entry {
    name: "sigma-zero",
    about: "fewest changed values, by a smooth count of them and a threshold (Cinà et al. 2025)",
    threats: COUNTS,
    is_control: false,
    fields: &[SigmaZero::FIELDS],
    build: |parameters, threat| SigmaZero::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `sigma-zero`: the fewest changed values (Cinà et al., ICLR 2025, algorithm 1).
    #[derive(Debug, Clone, PartialEq)]
    pub struct SigmaZero {
        /// What is to be small: the number of changed values, L0, or pixels, L0-pixels.
        pub norm: Norm,
        /// N, the number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Rate of Adam in the first step, above 0; it falls to a tenth.
        pub eta_0: f64,
        /// sigma, how smooth the count is, above 0: a change d counts d^2 / (d^2 + sigma), d^2 of a pixel summed over its
        /// channels.
        pub sigma: f64,
        /// The threshold before the first step, in pixel units, at least 0.
        pub tau_0: f64,
        /// By how much the threshold moves in a step, as a share of the rate; at least 0.
        pub t: f64,
    }
}

impl SigmaZero {
    /// The values of the paper. There is no radius: the search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 1000, eta_0: 1.0, sigma: 1e-3, tau_0: 0.3, t: 0.01 }
    }
}

impl HyperParameters for SigmaZero {
    fn entry(&self) -> &'static Entry {
        &SIGMA_ZERO
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.eta_0 = parameters.positive("eta_0", self.eta_0)?;
        self.sigma = parameters.positive("sigma", self.sigma)?;
        self.tau_0 = parameters.at_least_zero("tau_0", self.tau_0)?;
        self.t = parameters.at_least_zero("t", self.t)?;
        Ok(Box::new(self))
    }
}

/// Share of the rate that is left at the end.
const LAST_RATE: f64 = 0.1;

impl Attack for SigmaZero {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(2.0 * self.steps as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let (place, n, clean) = (search.location().clone(), search.len(), search.clean().clone());
        let zeros = Rows::new(&place, clean.shape(), vec![0.0; n * clean.width()])?;
        let (mut x, mut first, mut second) = (clean.clone(), zeros.clone(), zeros);
        let mut tau = Rows::numbers(&place, vec![self.tau_0 as f32; n])?;
        let together = counted_together(self.norm, search.shape());
        for step in 0..self.steps {
            let at = search.gradient(&x, Loss::Margin)?;
            // Under this objective no row leaves the active set.
            search.propose(&x, &at.logits, ())?;
            let adversarial = search.succeeded(&at.logits)?;
            let rate = cosine(self.eta_0, LAST_RATE * self.eta_0, step, self.steps);
            let adam = Adam::new(rate, step);
            rows::update(
                Kernel::NONE,
                [&mut x, &mut first, &mut second, &mut tau],
                [&clean, &at.gradient, &adversarial],
                |_, [x, first, second, tau], [x0, g, adversarial]| {
                    let adversarial = adversarial[0] != 0.0;
                    let g = self.gradient(x, x0, (!adversarial).then_some(g), together);
                    let by = if adversarial { self.t * rate } else { -self.t * rate };
                    tau[0] = (f64::from(tau[0]) + by).clamp(0.0, 1.0) as f32;
                    for i in 0..x.len() {
                        let [mean, size] = adam.take(g[i], &mut first[i], &mut second[i]);
                        let moved = f64::from(x[i]) - adam.rate * mean / size;
                        x[i] = moved.clamp(0.0, 1.0) as f32;
                    }
                    take_back(x, x0, tau[0], together);
                },
            )?;
        }
        let logits = search.logits(&x)?;
        search.propose(&x, &logits, ())
    }
}

impl SigmaZero {
    /// Gradient of what is minimised, its largest component brought to 1: the share of changed values, counted smoothly,
    /// and the lead of the right class, whose negative has the gradient `margin` where there is one.
    fn gradient(&self, x: &[f32], x0: &[f32], margin: Option<&[f32]>, together: usize) -> Vec<f64> {
        let units = x.len() / together;
        let change = |i: usize| f64::from(x[i]) - f64::from(x0[i]);
        let mut below = vec![0.0; units];
        for i in 0..x.len() {
            below[i % units] += change(i) * change(i);
        }
        below.iter_mut().for_each(|below| *below += self.sigma);
        let share = 1.0 / units as f64;
        let count = |i: usize| {
            let below = below[i % units];
            share * 2.0 * change(i) * self.sigma / (below * below)
        };
        let mut g: Vec<f64> = (0..x.len()).map(count).collect();
        for (g, margin) in g.iter_mut().zip(margin.unwrap_or_default()) {
            // Not a number would make all of the image none.
            *g -= if margin.is_finite() { f64::from(*margin) } else { 0.0 };
        }
        let largest = g.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
        if largest > 0.0 {
            g.iter_mut().for_each(|g| *g /= largest);
        }
        g
    }
}

/// Takes back the changes of units, of `together` values each, of which no value has changed by `tau`.
fn take_back(x: &mut [f32], x0: &[f32], tau: f32, together: usize) {
    let units = x.len() / together;
    for unit in 0..units {
        let values = || (unit..units * together).step_by(units);
        if values().all(|i| (x[i] - x0[i]).abs() < tau) {
            values().for_each(|i| x[i] = x0[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_smooth_count_and_the_margin() {
        let attack = SigmaZero::new(Norm::L0);
        let (x0, x) = ([0.5_f32; 4], [0.5_f32, 0.53, 0.2, 0.45]);
        let margin = [0.3_f32, -0.02, 0.01, 0.0];
        for (together, units) in [(1, &[&[0][..], &[1], &[2], &[3]][..]), (2, &[&[0, 2], &[1, 3]])]
        {
            let value = |x: &[f64; 4]| {
                let change = |i: &usize| x[*i] - f64::from(x0[*i]);
                let each = |unit: &&[usize]| {
                    let square: f64 = unit.iter().map(|i| change(i) * change(i)).sum();
                    square / (square + attack.sigma) / units.len() as f64
                };
                let count: f64 = units.iter().map(each).sum();
                count - (0..4).map(|i| f64::from(margin[i]) * x[i]).sum::<f64>()
            };
            let g = attack.gradient(&x, &x0, Some(&margin), together);
            let slope = |i: usize| {
                let (h, mut up, mut down) = (1e-6, x.map(f64::from), x.map(f64::from));
                up[i] += h;
                down[i] -= h;
                (value(&up) - value(&down)) / (2.0 * h)
            };
            let slopes = [0, 1, 2, 3].map(slope);
            let largest = slopes.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            for (g, slope) in g.iter().zip(slopes) {
                assert!((g - slope / largest).abs() < 1e-6, "{together}: {g} {slope}");
            }
            assert_eq!(attack.gradient(&x0, &x0, None, together), [0.0; 4]);
        }
    }

    #[test]
    fn a_pixel_is_taken_back_where_none_of_its_values_has_changed_enough() {
        let (x0, moved) = ([0.5_f32; 4], [0.6_f32, 0.6, 0.5, 0.9]);
        for (together, expected) in [(1, [0.5, 0.5, 0.5, 0.9]), (2, [0.5, 0.6, 0.5, 0.9])] {
            let mut x = moved;
            take_back(&mut x, &x0, 0.3, together);
            assert_eq!(x, expected, "{together}");
        }
    }
}
