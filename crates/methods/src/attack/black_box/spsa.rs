//! SPSA (Uesato et al., ICML 2018, section 4.2 and appendix): the gradient of the margin is estimated from pairs of points
//! on opposite sides of the image, in directions of random signs, and Adam makes steps of it, each projected back into the
//! ball. Unlike in common implementations, every iterate is asked about and that query counts.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SPSA: Entry = Entry {
    name: "spsa",
    about: "black box: Adam on gradients estimated along random signs (Uesato et al. 2018)",
    threats: Threats::Balls(&[Norm::Linf]),
    is_control: false,
    fields: &[Spsa::FIELDS],
    build: |parameters, threat| Spsa::new(ball(threat).1).build(parameters),
};

documented! {
    /// `spsa`: SPSA (Uesato et al., ICML 2018), Adam on gradients that are estimated along random signs.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Spsa {
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Queries of an image, at least 1.
        pub queries: usize,
        /// Pairs of points for a gradient, at least 1: two queries each.
        pub pairs: usize,
        /// How far the points are from the image in every pixel, above 0.
        pub delta: f64,
        /// Adam's, above 0: about the length of the first step in every pixel.
        pub learning_rate: f64,
    }
}

impl Spsa {
    /// The paper's step size and distance of points, 128 points for a gradient as in common implementations (the paper
    /// goes up to 8,192), and 10,000 queries.
    pub fn new(eps: f32) -> Self {
        Self { eps, queries: 10_000, pairs: 64, delta: 0.01, learning_rate: 0.01 }
    }
}

impl HyperParameters for Spsa {
    fn entry(&self) -> &'static Entry {
        &SPSA
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::Linf, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.pairs = parameters.count("pairs", self.pairs)?;
        self.delta = parameters.positive("delta", self.delta)?;
        self.learning_rate = parameters.positive("learning_rate", self.learning_rate)?;
        Ok(Box::new(self))
    }
}

impl Attack for Spsa {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0)).collect();
        ask(search, sequences, self.queries)
    }
}

impl Spsa {
    fn sequence(&self, x0: Vec<f32>) -> Descent {
        let n = x0.len();
        Descent {
            spsa: self.clone(),
            x: x0.clone(),
            x0,
            gradient: vec![0.0; n],
            adam: Adam { first: vec![0.0; n], second: vec![0.0; n], steps: 0 },
            asked: Asked::Nothing,
        }
    }
}

/// Adam's averages (Kingma and Ba, ICLR 2015).
#[derive(Clone)]
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: u32,
}

impl Adam {
    /// Moves `x` up the gradient.
    fn ascend(&mut self, x: &mut [f32], gradient: &[f64], learning_rate: f64) {
        const BETAS: [f64; 2] = [0.9, 0.999];
        self.steps += 1;
        let [correct_first, correct_second] = BETAS.map(|b| 1.0 - b.powi(self.steps as i32));
        let averages = self.first.iter_mut().zip(&mut self.second);
        for ((x, g), (first, second)) in x.iter_mut().zip(gradient).zip(averages) {
            *first = BETAS[0] * *first + (1.0 - BETAS[0]) * g;
            *second = BETAS[1] * *second + (1.0 - BETAS[1]) * g * g;
            let scale = (*second / correct_second).sqrt() + 1e-8;
            *x = (f64::from(*x) + learning_rate * *first / correct_first / scale) as f32;
        }
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Descent {
    spsa: Spsa,
    x0: Vec<f32>,
    x: Vec<f32>,
    /// Mean of what the pairs have told.
    gradient: Vec<f64>,
    adam: Adam,
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
    /// Random signs.
    fn direction(&self, pair: usize, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let mut v = vec![0.0; self.x.len()];
        draw(self.adam.steps.wrapping_mul(self.spsa.pairs as u32).wrapping_add(pair as u32))
            .uniform(&mut v);
        v.iter_mut().for_each(|v| *v = if *v < 0.5 { -1.0 } else { 1.0 });
        v
    }

    fn point(&self, pair: usize, sign: f32, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let delta = sign * self.spsa.delta as f32;
        let moved = self.direction(pair, draw).into_iter().zip(&self.x);
        moved.map(|(v, x)| (x + delta * v).clamp(0.0, 1.0)).collect()
    }

    fn add(&mut self, pair: usize, slope: f64, draw: &dyn Fn(u32) -> Draw) {
        let share = slope / self.spsa.pairs as f64;
        let direction = self.direction(pair, draw);
        for (g, v) in self.gradient.iter_mut().zip(direction) {
            *g += share * f64::from(v);
        }
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
                self.gradient.fill(0.0);
                0
            }
            Asked::First(pair) => {
                self.asked = Asked::Second(pair, margin);
                return Some(self.point(pair, -1.0, draw));
            }
            Asked::Second(pair, first) => {
                let slope = f64::from(first - margin) / (2.0 * self.spsa.delta);
                // Infinite logits tell nothing of the direction.
                if slope.is_finite() {
                    self.add(pair, slope, draw);
                }
                pair + 1
            }
        };
        if pair < self.spsa.pairs {
            self.asked = Asked::First(pair);
            return Some(self.point(pair, 1.0, draw));
        }
        self.adam.ascend(&mut self.x, &self.gradient, self.spsa.learning_rate);
        Norm::Linf.geometry().project(&mut self.x, &self.x0, self.spsa.eps);
        self.asked = Asked::Step;
        Some(self.x.clone())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device::Cpu, Tensor};

