//! PDPGD, primal-dual proximal gradient descent (Matyasko and Chau, arXiv 2106.01538): Adam on the softened margin alone,
//! and after each step the proximal map of the norm, which is exact where the norm has no gradient: pixels go back to
//! the clean image for L1, the largest changes become equal for Linf. Adam measures every pixel by its own rate, so
//! the proximal map in that metric is approached in a few rounds, as published.

use super::super::{Attack, Entry, HyperParameters, Objective, Search};
use super::norm_of;
use super::primal_dual::descend;
use crate::attack::fab::length;
use crate::attack::gradient::CONVEX;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const PDPGD: Entry = Entry {
    name: "pdpgd",
    about: "smallest perturbation by primal-dual proximal gradient descent (Matyasko and Chau 2021)",
    threats: CONVEX,
    is_control: false,
    fields: &[Pdpgd::FIELDS],
    build: |parameters, threat| Pdpgd::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `pdpgd`: the smallest perturbation in a norm (Matyasko and Chau, arXiv 2106.01538).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pdpgd {
        /// The norm that is to be small.
        pub norm: Norm,
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Rate of Adam in the first step, above 0.
        pub lr_init: f64,
        /// That of the last one, above 0.
        pub lr_final: f64,
        /// Most rounds of the proximal map in a step, at least 1.
        pub proximal_steps: usize,
        /// Change of the perturbation in a round, as a share of it, below which the rounds end; at least 0.
        pub tolerance: f64,
    }
}

impl Pdpgd {
    /// 500 steps with rates from 0.1 down to 0.001, and five rounds. There is no radius: the search is for the closest
    /// image.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 500, lr_init: 0.1, lr_final: 0.001, proximal_steps: 5, tolerance: 0.01 }
    }
}

impl HyperParameters for Pdpgd {
    fn entry(&self) -> &'static Entry {
        &PDPGD
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.lr_init = parameters.positive("lr_init", self.lr_init)?;
        self.lr_final = parameters.positive("lr_final", self.lr_final)?;
        self.proximal_steps = parameters.count("proximal_steps", self.proximal_steps)?;
        self.tolerance = parameters.at_least_zero("tolerance", self.tolerance)?;
        Ok(Box::new(self))
    }
}

impl Attack for Pdpgd {
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
            // The margin has the weight 1 here, and the distance their ratio.
            let [weight, slope] = [weights[0], weights[1]].map(f64::from);
            let mut scale = vec![0.0; x.len()];
            let mut r = vec![0.0_f32; x.len()];
            for i in 0..x.len() {
                let [mean, size] =
                    adam.take(slope * f64::from(g[i]), &mut first[i], &mut second[i]);
                scale[i] = size;
                r[i] = (f64::from(x[i]) - f64::from(x0[i]) - adam.rate * mean / size) as f32;
            }
            let largest = scale.iter().copied().fold(0.0, f64::max);
            scale.iter_mut().for_each(|scale| *scale /= largest);
            let mu = (1.0 - weight) / weight * adam.rate / largest;
            self.approach(x, x0, &r, &scale, mu);
        })
    }
}

impl Pdpgd {
    /// Writes to `x` the image whose change is the proximal map of `mu` times the norm at `r`, in the metric `scale`:
    /// the fixed point of z = prox(z - scale (z - r)), inside the box.
    fn approach(&self, x: &mut [f32], x0: &[f32], r: &[f32], scale: &[f64], mu: f64) {
        let in_box = |z: f32, x0: f32| z.clamp(-x0, 1.0 - x0);
        let mut z: Vec<f32> = r.iter().zip(x0).map(|(r, x0)| in_box(*r, *x0)).collect();
        for _ in 0..self.proximal_steps {
            let before = z.clone();
            for ((z, r), scale) in z.iter_mut().zip(r).zip(scale) {
                *z -= (scale * f64::from(*z - r)) as f32;
            }
            proximal(self.norm, &mut z, mu);
            z.iter_mut().zip(x0).for_each(|(z, x0)| *z = in_box(*z, *x0));
            if Norm::L2.geometry().distance(&z, &before) <= self.tolerance * length(Norm::L2, &z) {
                break;
            }
        }
        for ((x, x0), z) in x.iter_mut().zip(x0).zip(&z) {
            *x = (x0 + z).clamp(0.0, 1.0);
        }
    }
}

/// Moves `z` to the point with the least mu ||p|| + ||p - z||^2 / 2.
fn proximal(norm: Norm, z: &mut [f32], mu: f64) {
    match norm {
        Norm::L1 | Norm::L0 | Norm::L0Pixels => z.iter_mut().for_each(|z| {
            *z = ((f64::from(z.abs()) - mu).max(0.0) as f32).copysign(*z);
        }),
        Norm::L2 => {
            let length = length(Norm::L2, z);
            let kept = if length > mu { 1.0 - mu / length } else { 0.0 };
            z.iter_mut().for_each(|z| *z = (kept * f64::from(*z)) as f32);
        }
        Norm::Linf => {
            let cap = cap(z, mu) as f32;
            z.iter_mut().for_each(|z| *z = z.clamp(-cap, cap));
        }
    }
}

/// The height at which cutting off the sizes of `z` takes `mu` from their sum; 0 if there is not so much.
fn cap(z: &[f32], mu: f64) -> f64 {
    let mut sizes: Vec<f64> = z.iter().map(|z| f64::from(z.abs())).collect();
    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    for (i, size) in sizes.iter().enumerate() {
        sum += size;
        let cap = (sum - mu) / (i + 1) as f64;
        let next = sizes.get(i + 1).copied().unwrap_or(0.0);
        if cap >= next {
            return cap.max(0.0);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn objective(norm: Norm, p: &[f32], z: &[f32], mu: f64) -> f64 {
        let apart: Vec<f32> = p.iter().zip(z).map(|(p, z)| p - z).collect();
        mu * length(norm, p) + 0.5 * length(Norm::L2, &apart).powi(2)
    }

    proptest! {
        /// What the map gives is worth no more than any other point.
        #[test]
        fn the_proximal_map_is_the_least(
            z in proptest::collection::vec(-1.0_f32..1.0, 7),
            other in proptest::collection::vec(-1.0_f32..1.0, 7),
            near in proptest::collection::vec(-0.01_f32..0.01, 7),
            mu in 0.0_f64..3.0,
        ) {
            for norm in [Norm::Linf, Norm::L2, Norm::L1] {
                let mut p = z.clone();
                proximal(norm, &mut p, mu);
                let least = objective(norm, &p, &z, mu);
                let beside: Vec<f32> = p.iter().zip(&near).map(|(p, near)| p + near).collect();
                for q in [&other, &beside, &z, &vec![0.0; 7]] {
                    prop_assert!(least <= objective(norm, q, &z, mu) + 1e-6, "{} {:?}", norm, q);
                }
            }
        }
    }

    #[test]
    fn caps_by_hand() {
        assert!((cap(&[0.5, -0.3, 0.1], 0.1) - 0.4).abs() < 1e-7);
        assert!((cap(&[0.5, -0.3, 0.1], 0.4) - 0.2).abs() < 1e-7);
        assert_eq!(cap(&[0.5, -0.3, 0.1], 1.0), 0.0);
        assert_eq!(cap(&[], 1.0), 0.0);
    }
}
