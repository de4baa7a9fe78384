//! PDGD, primal-dual gradient descent (Matyasko and Chau, arXiv 2106.01538): Adam on the distance and the softened margin
//! of the right class, whose weights are adjusted at the same time, so that no search over them is needed.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::primal_dual::descend;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const PDGD: Entry = Entry {
    name: "pdgd",
    about: "smallest L2 perturbation by primal-dual gradient descent (Matyasko and Chau 2021)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[Pdgd::FIELDS],
    build: |parameters, _| Pdgd::new().build(parameters),
};

documented! {
    /// `pdgd`: the smallest L2 perturbation (Matyasko and Chau, arXiv 2106.01538).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pdgd {
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Rate of Adam in the first step, above 0.
        pub lr_init: f64,
        /// That of the last one, above 0.
        pub lr_final: f64,
    }
}

impl Pdgd {
    /// 500 steps with rates from 0.1 down to 0.001. There is no radius: the search is for the closest image.
    pub fn new() -> Self {
        Self { steps: 500, lr_init: 0.1, lr_final: 0.001 }
    }
}

impl Default for Pdgd {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for Pdgd {
    fn entry(&self) -> &'static Entry {
        &PDGD
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.lr_init = parameters.positive("lr_init", self.lr_init)?;
        self.lr_final = parameters.positive("lr_final", self.lr_final)?;
        Ok(Box::new(self))
    }
}

impl Attack for Pdgd {
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
        descend(search, self.steps, [self.lr_init, self.lr_final], |adam, outputs, inputs| {
            let ([x, first, second], [x0, g, weights]) = (outputs, inputs);
            let [weight, slope] = [weights[0], weights[1]].map(f64::from);
            // At the clean image the distance has no gradient.
            let length = Norm::L2.geometry().distance(x, x0);
            let pull = if length > 0.0 { (1.0 - weight) / length } else { 0.0 };
            for i in 0..x.len() {
                let change = f64::from(x[i]) - f64::from(x0[i]);
                let g = pull * change + weight * slope * f64::from(g[i]);
                let [mean, size] = adam.take(g, &mut first[i], &mut second[i]);
                x[i] = (f64::from(x[i]) - adam.rate * mean / size).clamp(0.0, 1.0) as f32;
            }
        })
    }
}
