//! The L2 attack of Carlini and Wagner (IEEE S&P 2017, sections V and VI): minimise
//! |x' - x|^2 + c f(x') over w with x' = (tanh w + 1) / 2, with a binary search over c. Every image
//! has its own c, its own abort and its own best; nothing in its state depends on the batch.
//!
//! One departure from the published code, which starts saturated pixels at |w| = 7.25: there tanh is
//! so flat that hundreds of steps pass before a black pixel moves, and short runs end far too long
//! (and pixels at exactly 0 or 1, with an unguarded arctanh, never move at all). Here they start at
//! |w| = arctanh(1 - 2 * `margin`), slightly inside the box; the distance is still measured from the
//! true image, so the optimum is unchanged.

use super::search::image_state;
use super::{Attack, Entry, Evaluation, HyperParameters, ImageState, Objective, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::{Norm, Threat};

pub(super) const CW_L2: Entry = Entry {
    name: "cw-l2",
    about: "smallest L2 perturbation by penalty and binary search (Carlini and Wagner 2017)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[CarliniWagner::FIELDS],
    build: |parameters, _| CarliniWagner::new().build(parameters),
};

documented! {
    /// `cw-l2`: the smallest L2 perturbation (Carlini and Wagner, IEEE S&P 2017, sections V and VI); see the module for
    /// where it departs from the published code, whose names and defaults these are.
    #[derive(Debug, Clone, PartialEq)]
    pub struct CarliniWagner {
        /// Steps of the binary search over c, at least 1.
        pub binary_search_steps: usize,
        /// Steps of Adam for one c, at least 1.
        pub max_iterations: usize,
        /// Learning rate of Adam, above 0.
        pub learning_rate: f32,
        /// The first c, above 0.
        pub initial_const: f64,
        /// kappa, the margin that a success needs, at least 0.
        pub confidence: f32,
        /// Stop at one c when the objective has not fallen for a tenth of the steps.
        pub abort_early: bool,
        /// How far inside the box saturated pixels start: above 0, at most 0.25, which larger values are taken for.
        pub margin: f32,
    }
}

impl CarliniWagner {
    /// The defaults of the published code. There is no radius: the search is for the closest image.
    pub fn new() -> Self {
        Self {
            binary_search_steps: 9,
            max_iterations: 10_000,
            learning_rate: 0.01,
            initial_const: 1e-3,
            confidence: 0.0,
            abort_early: true,
            margin: 0.01,
        }
    }
}

impl Default for CarliniWagner {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for CarliniWagner {
    fn entry(&self) -> &'static Entry {
        &CW_L2
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.binary_search_steps =
            parameters.count("binary_search_steps", self.binary_search_steps)?;
        self.max_iterations = parameters.count("max_iterations", self.max_iterations)?;
        self.learning_rate =
            parameters.positive("learning_rate", f64::from(self.learning_rate))? as f32;
        self.initial_const = parameters.positive("initial_const", self.initial_const)?;
        self.confidence =
            parameters.at_least_zero("confidence", f64::from(self.confidence))? as f32;
        self.abort_early = parameters.take("abort_early", self.abort_early)?;
        self.margin = parameters.positive("margin", f64::from(self.margin))?.min(0.25) as f32;
        Ok(Box::new(self))
    }
}

/// An upper bound of c that no search has set yet (as in the published code).
const UNBOUNDED: f64 = 1e10;

/// 1 where the margin, `[N]`, is a success with this confidence.
pub(super) fn confident(margins: &Rows, confidence: f32) -> Result<Rows> {
    rows::map(kernel!("cw_confident", confidence), [margins], |_, [margin], flag| {
        flag[0] = f32::from(u8::from(margin[0] > 0.0 && margin[0] >= confidence));
    })
}

/// The binary search of one image.
#[derive(Clone)]
pub(super) struct Constant {
    pub(super) c: f64,
    lower: f64,
    upper: f64,
    /// f reached its goal with the present c.
    pub(super) succeeded: bool,
    /// Smallest objective so far.
    smallest: f32,
    /// The same at the last check of `abort_early`.
    checked: f32,
}

impl Constant {
    pub(super) fn new(c: f64) -> Self {
        Self {
            c,
            lower: 0.0,
            upper: UNBOUNDED,
            succeeded: false,
            smallest: f32::INFINITY,
            checked: f32::INFINITY,
        }
    }

    /// The next c, by whether the present one was enough.
    pub(super) fn next(&mut self) {
        if self.succeeded {
            self.upper = self.upper.min(self.c);
        } else {
            self.lower = self.lower.max(self.c);
        }
        self.c = match (self.upper < UNBOUNDED, self.succeeded) {
            (true, _) => f64::midpoint(self.lower, self.upper),
            (false, _) => self.c * 10.0,
        };
        self.succeeded = false;
        self.smallest = f32::INFINITY;
        self.checked = f32::INFINITY;
    }
}

/// The images that are still moving in one step of the binary search, with Adam's state.
struct RunState {
    /// Active rows of the search these belong to.
    of: Vec<usize>,
    clean: Rows,
    w: Rows,
    first: Rows,
    second: Rows,
    /// The present c, `[N]`.
    c: Rows,
    /// 1 where f reached its goal.
    succeeded: Rows,
    /// Smallest objective so far.
    smallest: Rows,
}

image_state!(RunState { of, clean, w, first, second, c, succeeded, smallest });

impl RunState {
    fn new(search: &Search<'_>, start: &Rows, constants: &[Constant]) -> Result<Self> {
        let (n, place) = (search.len(), search.location());
        let zeros = Rows::new(place, start.shape(), vec![0.0; n * start.width()])?;
        Ok(Self {
            of: (0..n).collect(),
            clean: search.clean().clone(),
            w: start.clone(),
            first: zeros.clone(),
            second: zeros,
            c: Rows::numbers(place, constants.iter().map(|k| k.c as f32).collect())?,
            succeeded: Rows::numbers(place, vec![0.0; n])?,
            smallest: Rows::numbers(place, vec![f32::INFINITY; n])?,
        })
    }

    /// Writes down how far the images have come.
    fn report(&self, constants: &mut [Constant]) -> Result<()> {
        let (succeeded, smallest) = (self.succeeded.values()?, self.smallest.values()?);
        for (i, row) in self.of.iter().enumerate() {
            constants[*row].succeeded = succeeded[i] != 0.0;
            constants[*row].smallest = smallest[i];
        }
        Ok(())
    }
}

impl Attack for CarliniWagner {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(2.0 * self.binary_search_steps as f64 * self.max_iterations as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let start = rows::map(Kernel::NONE, [search.clean()], |_, [x], w| {
            for (w, x) in w.iter_mut().zip(x) {
                *w = libm::atanhf(
                    (2.0 * *x - 1.0).clamp(2.0 * self.margin - 1.0, 1.0 - 2.0 * self.margin),
                );
            }
        })?;
        let mut constants = vec![Constant::new(self.initial_const); search.len()];
        for step in 0..self.binary_search_steps {
            // The last of many steps tries the largest c, in case the search stopped short.
            if step + 1 == self.binary_search_steps && self.binary_search_steps >= 10 {
                constants.iter_mut().for_each(|k| k.c = k.upper);
            }
            self.descend(search, &start, &mut constants)?;
            constants.iter_mut().for_each(Constant::next);
        }
        Ok(())
    }
}

impl CarliniWagner {
    /// Minimises with every image's present c.
    fn descend(
        &self,
        search: &mut Search<'_>,
        start: &Rows,
        constants: &mut [Constant],
    ) -> Result<()> {
        let mut state = RunState::new(search, start, constants)?;
        let check_every = self.max_iterations.div_ceil(10);
        for iteration in 1..=self.max_iterations {
            let x = rows::map(kernel!("cw_image"), [&state.w], |_, [w], x| {
                for (x, w) in x.iter_mut().zip(w) {
                    *x = 0.5 * (libm::tanhf(*w) + 1.0);
                }
            })?;
            let at = search.gradient_of(&state.of, &x, Loss::Margin)?;
            let confident = confident(&at.losses, self.confidence)?;
            // Under this objective no row leaves the active set.
            search.propose_where(&state.of, &confident, &x, &at.logits, ())?;
            self.step(&mut state, &x, &at, iteration)?;

            if self.abort_early && iteration % check_every == 0 {
                state.report(constants)?;
                // By the smallest objective so far: Adam's state swings, and the objective of the
                // moment would stop images that still come closer.
                let moving = |i: &usize| {
                    let k = &mut constants[state.of[*i]];
                    let improves = k.smallest <= 0.9999 * k.checked;
                    k.checked = k.smallest;
                    improves
                };
                let keep: Vec<usize> = (0..state.of.len()).filter(moving).collect();
                if keep.is_empty() {
                    return Ok(());
                }
                if keep.len() < state.of.len() {
                    state.keep(&keep)?;
                }
            }
        }
        state.report(constants)
    }

    /// One step of Adam (Kingma and Ba 2015, algorithm 1) on w, and what the point it leaves was worth.
    fn step(
        &self,
        state: &mut RunState,
        x: &Rows,
        at: &Evaluation,
        iteration: usize,
    ) -> Result<()> {
        const BETA: [f32; 2] = [0.9, 0.999];
        let unbias = BETA.map(|beta| 1.0 - beta.powi(iteration as i32));
        let Self { confidence, learning_rate, .. } = *self;
        let kernel = kernel!("cw_step", confidence, learning_rate, unbias[0], unbias[1]);
        let RunState { clean, w, first, second, c, succeeded, smallest, .. } = state;
        rows::update(
            kernel,
            [w, first, second, succeeded, smallest],
            [x, &at.gradient, clean, &at.losses, c],
            |_, [w, first, second, succeeded, smallest], [x, gradient, x0, margin, c]| {
                let (margin, c) = (margin[0], c[0]);
                let squared: f32 = x.iter().zip(x0).map(|(x, x0)| (x - x0) * (x - x0)).sum();
                smallest[0] = smallest[0].min(squared + c * (confidence - margin).max(0.0));
                if margin > 0.0 && margin >= confidence {
                    succeeded[0] = 1.0;
                }
                // f(x') = max(0, confidence - margin): while it is positive, its gradient is -margin's.
                let weight = if margin < confidence || margin <= 0.0 { c } else { 0.0 };
                for (i, w) in w.iter_mut().enumerate() {
                    // d/dw of |x' - x|^2 - weight * margin, with dx'/dw = 2 x' (1 - x').
                    let x = x[i];
                    let g = (2.0 * (x - x0[i]) - weight * gradient[i]) * 2.0 * x * (1.0 - x);
                    let m = BETA[0] * first[i] + (1.0 - BETA[0]) * g;
                    let v = BETA[1] * second[i] + (1.0 - BETA[1]) * g * g;
                    (first[i], second[i]) = (m, v);
                    *w -= learning_rate * (m / unbias[0]) / ((v / unbias[1]).sqrt() + 1e-8);
                }
            },
        )
    }
}

#[cfg(test)]
mod tests;
