//! The trust region attack (Yao et al., CVPR 2019, algorithm 1 with an adaptive radius): towards the class whose boundary is
//! nearest at the clean image, in steps no longer than a radius in which the linearised network is trusted. The radius
//! grows where the margin changes as the gradient said, and shrinks where it does not.
//!
//! The radius is adaptive by default, as in the paper's experiments with few steps; at its smallest a hundred steps would
//! not reach the boundary of most networks. The image stays inside the box. Towards a target, of which the paper has
//! nothing, the radius does not fall below that of the first step: the margin is to the largest other logit, which changes
//! its class on the way, so that it changes less than any gradient says.

use super::super::{Attack, Entry, HyperParameters, ImageState as _, Objective, Search, Threats};
use super::boundary::{RunState, toward};
use super::norm_of;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const TRUST_REGION: Entry = Entry {
    name: "trust-region",
    about: "steps towards the nearest class in a radius of trust until it is reached (Yao et al. 2019)",
    threats: Threats::Balls(&[Norm::Linf, Norm::L2]),
    is_control: false,
    fields: &[TrustRegion::FIELDS],
    build: |parameters, threat| TrustRegion::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `trust-region`: a small perturbation (Yao et al., CVPR 2019).
    #[derive(Debug, Clone, PartialEq)]
    pub struct TrustRegion {
        /// The norm of the steps: L2 or Linf.
        pub norm: Norm,
        /// Largest number of steps, at least 1: a forward and a backward pass each, and a backward pass for each class once.
        pub steps: usize,
        /// Radius of the first step, above 0, in pixel units.
        pub eps: f64,
        /// The radius changes with how well the linearised network predicts the margin.
        pub adaptive: bool,
        /// How many wrong classes are looked at in the beginning, by their clean logits; at least 1.
        pub classes: usize,
    }
}

impl TrustRegion {
    /// The values of the authors' code, the radius adaptive, with 1000 steps. There is no radius that ends the search.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 1000, eps: 0.001, adaptive: true, classes: 9 }
    }

    /// The bounds of the radius.
    fn bounds(&self) -> [f64; 2] {
        if self.norm == Norm::Linf { [1e-4, 0.01] } else { [5e-4, 0.05] }
    }
}

impl HyperParameters for TrustRegion {
    fn entry(&self) -> &'static Entry {
        &TRUST_REGION
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.eps = parameters.positive("eps", self.eps)?;
        self.adaptive = parameters.take("adaptive", self.adaptive)?;
        self.classes = parameters.count("classes", self.classes)?;
        Ok(Box::new(self))
    }
}

/// Share by which a step is longer than the way to the boundary or the radius.
const OVERSHOOT: f64 = 1.02;

/// Factor of the radius when it grows, and its inverse when it shrinks.
const FACTOR: f64 = 1.2;

/// The shares of the predicted change above which the radius grows, and below which it shrinks.
const GOOD: f64 = 0.9;
const BAD: f64 = 0.5;

impl Attack for TrustRegion {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        // Differences of two logits.
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], classes: usize) -> Option<f64> {
        let classes = self.classes.min(classes.saturating_sub(1));
        Some(2.0 * self.steps as f64 + classes as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut state = RunState::new(search, self.classes)?;
        let (n, place) = (search.len(), search.location().clone());
        let targeted = search.targets().is_some();
        let mut radius = Rows::numbers(&place, vec![self.eps as f32; n])?;
        // f at the last step, and by how much it was to change.
        let mut last = Rows::new(&place, [n, 2], vec![0.0; 2 * n])?;
        let none = vec![false; n];
        for step in 0..self.steps {
            let at = search.linearise_of(&state.of, &state.x)?;
            let adversarial = state.propose(search, &at.logits)?;
            let boundary = state.boundary(search, &at, self.norm, (&adversarial, &none))?;
            if step == 0 {
                state.settle_on(&boundary.class)?;
            }
            rows::update(
                Kernel::NONE,
                [&mut state.x, &mut radius, &mut last],
                [&boundary.w, &boundary.f],
                |_, [x, radius, last], [w, f]| {
                    if self.adaptive && step > 0 {
                        radius[0] = self.adapted(radius[0], f[0] - last[0], last[1], targeted);
                    }
                    let mut by = vec![0.0; w.len()];
                    let predicted = toward(self.norm, w, f[0], f64::from(radius[0]), &mut by);
                    last.copy_from_slice(&[f[0], (OVERSHOOT * predicted) as f32]);
                    for (x, by) in x.iter_mut().zip(&by) {
                        *x = (f64::from(*x) + OVERSHOOT * f64::from(*by)).clamp(0.0, 1.0) as f32;
                    }
                },
            )?;
            let left: Vec<usize> = (0..state.of.len()).filter(|i| !adversarial[*i]).collect();
            if left.is_empty() {
                return Ok(());
            }
            if left.len() < state.of.len() {
                (&mut state, &mut radius, &mut last).keep(&left)?;
            }
        }
        let logits = search.logits_of(&state.of, &state.x)?;
        state.propose(search, &logits)?;
        Ok(())
    }
}

impl TrustRegion {
    /// The radius after a step that changed f by `change` instead of `predicted`.
    fn adapted(&self, radius: f32, change: f32, predicted: f32, targeted: bool) -> f32 {
        let share = f64::from(change) / f64::from(predicted);
        let factor = match share {
            share if share > GOOD => FACTOR,
            share if share < BAD => 1.0 / FACTOR,
            _ => 1.0,
        };
        let [least, most] = self.bounds();
        let least = if targeted { self.eps } else { least };
        (f64::from(radius) * factor).clamp(least.min(self.eps), most.max(self.eps)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_radius_follows_what_was_predicted() {
        let attack = TrustRegion::new(Norm::L2);
        let after = |radius, share: f32| attack.adapted(radius, share * 0.5, 0.5, false);
        assert!((after(0.01, 1.0) - 0.012).abs() < 1e-7);
        assert!((after(0.01, 0.7) - 0.01).abs() < 1e-7);
        assert!((after(0.012, -0.3) - 0.01).abs() < 1e-7);
        assert_eq!(after(0.05, 1.0), 0.05);
        assert_eq!(after(0.0005, 0.0), 0.0005);
        assert_eq!(attack.adapted(0.001, 0.0, 0.5, true), 0.001);
    }
}
