//! DeepFool (Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016, algorithm 2): the network is linearised, the image moves to
//! the nearest of the boundaries with the likeliest classes, and so on until it is adversarial. It is fast, and what it finds
//! is near, not nearest.
//!
//! As in the paper the overshoot lengthens the sum of all steps, and not, as in some libraries, every step. Unlike in the
//! paper the image stays inside the box.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::boundary::{RunState, toward};
use super::norm_of;
use crate::attack::ImageState as _;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const DEEPFOOL: Entry = Entry {
    name: "deepfool",
    about: "near boundaries of the linearised network until one is crossed (Moosavi-Dezfooli et al. 2016)",
    threats: Threats::Balls(&[Norm::Linf, Norm::L2]),
    is_control: false,
    fields: &[DeepFool::FIELDS],
    build: |parameters, threat| DeepFool::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `deepfool`: a small perturbation (Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016, algorithm 2).
    #[derive(Debug, Clone, PartialEq)]
    pub struct DeepFool {
        /// The norm of the steps: L2 or Linf.
        pub norm: Norm,
        /// Largest number of steps, at least 1: a forward pass and a backward pass for each class.
        pub steps: usize,
        /// eta, the share by which the sum of the steps is lengthened, at least 0.
        pub overshoot: f64,
        /// How many wrong classes are looked at, by their clean logits; at least 1.
        pub classes: usize,
    }
}

impl DeepFool {
    /// The values of the paper and its code: 50 steps, an overshoot of 0.02, the nine likeliest wrong classes. There is no
    /// radius.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 50, overshoot: 0.02, classes: 9 }
    }
}

impl HyperParameters for DeepFool {
    fn entry(&self) -> &'static Entry {
        &DEEPFOOL
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.overshoot = parameters.at_least_zero("overshoot", self.overshoot)?;
        self.classes = parameters.count("classes", self.classes)?;
        Ok(Box::new(self))
    }
}

impl Attack for DeepFool {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        // Differences of two logits.
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], classes: usize) -> Option<f64> {
        let classes = self.classes.min(classes.saturating_sub(1));
        Some(self.steps as f64 * (1.0 + classes as f64) + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut state = RunState::new(search, self.classes)?;
        // The sum of the steps, before the overshoot and the box.
        let mut sum = Rows::new(
            search.location(),
            state.x.shape(),
            vec![0.0; state.x.width() * state.x.len()],
        )?;
        let none = vec![false; search.len()];
        for _ in 0..self.steps {
            let at = search.linearise_of(&state.of, &state.x)?;
            let adversarial = state.propose(search, &at.logits)?;
            let boundary = state.boundary(search, &at, self.norm, (&adversarial, &none))?;
            rows::update(
                Kernel::NONE,
                [&mut state.x, &mut sum],
                [&state.clean, &boundary.w, &boundary.f],
                |_, [x, sum], [x0, w, f]| {
                    let mut step = vec![0.0; w.len()];
                    toward(self.norm, w, f[0], f64::INFINITY, &mut step);
                    for (((x, sum), x0), step) in x.iter_mut().zip(sum).zip(x0).zip(&step) {
                        *sum += step;
                        let change = (1.0 + self.overshoot) * f64::from(*sum);
                        *x = (f64::from(*x0) + change).clamp(0.0, 1.0) as f32;
                    }
                },
            )?;
            let left: Vec<usize> = (0..state.of.len()).filter(|i| !adversarial[*i]).collect();
            if left.is_empty() {
                return Ok(());
            }
            if left.len() < state.of.len() {
                state.keep(&left)?;
                sum.keep(&left)?;
            }
        }
        let logits = search.logits_of(&state.of, &state.x)?;
        state.propose(search, &logits)?;
        Ok(())
    }
}
