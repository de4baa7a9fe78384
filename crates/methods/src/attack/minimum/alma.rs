//! ALMA, the augmented Lagrangian attack (Rony et al., ICCV 2021, algorithms 1 and 2): the distance is minimised under the
//! constraint that the image is adversarial, whose penalty rises while it is not and falls while it is.
//!
//! The constraint is that the difference of logits ratio reaches a small positive value, not only 0: of the ratio, unlike in
//! the published code, so that a factor of the logits changes nothing. Towards a target it is the plain margin, before all
//! other classes, because the targeted ratio looks at the label alone. The published code looks for the first rate of the
//! steps with the images' geometry; so does this, for every image alone. At the clean image, where the distance has no
//! gradient, the first step follows the penalty alone, and a random direction where that has no gradient either.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::{direction, norm_of};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const ALMA: Entry = Entry {
    name: "alma",
    about: "smallest perturbation by an augmented Lagrangian (Rony et al. 2021)",
    threats: Threats::Balls(&[Norm::L2, Norm::L1]),
    is_control: false,
    fields: &[Alma::FIELDS],
    build: |parameters, threat| Alma::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `alma`: the smallest perturbation in L2 or L1 (Rony et al., ICCV 2021).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Alma {
        /// The norm that is to be small: L2 or L1.
        pub norm: Norm,
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Distance that the first step has to come to, above 0, in pixel units; it decides about the rate of all steps.
        pub init_lr_distance: f64,
        /// mu before the first step, the weight of the constraint, above 0.
        pub mu_init: f64,
        /// rho before the first step, how fast the penalty grows, above 0.
        pub rho_init: f64,
        /// Steps between two looks at whether the constraint improves, at least 1.
        pub check_steps: usize,
        /// tau, the share that the constraint has to fall to between two looks; above 0 and below 1.
        pub tau: f64,
        /// gamma, the factor of rho where it has not, above 0.
        pub gamma: f64,
        /// alpha, how much of mu and of the means of the steps stays from step to step; above 0 and below 1.
        pub alpha: f64,
    }
}

impl Alma {
    /// The values of the paper: 1000 steps, of which the first comes to 0.1 in L2 and to 0.5 in L1. There is no radius: the
    /// search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        Self {
            norm,
            steps: 1000,
            init_lr_distance: if norm == Norm::L1 { 0.5 } else { 0.1 },
            mu_init: 1.0,
            rho_init: 1.0,
            check_steps: 10,
            tau: 0.95,
            gamma: 1.2,
            alpha: 0.9,
        }
    }
}

impl HyperParameters for Alma {
    fn entry(&self) -> &'static Entry {
        &ALMA
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.init_lr_distance = parameters.positive("init_lr_distance", self.init_lr_distance)?;
        self.mu_init = parameters.positive("mu_init", self.mu_init)?;
        self.rho_init = parameters.positive("rho_init", self.rho_init)?;
        self.check_steps = parameters.count("check_steps", self.check_steps)?;
        self.tau = parameters.share("tau", self.tau)?;
        self.gamma = parameters.positive("gamma", self.gamma)?;
        self.alpha = parameters.share("alpha", self.alpha)?;
        Ok(Box::new(self))
    }
}

/// The bounds of mu.
const MU: [f64; 2] = [1e-6, 1e12];

/// What the difference of logits ratio has to reach.
const TOLERANCE: f64 = 1e-4;

/// Share of the rate that is left at the end.
const LAST_RATE: f64 = 0.01;

/// The constraint of one image and its penalty.
#[derive(Clone)]
struct Constraint {
    mu: f64,
    rho: f64,
    /// The constraint at the last look; positive while it does not hold.
    before: f64,
    /// The step at which an adversarial image was found first.
    found: Option<usize>,
    /// Rate of the steps until then.
    rate: f64,
}

/// Derivative of the penalty P2 at the constraint y (section 3.2 and appendix of the paper):
/// mu y + mu rho y^2 + rho^2 y^3 / 6 where it does not hold, and mu y / (1 - rho y) where it does.
fn slope(y: f64, mu: f64, rho: f64) -> f64 {
    if y >= 0.0 {
        mu + 2.0 * mu * rho * y + 0.5 * rho * rho * y * y
    } else {
        mu / ((1.0 - rho * y) * (1.0 - rho * y))
    }
}

