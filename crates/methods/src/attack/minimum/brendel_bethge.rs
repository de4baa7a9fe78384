//! The Brendel & Bethge attack (Brendel et al., NeurIPS 2019): from an adversarial image far away along the boundary to the
//! closest one. Each step solves a small problem ([`super::boundary_step`]): as close to the clean image as the linearised
//! boundary and a radius of trust let it.
//!
//! Schedule, overshoot and momentum are those of the authors' code, which halves the radius at fixed steps where the paper
//! adapts it. Four things differ from that code. There the radius grows with the number of values of the whole batch, here
//! with that of an image. There a step overshoots by a share of the margin, which becomes smaller than f32 can tell, and the
//! search then stands on whichever side of the boundary rounding puts it; here it is a share of the distance at least.
//! The start is the one of that code, uniform noise, blended with the image until it is adversarial, and a bisection in the
//! norm; where no noise is adversarial, as for most robust networks, that code gives up, and here the search begins at the
//! clean image, from which its first steps lead to the boundary. The bisection in L0 takes the largest changes in first,
//! there the smallest. A gradient that is not finite is left out of the mean.
//!
//! In L0 a value comes back whole or not at all, so the radius has to reach as far: small images need a larger `lr`.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::boundary_step::Problem;
use super::norm_of;
use crate::attack::fab::{dual, length};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const BRENDEL_BETHGE: Entry = Entry {
    name: "brendel-bethge",
    about: "along the boundary from far away to the closest image (Brendel et al. 2019)",
    threats: Threats::Balls(&[Norm::Linf, Norm::L2, Norm::L1, Norm::L0]),
    is_control: false,
    fields: &[BrendelBethge::FIELDS],
    build: |parameters, threat| BrendelBethge::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `brendel-bethge`: the smallest perturbation in a norm (Brendel et al., NeurIPS 2019).
    #[derive(Debug, Clone, PartialEq)]
    pub struct BrendelBethge {
        /// The norm that is to be small.
        pub norm: Norm,
        /// Number of steps, at least 1: a forward and a backward pass each, and a forward pass at the end.
        pub steps: usize,
        /// Radius of trust of the first step for each value of an image, above 0, in pixel units.
        pub lr: f64,
        /// Factor of the radius, above 0 and below 1.
        pub lr_decay: f64,
        /// How often the factor is applied, at equal distances; at least 1.
        pub lr_num_decay: usize,
        /// How far beyond the linearised boundary a step leads, at least 0 and below 2; 1 for exactly there.
        pub overshoot: f64,
        /// How much of the mean of the gradients stays from step to step, at least 0 and below 1.
        pub momentum: f64,
        /// Images of noise that are tried as a start, at least 1; a forward pass each until one is adversarial.
        pub directions: usize,
        /// Blends of noise and image that are tried from the image on, at least 1; a forward pass each.
        pub blends: usize,
        /// Bisections of the start; a forward pass each.
        pub binary_search_steps: usize,
    }
}

impl BrendelBethge {
    /// The values of the authors' code. There is no radius: the search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        Self {
            norm,
            steps: 1000,
            lr: 1e-3,
            lr_decay: 0.5,
            lr_num_decay: 20,
            overshoot: 1.1,
            momentum: 0.8,
            directions: 1000,
            blends: 1000,
            binary_search_steps: 10,
        }
    }
}

impl HyperParameters for BrendelBethge {
    fn entry(&self) -> &'static Entry {
        &BRENDEL_BETHGE
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.lr = parameters.positive("lr", self.lr)?;
        self.lr_decay = parameters.share("lr_decay", self.lr_decay)?;
        self.lr_num_decay = parameters.count("lr_num_decay", self.lr_num_decay)?;
        self.overshoot = parameters.below("overshoot", self.overshoot, 2.0)?;
        self.momentum = parameters.below("momentum", self.momentum, 1.0)?;
        self.directions = parameters.count("directions", self.directions)?;
        self.blends = parameters.count("blends", self.blends)?;
        self.binary_search_steps =
            parameters.take("binary_search_steps", self.binary_search_steps)?;
        Ok(Box::new(self))
    }
}

/// By what share of its distance an image is to lie beyond the boundary, at least.
const BEYOND: f64 = 1e-4;

