//! The L2 attack of Carlini and Wagner (IEEE S&P 2017, sections V and VI): minimise
//! |x' - x|^2 + c f(x') over w with x' = (tanh w + 1) / 2, with a binary search over c. Every image
//! has its own c, its own abort and its own best; nothing in its course depends on the batch.
//!
//! One departure from the published code, which starts saturated pixels at |w| = 7.25: there tanh is
//! so flat that hundreds of steps pass before a black pixel moves, and short runs end far too long
//! (and pixels at exactly 0 or 1, with an unguarded arctanh, never move at all). Here they start at
//! |w| = arctanh(1 - 2 * `margin`), slightly inside the box; the distance is still measured from the
//! true image, so the optimum is unchanged.

use candle_core::Tensor;

use super::{Attack, Entry, Objective, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::ops::rows;
use crate::threat::Norm;

/// See the module's documentation.
pub(super) const CW_L2: Entry = Entry {
    name: "cw-l2",
    about: "smallest L2 perturbation by penalty and binary search (Carlini and Wagner 2017)",
    threats: Threats::Balls(&[Norm::L2]),
    control: false,
    build: |parameters, _| {
        Ok(Box::new(CarliniWagner {
            binary_search_steps: parameters.count("binary_search_steps", 9)?,
            max_iterations: parameters.count("max_iterations", 10_000)?,
            learning_rate: parameters.positive("learning_rate", 0.01)? as f32,
            initial_const: parameters.positive("initial_const", 1e-3)?,
            confidence: parameters.at_least_zero("confidence", 0.0)? as f32,
            abort_early: parameters.take("abort_early", true)?,
            margin: parameters.positive("margin", 0.01)?.min(0.25) as f32,
        }))
    },
};

struct CarliniWagner {
    binary_search_steps: usize,
    max_iterations: usize,
    learning_rate: f32,
    initial_const: f64,
    confidence: f32,
    abort_early: bool,
    margin: f32,
}

/// An upper bound of c that no search has set yet (as in the published code).
const UNBOUNDED: f64 = 1e10;

/// The binary search of one image.
#[derive(Clone)]
struct Constant {
    c: f64,
    lower: f64,
    upper: f64,
    /// f reached its goal with the present c.
    succeeded: bool,
    /// Smallest objective so far.
    smallest: f32,
    /// The same at the last check of `abort_early`.
    checked: f32,
}

impl Constant {
    fn new(c: f64) -> Self {
        Self {
            c,
            lower: 0.0,
            upper: UNBOUNDED,
            succeeded: false,
            smallest: f32::INFINITY,
            checked: f32::INFINITY,
        }
    }

    fn next(&mut self) {
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

/// Adam's state for the images that are still moving in one step of the binary search.
struct Course {
    /// Active rows of the search these belong to.
    of: Vec<usize>,
    clean: Tensor,
    w: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Course {
    fn keep(&mut self, keep: &[usize]) -> Result<()> {
        self.of = keep.iter().map(|i| self.of[*i]).collect();
        for x in [&mut self.clean, &mut self.w, &mut self.first, &mut self.second] {
            *x = rows::select(x, keep)?;
        }
        Ok(())
    }
}

impl Attack for CarliniWagner {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let start = rows::map([search.clean()], |_, [x], w| {
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
        start: &Tensor,
        constants: &mut [Constant],
    ) -> Result<()> {
        let mut course = Course {
            of: (0..search.len()).collect(),
            clean: search.clean().clone(),
            w: start.clone(),
            first: start.zeros_like()?,
            second: start.zeros_like()?,
        };
        let check_every = self.max_iterations.div_ceil(10);
        for iteration in 1..=self.max_iterations {
            let x = rows::map([&course.w], |_, [w], x| {
                for (x, w) in x.iter_mut().zip(w) {
                    *x = 0.5 * (libm::tanhf(*w) + 1.0);
                }
            })?;
            let at = search.gradient_of(&course.of, &x, Loss::Margin)?;
            let confident: Vec<bool> = at
                .losses
                .iter()
                .map(|margin| *margin > 0.0 && *margin >= self.confidence)
                .collect();
            propose_confident(search, &course.of, &x, &at.logits, &confident)?;

            // f(x') = max(0, confidence - margin): while it is positive, its gradient is -margin's.
            let weights: Vec<f32> = course
                .of
                .iter()
                .zip(&at.losses)
                .map(|(row, margin)| {
                    if *margin < self.confidence || *margin <= 0.0 {
                        constants[*row].c as f32
                    } else {
                        0.0
                    }
                })
                .collect();
            let objectives = rows::reduce([&x, &course.clean], |i, [x, x0]| {
                let squared: f32 = x.iter().zip(x0).map(|(x, x0)| (x - x0) * (x - x0)).sum();
                squared
                    + constants[course.of[i]].c as f32 * (self.confidence - at.losses[i]).max(0.0)
            })?;
            for (i, row) in course.of.iter().enumerate() {
                let k = &mut constants[*row];
                k.succeeded |= confident[i];
                k.smallest = k.smallest.min(objectives[i]);
            }
            self.step(&mut course, &x, &at.gradient, &weights, iteration)?;

            if self.abort_early && iteration % check_every == 0 {
                // By the smallest objective so far: Adam's course swings, and the objective of the
                // moment would stop images that still come closer.
                let moving = |i: &usize| {
                    let k = &mut constants[course.of[*i]];
                    let improves = k.smallest <= 0.9999 * k.checked;
                    k.checked = k.smallest;
                    improves
                };
                let keep: Vec<usize> = (0..course.of.len()).filter(moving).collect();
                if keep.is_empty() {
                    break;
                }
                if keep.len() < course.of.len() {
                    course.keep(&keep)?;
                }
            }
        }
        Ok(())
    }

    /// One step of Adam (Kingma and Ba 2015, algorithm 1) on w.
    fn step(
        &self,
        course: &mut Course,
        x: &Tensor,
        gradient: &Tensor,
        weights: &[f32],
        iteration: usize,
    ) -> Result<()> {
        const BETA: [f32; 2] = [0.9, 0.999];
        // d/dw of |x' - x|^2 - weight * margin, with dx'/dw = 2 x' (1 - x').
        let g = rows::map([x, &course.clean, gradient], |i, [x, x0, m], g| {
            for (((g, x), x0), m) in g.iter_mut().zip(x).zip(x0).zip(m) {
                *g = (2.0 * (x - x0) - weights[i] * m) * 2.0 * x * (1.0 - x);
            }
        })?;
        course.first = rows::map([&course.first, &g], |_, [old, g], new| {
            for ((new, old), g) in new.iter_mut().zip(old).zip(g) {
                *new = BETA[0] * old + (1.0 - BETA[0]) * g;
            }
        })?;
        course.second = rows::map([&course.second, &g], |_, [old, g], new| {
            for ((new, old), g) in new.iter_mut().zip(old).zip(g) {
                *new = BETA[1] * old + (1.0 - BETA[1]) * g * g;
            }
        })?;
        let unbias = BETA.map(|beta| 1.0 - beta.powi(iteration as i32));
        course.w = rows::map([&course.w, &course.first, &course.second], |_, [w, m, v], new| {
            for (((new, w), m), v) in new.iter_mut().zip(w).zip(m).zip(v) {
                *new = w - self.learning_rate * (m / unbias[0]) / ((v / unbias[1]).sqrt() + 1e-8);
            }
        })?;
        Ok(())
    }
}

/// Proposes the candidates whose margin has the wanted confidence.
fn propose_confident(
    search: &mut Search<'_>,
    of: &[usize],
    x: &Tensor,
    logits: &Tensor,
    confident: &[bool],
) -> Result<()> {
    let some: Vec<usize> = (0..of.len()).filter(|i| confident[*i]).collect();
    if some.is_empty() {
        return Ok(());
    }
    let of: Vec<usize> = some.iter().map(|i| of[*i]).collect();
    // Under this objective no row leaves the active set.
    let _ = search.propose_for(&of, &rows::select(x, &some)?, &rows::select(logits, &some)?)?;
    Ok(())
}