/// The images with the means of RMSProp with momentum.
struct RunState {
    x: Rows,
    squares: Rows,
    momentum: Rows,
    constraints: Vec<Constraint>,
}

impl Attack for Alma {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        // Towards a target.
        vec![Loss::Dlr, Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(2.0 * self.steps as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let (n, place, clean) = (search.len(), search.location().clone(), search.clean().clone());
        let numbers = n * clean.width();
        let mut state = RunState {
            x: clean.clone(),
            squares: Rows::new(&place, clean.shape(), vec![1.0; numbers])?,
            momentum: Rows::new(&place, clean.shape(), vec![0.0; numbers])?,
            constraints: vec![
                Constraint {
                    mu: self.mu_init,
                    rho: self.rho_init,
                    before: f64::INFINITY,
                    found: None,
                    rate: 0.0,
                };
                n
            ],
        };
        let loss = if search.targets().is_some() { Loss::Margin } else { Loss::Dlr };
        for step in 0..self.steps {
            let mut at = search.gradient(&state.x, loss)?;
            // Under this objective no row leaves the active set.
            search.propose(&state.x, &at.logits, ())?;
            if step == 0 {
                leave_plateau(search, &mut at.gradient)?;
            }
            let adversarial = search.succeeded(&at.logits)?.values()?;
            let losses = at.losses.values()?;
            for (i, constraint) in state.constraints.iter_mut().enumerate() {
                let y = TOLERANCE - f64::from(losses[i]);
                self.tighten(constraint, step, y, adversarial[i] != 0.0);
            }
            let weights = Rows::numbers(&place, self.weights(&state, &losses))?;
            if step == 0 {
                self.find_rates(&mut state, &clean, &at.gradient, &weights)?;
            }
            let rates = state.constraints.iter().map(|one| self.rate(one, step) as f32);
            let rates = Rows::numbers(&place, rates.collect())?;
            self.advance(&mut state, step, [&clean, &at.gradient, &weights, &rates])?;
        }
        let logits = search.logits(&state.x)?;
        search.propose(&state.x, &logits, ())
    }
}

impl Alma {
    /// mu follows the slope of the penalty; rho grows where the constraint has not improved for some steps.
    fn tighten(&self, one: &mut Constraint, step: usize, y: f64, adversarial: bool) {
        if adversarial && one.found.is_none() {
            one.found = Some(step);
        }
        if step == 0 {
            one.before = y;
            return;
        }
        if (step + 1).is_multiple_of(self.check_steps) {
            if one.found.is_none() && y >= self.tau * one.before {
                one.rho *= self.gamma;
            }
            one.before = y;
        }
        let slope = slope(y, one.mu, one.rho);
        one.mu = (self.alpha * one.mu + (1.0 - self.alpha) * slope).clamp(MU[0], MU[1]);
    }

    /// How much the gradient of the constraint counts beside that of the distance.
    fn weights(&self, state: &RunState, losses: &[f32]) -> Vec<f32> {
        let weight = |(one, loss): (&Constraint, &f32)| {
            slope(TOLERANCE - f64::from(*loss), one.mu, one.rho) as f32
        };
        state.constraints.iter().zip(losses).map(weight).collect()
    }

    /// The rate of a step: once the image is broken it falls to a hundredth by the end.
    fn rate(&self, one: &Constraint, step: usize) -> f64 {
        let Some(found) = one.found else { return one.rate };
        let share = (step - found) as f64 / (self.steps - found) as f64;
        one.rate * libm::pow(LAST_RATE, share)
    }

    /// The rate with which the first step comes to the distance that it has to: doubled until it does, and bisected.
    fn find_rates(
        &self,
        state: &mut RunState,
        clean: &Rows,
        gradient: &Rows,
        weights: &Rows,
    ) -> Result<()> {
        let (geometry, alpha) = (self.norm.geometry(), self.alpha as f32);
        let rates =
            rows::map_to(Kernel::NONE, &[], [clean, gradient, weights], |_, inputs, rate| {
                let [x0, g, weight] = inputs;
                let mut x = vec![0.0_f32; x0.len()];
                let mut reached = |rate: f64| {
                    for ((x, x0), g) in x.iter_mut().zip(x0).zip(g) {
                        let g = -weight[0] * g;
                        let step = g / ((alpha + (1.0 - alpha) * g * g).sqrt() + SMALL);
                        *x = (x0 - rate as f32 * step).clamp(0.0, 1.0);
                    }
                    geometry.distance(&x, x0)
                };
                let (mut low, mut high) = (0.0, self.init_lr_distance);
                // Where the gradient is 0 or the box is too small no rate is large enough.
                for _ in 0..64 {
                    if reached(high) >= self.init_lr_distance {
                        break;
                    }
                    (low, high) = (high, 2.0 * high);
                }
                for _ in 0..20 {
                    let middle = f64::midpoint(low, high);
                    let far = reached(middle) >= self.init_lr_distance;
                    *(if far { &mut high } else { &mut low }) = middle;
                }
                rate[0] = f64::midpoint(low, high) as f32;
            })?;
        for (one, rate) in state.constraints.iter_mut().zip(rates.values()?.iter()) {
            one.rate = f64::from(*rate);
        }
        Ok(())
    }

