//! EAD, elastic-net attacks on deep networks (Chen et al., AAAI 2018, algorithm 1): the loss of Carlini and Wagner with the
//! penalty |x - x0|^2 + beta |x - x0|_1, minimised by FISTA, whose shrinkage puts most pixels back to the clean image.
//!
//! FISTA takes gradients at y, a point ahead of x. Some libraries judge x by the logits of y; here x is asked about itself,
//! which costs a second forward pass. Candidates are compared by their L1 distance (the paper's L1 decision rule).

use super::super::cw::{Constant, confident};
use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const EAD: Entry = Entry {
    name: "ead",
    about: "smallest L1 perturbation by an elastic net and binary search (Chen et al. 2018)",
    threats: Threats::Balls(&[Norm::L1]),
    is_control: false,
    fields: &[Ead::FIELDS],
    build: |parameters, _| Ead::new().build(parameters),
};

documented! {
    /// `ead`: the smallest L1 perturbation (Chen et al., AAAI 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Ead {
        /// Steps of the binary search over c, at least 1.
        pub binary_search_steps: usize,
        /// Steps of FISTA for one c, at least 1: two forward passes and a backward pass each.
        pub max_iterations: usize,
        /// Length of a step along the gradient in the beginning, above 0.
        pub learning_rate: f64,
        /// The first c, above 0.
        pub initial_const: f64,
        /// Weight of the L1 distance, at least 0.
        pub beta: f64,
        /// kappa, the margin below which the loss goes on, at least 0.
        pub confidence: f64,
    }
}

impl Ead {
    /// The values of the paper. There is no radius: the search is for the closest image.
    pub fn new() -> Self {
        Self {
            binary_search_steps: 9,
            max_iterations: 1000,
            learning_rate: 0.01,
            initial_const: 1e-3,
            beta: 1e-3,
            confidence: 0.0,
        }
    }
}

impl Default for Ead {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for Ead {
    fn entry(&self) -> &'static Entry {
        &EAD
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L1, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.binary_search_steps =
            parameters.count("binary_search_steps", self.binary_search_steps)?;
        self.max_iterations = parameters.count("max_iterations", self.max_iterations)?;
        self.learning_rate = parameters.positive("learning_rate", self.learning_rate)?;
        self.initial_const = parameters.positive("initial_const", self.initial_const)?;
        self.beta = parameters.at_least_zero("beta", self.beta)?;
        self.confidence = parameters.at_least_zero("confidence", self.confidence)?;
        Ok(Box::new(self))
    }
}

/// FISTA's two points, and whether x was adversarial with the present c.
struct RunState {
    x: Rows,
    y: Rows,
    /// 1 where it was.
    succeeded: Rows,
    constants: Vec<Constant>,
}

impl Attack for Ead {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(3.0 * self.binary_search_steps as f64 * self.max_iterations as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let (n, clean) = (search.len(), search.clean().clone());
        let nothing = Rows::numbers(search.location(), vec![0.0; n])?;
        let mut state = RunState {
            x: clean.clone(),
            y: clean.clone(),
            succeeded: nothing.clone(),
            constants: vec![Constant::new(self.initial_const); n],
        };
        for _ in 0..self.binary_search_steps {
            (state.x, state.y) = (clean.clone(), clean.clone());
            state.succeeded = nothing.clone();
            let c = state.constants.iter().map(|one| one.c as f32).collect();
            let c = Rows::numbers(search.location(), c)?;
            for k in 0..self.max_iterations {
                self.step(search, &mut state, &c, k)?;
            }
            for (one, succeeded) in state.constants.iter_mut().zip(state.succeeded.values()?.iter())
            {
                one.succeeded = *succeeded != 0.0;
                one.next();
            }
        }
        Ok(())
    }
}

impl Ead {
    /// Step `k` of FISTA: x by the gradient at y and the shrinkage, and y ahead of it.
    fn step(
        &self,
        search: &mut Search<'_>,
        state: &mut RunState,
        c: &Rows,
        k: usize,
    ) -> Result<()> {
        let at = search.gradient(&state.y, Loss::Margin)?;
        let rate = self.learning_rate * (1.0 - k as f64 / self.max_iterations as f64).sqrt();
        let ahead = k as f64 / (k as f64 + 3.0);
        let RunState { x, y, .. } = &mut *state;
        rows::update(
            Kernel::NONE,
            [x, y],
            [search.clean(), &at.gradient, &at.losses, c],
            |_, [x, y], [x0, g, margin, c]| {
                // max(0, confidence - margin) has minus the margin's gradient while it is positive.
                let wanting = f64::from(margin[0]) < self.confidence || margin[0] <= 0.0;
                let weight = if wanting { f64::from(c[0]) } else { 0.0 };
                for i in 0..x.len() {
                    let (x0, point) = (f64::from(x0[i]), f64::from(y[i]));
                    // Not a number would make all of the image none.
                    let g = if g[i].is_finite() { f64::from(g[i]) } else { 0.0 };
                    let slope = 2.0 * (point - x0) - weight * g;
                    let next = shrink(point - rate * slope, x0, self.beta) as f32;
                    y[i] = (f64::from(next) + ahead * f64::from(next - x[i])) as f32;
                    x[i] = next;
                }
            },
        )?;
        let logits = search.logits(&state.x)?;
        let confident = confident(&search.losses(&logits, Loss::Margin)?, self.confidence as f32)?;
        let all: Vec<usize> = (0..search.len()).collect();
        // Under this objective no row leaves the active set.
        search.propose_where(&all, &confident, &state.x, &logits, ())?;
        rows::update(Kernel::NONE, [&mut state.succeeded], [&confident], |_, [any], [now]| {
            any[0] = any[0].max(now[0]);
        })
    }
}

/// `z` brought closer to `x0` by `beta`, at most to it, and into the box.
fn shrink(z: f64, x0: f64, beta: f64) -> f64 {
    let change = z - x0;
    (x0 + (change.abs() - beta).max(0.0).copysign(change)).clamp(0.0, 1.0)
}