impl Attack for BrendelBethge {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        let start = self.directions + self.blends - 1 + self.binary_search_steps;
        Some(start as f64 + 2.0 * self.steps as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut x = self.start(search)?;
        let mut normal = x.clone();
        let values = x.width() as f64;
        let every = (self.steps / self.lr_num_decay).max(1);
        for step in 0..self.steps {
            let at = search.gradient(&x, Loss::Margin)?;
            // Under this objective no row leaves the active set.
            search.propose(&x, &at.logits, ())?;
            let decays = (step + 2) / every;
            let r = self.lr * values * libm::pow(self.lr_decay, decays as f64);
            let inputs = [search.clean(), &at.gradient, &at.losses];
            rows::update(
                Kernel::NONE,
                [&mut x, &mut normal],
                inputs,
                |_, [x, normal], [x0, g, margin]| {
                    self.average(normal, g, step);
                    let wide = |values: &[f32]| -> Vec<f64> {
                        values.iter().map(|value| f64::from(*value)).collect()
                    };
                    let problem = Problem {
                        norm: self.norm,
                        x0: &wide(x0),
                        x: &wide(x),
                        g: &wide(normal),
                        c: self.change(f64::from(margin[0]), self.least(normal, x, x0)),
                        r,
                    };
                    for (x, y) in x.iter_mut().zip(problem.solve()) {
                        *x = y as f32;
                    }
                },
            )?;
        }
        let logits = search.logits(&x)?;
        search.propose(&x, &logits, ())
    }
}

impl BrendelBethge {
    /// The normal of the boundary: a mean of the gradients so far.
    fn average(&self, normal: &mut [f32], g: &[f32], step: usize) {
        if step == 0 {
            normal.fill(0.0);
        }
        if g.iter().any(|g| !g.is_finite()) {
            return;
        }
        let stays = if step == 0 { 0.0 } else { self.momentum as f32 };
        for (normal, g) in normal.iter_mut().zip(g) {
            *normal = (1.0 - stays) * g + stays * *normal;
        }
    }

    /// By how much the margin has to change: a little beyond the boundary from the clean side, and not quite to it from the
    /// adversarial one, until it is `least` at least.
    fn change(&self, margin: f64, least: f64) -> f64 {
        ((self.overshoot - 1.0) * margin.abs()).max(least) - margin
    }

    /// A small share of what the change from `x0` to `x` can gain along the normal of the boundary.
    fn least(&self, normal: &[f32], x: &[f32], x0: &[f32]) -> f64 {
        let change: Vec<f32> = x.iter().zip(x0).map(|(x, x0)| x - x0).collect();
        BEYOND * length(dual(self.norm), normal) * length(self.norm, &change)
    }

    /// An image on the boundary for every row; the clean one where no noise is adversarial.
    fn start(&self, search: &mut Search<'_>) -> Result<Rows> {
        let (width, clean) = (search.clean().width(), search.clean().values()?);
        let x0 = |row: usize| &clean[row * width..][..width];
        let mut ends: Vec<Option<Vec<f32>>> = vec![None; search.len()];
        let mut left: Vec<usize> = (0..search.len()).collect();
        for direction in 0..self.directions as u32 {
            let noise = |row: &usize| {
                let mut noise = vec![0.0; width];
                search.draw(*row, 0, direction).uniform(&mut noise);
                noise
            };
            let noise: Vec<Vec<f32>> = left.iter().map(noise).collect();
            let adversarial = ask(search, &left, &noise)?;
            for ((row, noise), yes) in left.iter().zip(noise).zip(&adversarial) {
                ends[*row] = yes.then_some(noise);
            }
            left.retain(|row| ends[*row].is_none());
            if left.is_empty() {
                break;
            }
        }
        let started: Vec<usize> = (0..ends.len()).filter(|row| ends[*row].is_some()).collect();
        let mut ends: Vec<Vec<f32>> = ends.into_iter().map(Option::unwrap_or_default).collect();
        // The first blend that is adversarial, from the image on; the last one is the noise itself.
        let mut left = started.clone();
        for blend in 1..self.blends {
            let share = blend as f64 / self.blends as f64;
            let line = |row: &usize| between(Norm::L2, x0(*row), &ends[*row], share);
            let blends: Vec<Vec<f32>> = left.iter().map(line).collect();
            let adversarial = ask(search, &left, &blends)?;
            let broken = left.iter().zip(blends).zip(&adversarial).filter(|(_, yes)| **yes);
            for ((row, blend), _) in broken {
                ends[*row] = blend;
            }
            left = (0..left.len()).filter(|i| !adversarial[*i]).map(|i| left[i]).collect();
            if left.is_empty() {
                break;
            }
        }
        let mut shares = vec![[0.0, 1.0]; ends.len()];
        for _ in 0..self.binary_search_steps {
            let middle = |row: &usize| {
                let [low, high] = shares[*row];
                between(self.norm, x0(*row), &ends[*row], f64::midpoint(low, high))
            };
            let middles: Vec<Vec<f32>> = started.iter().map(middle).collect();
            let adversarial = ask(search, &started, &middles)?;
            for (row, yes) in started.iter().zip(adversarial) {
                let [low, high] = &mut shares[*row];
                *(if yes { &mut *high } else { &mut *low }) = f64::midpoint(*low, *high);
            }
        }
        let mut x = clean.to_vec();
        for row in started {
            let start = between(self.norm, x0(row), &ends[row], shares[row][1]);
            x[row * width..][..width].copy_from_slice(&start);
        }
        Rows::new(search.location(), search.clean().shape(), x)
    }
}

