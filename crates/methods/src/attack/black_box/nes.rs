//! NES (Ilyas et al., ICML 2018, section 3): projected gradient steps whose gradient is estimated from the margins at
//! random points around the image, in pairs of opposite ones.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::{CONVEX, ball};
use crate::attack::{Attack, Entry, HyperParameters, Search};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const NES: Entry = Entry {
    name: "nes",
    about: "black box: gradients estimated from pairs of random points (Ilyas et al. 2018)",
    threats: CONVEX,
    is_control: false,
    fields: &[Nes::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Nes::new(norm, eps).build(parameters)
    },
};

documented! {
    /// `nes`: gradient steps with estimated gradients (Ilyas et al., ICML 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Nes {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Queries of an image, at least 1.
        pub queries: usize,
        /// Pairs of points for a gradient, at least 1: two queries each.
        pub pairs: usize,
        /// Standard deviation of the points around the image, above 0, in pixel units.
        pub sigma: f64,
        /// Length of a step in the norm, above 0.
        pub alpha: f32,
    }
}

impl Nes {
    /// 10,000 queries, 15 pairs for a gradient and steps of a fifth of the radius, as comparisons of black-box attacks
    /// run it.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, queries: 10_000, pairs: 15, sigma: 0.01, alpha: eps / 5.0 }
    }
}

impl HyperParameters for Nes {
    fn entry(&self) -> &'static Entry {
        &NES
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.pairs = parameters.count("pairs", self.pairs)?;
        self.sigma = parameters.positive("sigma", self.sigma)?;
        self.alpha = match self.eps {
            0.0 => parameters.at_least_zero("alpha", f64::from(self.alpha))?,
            _ => parameters.positive("alpha", f64::from(self.alpha))?,
        } as f32;
        Ok(Box::new(self))
    }
}

impl Attack for Nes {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequence = |x0: Vec<f32>| Descent {
            nes: self.clone(),
            x: x0.clone(),
            gradient: vec![0.0; x0.len()],
            x0,
            step: 0,
            asked: Asked::Nothing,
        };
        let sequences = clean(search)?.into_iter().map(sequence).collect();
        ask(search, sequences, self.queries)
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Descent {
    nes: Nes,
    x0: Vec<f32>,
    x: Vec<f32>,
    gradient: Vec<f32>,
    step: u32,
    asked: Asked,
}

/// What was asked last.
#[derive(Clone, Copy)]
enum Asked {
    Nothing,
    /// The first point of this pair.
    First(usize),
    /// The second one; the margin of the first.
    Second(usize, f32),
    /// Where the step led to.
    Step,
}

impl Descent {
    fn point(&self, pair: usize, sign: f32, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let moved = self.directions(pair, draw).into_iter().zip(&self.x);
        let sigma = sign * self.nes.sigma as f32;
        moved.map(|(u, x)| (x + sigma * u).clamp(0.0, 1.0)).collect()
    }

    fn directions(&self, pair: usize, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let mut u = vec![0.0; self.x.len()];
        draw(self.step * self.nes.pairs as u32 + pair as u32).normal(&mut u);
        u
    }
}

impl QuerySequence for Descent {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let margin = answer.map_or(0.0, Answer::margin);
        let pair = match self.asked {
            Asked::Nothing => 0,
            Asked::Step => {
                self.step += 1;
                self.gradient.fill(0.0);
                0
            }
            Asked::First(pair) => {
                self.asked = Asked::Second(pair, margin);
                return Some(self.point(pair, -1.0, draw));
            }
            Asked::Second(pair, first) => {
                // Infinite logits tell nothing of the direction.
                let slope = if (first - margin).is_finite() { first - margin } else { 0.0 };
                let directions = self.directions(pair, draw);
                self.gradient.iter_mut().zip(directions).for_each(|(g, u)| *g += slope * u);
                pair + 1
            }
        };
        if pair < self.nes.pairs {
            self.asked = Asked::First(pair);
            return Some(self.point(pair, 1.0, draw));
        }
        let geometry = self.nes.norm.geometry();
        geometry.ascend(&mut self.x, &self.gradient, self.nes.alpha);
        geometry.project(&mut self.x, &self.x0, self.nes.eps);
        self.asked = Asked::Step;
        Some(self.x.clone())
    }
}