    use super::*;
    use crate::attack::tests::{linear, run};
    use crate::data::Batch;
    use crate::rng::Stream;

    fn slopes() -> Vec<f32> {
        (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect()
    }

    #[test]
    fn a_linear_network_breaks_exactly_at_its_distance() {
        let w = slopes();
        let images = Tensor::full(0.5_f32, (1, 1, 3, 4), &Cpu).unwrap();
        let batch = Batch { ids: vec![0], images, labels: vec![0] };
        let margin = 0.3_f32;
        let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 3, 4]);
        let distance = margin / w.iter().map(|v| v.abs()).sum::<f32>();
        let found = |factor: f32| {
            run("spsa", &[], Threat::ball(Norm::Linf, factor * distance), &model, &batch)[0].found
        };
        assert!(found(1.02));
        assert!(!found(0.98));
    }

    /// The mean over many pairs is the gradient, and 128 queries and one for the step make an iteration.
    #[test]
    fn the_estimate_is_the_gradient_of_a_linear_network() {
        let w = slopes();
        let draw = |number: u32| Stream::new(4, "spsa").draw(1, number);
        let mut search = Spsa { pairs: 4000, ..Spsa::new(0.1) }.sequence(vec![0.5; 12]);
        let mut question = search.next(None, &draw).unwrap();
        for _ in 0..8000 {
            let z: f32 = w.iter().zip(&question).map(|(w, x)| w * x).sum();
            let logits = [0.0, z];
            let answer = Answer { logits: &logits, label: 0, target: None, success: false };
            question = search.next(Some(&answer), &draw).unwrap();
        }
        // The deviation of an estimate is the length of the others' slopes by the root of the pairs.
        let length = w.iter().map(|w| w * w).sum::<f32>().sqrt();
        for (g, w) in search.gradient.iter().zip(&w) {
            assert!((g - f64::from(*w)).abs() < 4.0 * f64::from(length) / 4000_f64.sqrt());
        }
        // Adam's first step is as long in every pixel.
        for (x, w) in question.iter().zip(&w) {
            assert!((x - (0.5 + 0.01 * w.signum())).abs() < 1e-5, "{x} {w}");
        }
        assert!(matches!(search.asked, Asked::Step));
    }

    /// Adam's second step, by hand: gradients 2 and -1 with learning rate 0.1.
    #[test]
    fn adam_is_adam() {
        let mut adam = Adam { first: vec![0.0], second: vec![0.0], steps: 0 };
        let mut x = [0.0_f32];
        adam.ascend(&mut x, &[2.0], 0.1);
        assert!((x[0] - 0.1).abs() < 1e-6);
        adam.ascend(&mut x, &[-1.0], 0.1);
        let first = (0.9 * 0.1 * 2.0 - 0.1) / (1.0 - 0.81);
        let second = (0.999 * 0.001 * 4.0 + 0.001) / (1.0 - 0.999_f64 * 0.999);
        let want = 0.1 + 0.1 * first / second.sqrt();
        assert!((f64::from(x[0]) - want).abs() < 1e-6, "{} {want}", x[0]);
    }
}
