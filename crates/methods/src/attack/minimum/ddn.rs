//! DDN, the decoupled direction and norm attack (Rony et al., CVPR 2019, algorithm 1): the gradient turns the
//! perturbation, and its length is set apart from that: shorter by a fixed share while the image is adversarial, longer
//! while it is not.
//!
//! The paper rounds every iterate to 256 levels. Here nothing is rounded: rows of results say of every image whether
//! rounding to 8 bits spares it. As in later code, the length never exceeds that of the longest change inside the box.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::{cosine, direction, reach};
use crate::attack::fab::length;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const DDN: Entry = Entry {
    name: "ddn",
    about: "smallest L2 perturbation, its direction and its length apart (Rony et al. 2019)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[Ddn::FIELDS],
    build: |parameters, _| Ddn::new().build(parameters),
};

documented! {
    /// `ddn`: the smallest L2 perturbation (Rony et al., CVPR 2019, algorithm 1).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Ddn {
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Share by which the length changes with every step, above 0 and below 1.
        pub gamma: f64,
        /// Length before the first step, above 0, in pixel units.
        pub init_norm: f64,
    }
}

impl Ddn {
    /// The paper's gamma and first length, and its longest run. There is no radius: the search is for the closest image.
    pub fn new() -> Self {
        Self { steps: 1000, gamma: 0.05, init_norm: 1.0 }
    }
}

impl Default for Ddn {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for Ddn {
    fn entry(&self) -> &'static Entry {
        &DDN
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.gamma = parameters.share("gamma", self.gamma)?;
        self.init_norm = parameters.positive("init_norm", self.init_norm)?;
        Ok(Box::new(self))
    }
}

impl Attack for Ddn {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::CrossEntropy]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(2.0 * self.steps as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut x = search.clean().clone();
        let mut eps = Rows::numbers(search.location(), vec![self.init_norm as f32; search.len()])?;
        let reach = reach(Norm::L2, search)?;
        for step in 0..self.steps {
            let at = search.gradient(&x, Loss::CrossEntropy)?;
            // Under this objective no row leaves the active set.
            search.propose(&x, &at.logits, ())?;
            let adversarial = search.succeeded(&at.logits)?;
            let alpha = cosine(1.0, 0.01, step, self.steps);
            rows::update(
                Kernel::NONE,
                [&mut x, &mut eps],
                [&at.gradient, search.clean(), &adversarial, &reach],
                |row, [x, eps], [g, x0, adversarial, reach]| {
                    let toward = direction(g, search.draw(row, 0, step as u32));
                    let factor =
                        if adversarial[0] == 0.0 { 1.0 + self.gamma } else { 1.0 - self.gamma };
                    eps[0] = (f64::from(eps[0]) * factor).min(f64::from(reach[0])) as f32;
                    advance(x, x0, &toward, alpha, eps[0]);
                },
            )?;
        }
        let logits = search.logits(&x)?;
        search.propose(&x, &logits, ())
    }
}

/// Turns the perturbation by a step of length `alpha`, brings it to the length `eps`, and into the box.
fn advance(x: &mut [f32], x0: &[f32], toward: &[f64], alpha: f64, eps: f32) {
    let moved = |((x, x0), toward): ((&f32, &f32), &f64)| {
        (f64::from(*x) - f64::from(*x0) + alpha * toward) as f32
    };
    let change: Vec<f32> = x.iter().zip(x0).zip(toward).map(moved).collect();
    let length = length(Norm::L2, &change);
    let scale = if length > 0.0 { f64::from(eps) / length } else { 0.0 };
    for ((x, x0), change) in x.iter_mut().zip(x0).zip(&change) {
        *x = (f64::from(*x0) + scale * f64::from(*change)).clamp(0.0, 1.0) as f32;
    }
}