    /// A step of RMSProp with momentum on the distance plus the penalty.
    fn advance(&self, state: &mut RunState, step: usize, inputs: [&Rows; 4]) -> Result<()> {
        let alpha = self.alpha as f32;
        let RunState { x, squares, momentum, .. } = state;
        rows::update(Kernel::NONE, [x, squares, momentum], inputs, |_, outputs, inputs| {
            let [x, squares, momentum] = outputs;
            let [x0, g, weight, rate] = inputs;
            let length = self.norm.geometry().distance(x, x0) as f32;
            for i in 0..x.len() {
                let change = x[i] - x0[i];
                let distance = match self.norm {
                    _ if step == 0 || change == 0.0 => 0.0,
                    Norm::L1 => 1.0_f32.copysign(change),
                    _ => change / length,
                };
                // Not a number would make all of the image none.
                let g = if g[i].is_finite() { distance - weight[0] * g[i] } else { distance };
                squares[i] = alpha * squares[i] + (1.0 - alpha) * g * g;
                momentum[i] = alpha * momentum[i] + g / (squares[i].sqrt() + SMALL);
                x[i] = (x[i] - rate[0] * momentum[i]).clamp(0.0, 1.0);
            }
        })
    }
}

/// Gives a gradient of 0 at the clean images a random direction.
fn leave_plateau(search: &Search<'_>, gradient: &mut Rows) -> Result<()> {
    rows::update(Kernel::NONE, [gradient], [], |row, [g], []| {
        if g.iter().all(|g| *g == 0.0) {
            let random = direction(g, search.draw(row, 0, 0));
            g.iter_mut().zip(random).for_each(|(g, random)| *g = random as f32);
        }
    })
}

/// Keeps a step along a gradient of 0 from being none at all.
const SMALL: f32 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;

    /// P2 and its derivative, and that both pieces meet.
    #[test]
    fn the_slope_is_the_derivative_of_the_penalty() {
        let penalty = |y: f64, mu: f64, rho: f64| {
            if y >= 0.0 {
                mu * y + mu * rho * y * y + rho * rho * y * y * y / 6.0
            } else {
                mu * y / (1.0 - rho * y)
            }
        };
        for (mu, rho) in [(1.0, 1.0), (0.3, 2.0), (20.0, 0.5)] {
            for y in [-3.0, -0.2, -1e-3, 1e-3, 0.4, 1.7] {
                let h = 1e-6;
                let difference = (penalty(y + h, mu, rho) - penalty(y - h, mu, rho)) / (2.0 * h);
                assert!((slope(y, mu, rho) - difference).abs() < 1e-5 * mu.max(1.0), "{y}");
            }
            assert!((slope(-1e-12, mu, rho) - slope(0.0, mu, rho)).abs() < 1e-9);
        }
    }

    #[test]
    fn rho_grows_only_while_nothing_is_found_and_nothing_improves() {
        let alma = Alma::new(Norm::L2);
        let state = |values: &dyn Fn(usize) -> f64| {
            let mut one = Constraint { mu: 1.0, rho: 1.0, before: 0.0, found: None, rate: 0.0 };
            for step in 0..30 {
                alma.tighten(&mut one, step, values(step), values(step) < 0.0);
            }
            one.rho
        };
        assert!((state(&|_| 0.5) - 1.2_f64.powi(3)).abs() < 1e-12);
        assert!((state(&|step| 0.9_f64.powi(step as i32)) - 1.0).abs() < 1e-12);
        assert!((state(&|step| if step == 4 { -0.1 } else { 0.5 }) - 1.0).abs() < 1e-12);
    }
}