/// Which of these images, one for each of the active rows `of`, are adversarial.
fn ask(search: &mut Search<'_>, of: &[usize], images: &[Vec<f32>]) -> Result<Vec<bool>> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut shape = search.clean().shape().to_vec();
    shape[0] = of.len();
    let x = Rows::new(search.location(), shape, images.concat())?;
    let logits = search.logits_of(of, &x)?;
    // Under this objective no row leaves the active set.
    search.propose_for(of, &x, &logits, ())?;
    search.have_succeeded(of, &logits)
}

/// The image at `share` of the way from `x0` to `end`: on the line in L2; in the ball of this radius in Linf; in L1 with
/// changes that are shortened by the same amount, and in L0 with the changes that are larger than that.
fn between(norm: Norm, x0: &[f32], end: &[f32], share: f64) -> Vec<f32> {
    let one = |(x0, end): (&f32, &f32)| {
        let (from, change) = (f64::from(*x0), f64::from(*end) - f64::from(*x0));
        let left_out = 1.0 - share;
        let part = match norm {
            Norm::L2 => share * change,
            Norm::Linf => change.clamp(-share, share),
            Norm::L1 => (change.abs() - left_out).max(0.0).copysign(change),
            Norm::L0 | Norm::L0Pixels if change.abs() > left_out => change,
            Norm::L0 | Norm::L0Pixels => 0.0,
        };
        if part == 0.0 { *x0 } else { (from + part).clamp(0.0, 1.0) as f32 }
    };
    x0.iter().zip(end).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_start_is_the_norms_own() {
        let (x0, end) = ([0.5_f32, 0.5, 0.5, 0.0], [0.75_f32, 0.0, 0.5, 1.0]);
        for (norm, middle) in [
            (Norm::L2, [0.625, 0.25, 0.5, 0.5]),
            (Norm::Linf, [0.75, 0.0, 0.5, 0.5]),
            (Norm::L1, [0.5, 0.5, 0.5, 0.5]),
            (Norm::L0, [0.5, 0.5, 0.5, 1.0]),
        ] {
            assert_eq!(between(norm, &x0, &end, 0.5), middle, "{norm}");
            assert_eq!(between(norm, &x0, &end, 0.0), x0, "{norm}");
            assert_eq!(between(norm, &x0, &end, 1.0), end, "{norm}");
        }
    }

    #[test]
    fn a_step_overshoots_from_either_side() {
        let attack = BrendelBethge::new(Norm::L2);
        assert!((attack.change(-0.2, 0.001) - 0.22).abs() < 1e-12);
        assert!((attack.change(0.2, 0.001) + 0.18).abs() < 1e-12);
        // The share of a margin that has become small is none that f32 knows of.
        assert!((attack.change(-1e-9, 0.001) - 0.001).abs() < 1e-8);
        let least = attack.least(&[3.0, 4.0], &[0.5, 0.0], &[0.0, 0.0]);
        assert!((least - 2.5e-4).abs() < 1e-10);
        let mut normal = [9.0_f32, 9.0];
        attack.average(&mut normal, &[1.0, 2.0], 0);
        attack.average(&mut normal, &[f32::NAN, 0.0], 1);
        assert_eq!(normal, [1.0, 2.0]);
        attack.average(&mut normal, &[0.0, 2.0], 2);
        assert!((normal[0] - 0.8).abs() < 1e-6 && (normal[1] - 2.0).abs() < 1e-6);
    }
}
