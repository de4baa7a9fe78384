//! FMN, the fast minimum-norm attack (Pintor et al., NeurIPS 2021, algorithm 1): steps along the gradient of the
//! margin, each projected on a ball whose radius follows the boundary. Until an adversarial image is found the
//! radius is where the linearised network puts the boundary; afterwards it shrinks and grows by a share.
//!
//! The step is of Euclidean length in every norm, as in the paper. On a ball in L1 the projection is the exact one,
//! from inside the box; in L0, where the radius is a number of values or pixels, it is that on ball and box together, so that no
//! value counts that the box stops. Under L0 the radius begins with one value and changes by one at least, as published,
//! and does not fall to 0. There more steps gain little, as in the published code: at the boundary the radius takes turns
//! between two numbers, the smallest change is dropped and taken back, and no single step makes another value's change as
//! large as those that are kept (benchmarks/peers/README.md has numbers). Two things are added to the paper. While nothing is found, the radius grows by its share at least:
//! where the box stops pixels, the linearised network promises a little less than what is missing every time, and the
//! boundary is approached and never crossed. And a gradient that vanishes is replaced by a random direction; the published
//! code stands still there.

use super::super::{Attack, Entry, HyperParameters, Objective, Search};
use super::{ALL_NORMS, cosine, direction, norm_of, reach};
use crate::attack::fab::{dual, length};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const FMN: Entry = Entry {
    name: "fmn",
    about: "smallest perturbation by steps projected on a ball that follows the boundary (Pintor et al. 2021)",
    threats: ALL_NORMS,
    is_control: false,
    fields: &[Fmn::FIELDS],
    build: |parameters, threat| Fmn::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `fmn`: the smallest perturbation in a norm (Pintor et al., NeurIPS 2021, algorithm 1).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fmn {
        /// The norm that is to be small.
        pub norm: Norm,
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Euclidean length of the first step, above 0, in pixel units.
        pub alpha_init: f64,
        /// That of the last one, above 0.
        pub alpha_final: f64,
        /// Share by which the radius changes in the first step, above 0 and below 1.
        pub gamma_init: f64,
        /// The same in the last one.
        pub gamma_final: f64,
    }
}

impl Fmn {
    /// The values of the authors' code: steps from 1 (10 under Linf) down to a hundredth of it. There is no radius: the
    /// search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        let alpha_init = if norm == Norm::Linf { 10.0 } else { 1.0 };
        Self {
            norm,
            steps: 1000,
            alpha_init,
            alpha_final: alpha_init / 100.0,
            gamma_init: 0.05,
            gamma_final: 0.001,
        }
    }
}

impl HyperParameters for Fmn {
    fn entry(&self) -> &'static Entry {
        &FMN
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.alpha_init = parameters.positive("alpha_init", self.alpha_init)?;
        self.alpha_final = parameters.positive("alpha_final", self.alpha_final)?;
        self.gamma_init = parameters.share("gamma_init", self.gamma_init)?;
        self.gamma_final = parameters.share("gamma_final", self.gamma_final)?;
        Ok(Box::new(self))
    }
}

impl Attack for Fmn {
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
        let (place, n) = (search.location().clone(), search.len());
        let geometry = self.norm.geometry_of(search.shape()[0]);
        let mut x = search.clean().clone();
        let mut eps = Rows::numbers(&place, vec![if self.norm.counts() { 1.0 } else { 0.0 }; n])?;
        let mut closest = Rows::numbers(&place, vec![f32::INFINITY; n])?;
        let reach = reach(self.norm, search)?;
        for step in 0..self.steps {
            let at = search.gradient(&x, Loss::Margin)?;
            // Under this objective no row leaves the active set.
            search.propose(&x, &at.logits, ())?;
            let adversarial = search.succeeded(&at.logits)?;
            let alpha = cosine(self.alpha_init, self.alpha_final, step, self.steps);
            let gamma = cosine(self.gamma_init, self.gamma_final, step, self.steps);
            rows::update(
                Kernel::NONE,
                [&mut x, &mut eps, &mut closest],
                [&at.gradient, search.clean(), &at.losses, &adversarial, &reach],
                |row, [x, eps, closest], [g, x0, margin, adversarial, reach]| {
                    let distance = geometry.distance(x, x0);
                    let adversarial = adversarial[0] != 0.0;
                    if adversarial {
                        closest[0] = closest[0].min(distance as f32);
                    }
                    let radius = if self.norm.counts() {
                        values(eps[0], closest[0], gamma, adversarial)
                    } else if adversarial {
                        (f64::from(eps[0]) * (1.0 - gamma)).min(f64::from(closest[0]))
                    } else if closest[0].is_finite() {
                        f64::from(eps[0]) * (1.0 + gamma)
                    } else {
                        let boundary =
                            distance + to_boundary(margin[0], length(dual(self.norm), g));
                        boundary.max(f64::from(eps[0]) * (1.0 + gamma))
                    };
                    eps[0] = radius.min(f64::from(reach[0])) as f32;
                    let toward = direction(g, search.draw(row, 0, step as u32));
                    for (x, toward) in x.iter_mut().zip(toward) {
                        *x = (f64::from(*x) + alpha * toward) as f32;
                    }
                    geometry.project(x, x0, eps[0]);
                },
            )?;
        }
        let logits = search.logits(&x)?;
        search.propose(&x, &logits, ())
    }
}

/// The radius in L0, of values or pixels, a whole number, after an iterate of the ball of radius `eps`; `closest` is the smallest distance so
/// far.
fn values(eps: f32, closest: f32, gamma: f64, adversarial: bool) -> f64 {
    let eps = f64::from(eps);
    if adversarial {
        (eps - 1.0).min((eps * (1.0 - gamma)).floor()).min(f64::from(closest)).max(1.0)
    } else {
        (eps + 1.0).max((eps * (1.0 + gamma)).floor())
    }
}

/// How far away the boundary of a network with this margin is, if a move of length 1 changes it by at most `slope`:
/// anywhere, where the network is flat.
fn to_boundary(margin: f32, slope: f64) -> f64 {
    if slope > 0.0 { f64::from(margin.abs()) / slope } else { f64::INFINITY }
}
