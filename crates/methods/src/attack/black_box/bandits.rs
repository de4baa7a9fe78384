//! Bandits with time and data priors (Ilyas, Engstrom and Madry, ICLR 2019, algorithms 2 and 3): an estimate of the
//! gradient is kept from step to step (the time prior), and it is constant on tiles (the data prior). Two points, along the
//! estimate with a random change added and taken away, tell in which direction to change it. The image then follows the
//! estimate, under Linf its sign.
//!
//! Unlike in the published code, the query that judges where the step has led to counts, so that a step costs three; and
//! the loss is the margin, whose differences do not drown in the rounding of f32 where a network is certain (`loss = ce`
//! is the published one).

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const BANDITS: Entry = Entry {
    name: "bandits",
    about: "black box: a gradient kept from step to step and constant on tiles (Ilyas et al. 2019)",
    threats: Threats::Balls(&[Norm::Linf, Norm::L2]),
    is_control: false,
    fields: &[Bandits::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Bandits::new(norm, eps).build(parameters)
    },
};

documented! {
    /// `bandits`: bandit optimisation with priors (Ilyas, Engstrom and Madry, ICLR 2019).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Bandits {
        /// Norm of the ball: Linf or L2.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Queries of an image, at least 1; three a step.
        pub queries: usize,
        /// Length of a step of the image in the norm, above 0.
        pub alpha: f32,
        /// Euclidean distance of the two points from the image, above 0, in pixel units.
        pub fd_eta: f64,
        /// Learning rate of the estimate, above 0.
        pub online_lr: f64,
        /// Length of the random change of the estimate, above 0.
        pub exploration: f64,
        /// Tiles along each side, at least 1; at most half as many as the image has pixels there.
        pub tiles: usize,
        /// What the steps climb.
        pub loss: Loss,
    }
}

impl Bandits {
    /// The paper's values for the norm, with steps of a fifth (Linf) or a tenth (L2) of the radius as it has them at 0.05
    /// and at 5, and 10,000 queries.
    pub fn new(norm: Norm, eps: f32) -> Self {
        let (alpha, fd_eta, online_lr, exploration) = match norm {
            Norm::Linf => (eps / 5.0, 0.1, 100.0, 1.0),
            _ => (eps / 10.0, 0.01, 0.1, 0.01),
        };
        let (queries, tiles, loss) = (10_000, 50, Loss::Margin);
        Self { norm, eps, queries, alpha, fd_eta, online_lr, exploration, tiles, loss }
    }
}

impl HyperParameters for Bandits {
    fn entry(&self) -> &'static Entry {
        &BANDITS
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.alpha = match self.eps {
            0.0 => parameters.at_least_zero("alpha", f64::from(self.alpha))?,
            _ => parameters.positive("alpha", f64::from(self.alpha))?,
        } as f32;
        self.fd_eta = parameters.positive("fd_eta", self.fd_eta)?;
        self.online_lr = parameters.positive("online_lr", self.online_lr)?;
        self.exploration = parameters.positive("exploration", self.exploration)?;
        self.tiles = parameters.count("tiles", self.tiles)?;
        self.loss = parameters.take("loss", self.loss)?;
        Ok(Box::new(self))
    }
}

impl Attack for Bandits {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let shape = search.shape();
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0, shape)).collect();
        ask(search, sequences, self.queries)
    }
}

impl Bandits {
    fn sequence(&self, x0: Vec<f32>, shape: [usize; 3]) -> Estimation {
        let [channels, height, width] = shape;
        let tiles = [height, width].map(|side| self.tiles.min(side / 2).max(1));
        Estimation {
            bandits: self.clone(),
            shape,
            tiles,
            x: x0.clone(),
            x0,
            prior: vec![0.0; channels * tiles[0] * tiles[1]],
            step: 0,
            asked: Asked::Nothing,
        }
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Estimation {
    bandits: Bandits,
    shape: [usize; 3],
    /// Down and across.
    tiles: [usize; 2],
    x0: Vec<f32>,
    x: Vec<f32>,
    /// What the estimate is computed from: under L2 itself, under Linf its inverse hyperbolic tangent. A step of
    /// exponentiated gradients (section 3.2) is a plain step there, and none of them is lost at the ends.
    prior: Vec<f64>,
    step: u32,
    asked: Asked,
}

/// What was asked last.
#[derive(Clone, Copy)]
enum Asked {
    Nothing,
    /// The point with the random change added.
    First,
    /// The one with it taken away; the loss of the first.
    Second(f32),
    /// Where the step led to.
    Step,
}

impl Estimation {
    /// The estimate of the gradient on the tiles.
    fn estimate(&self) -> Vec<f64> {
        match self.bandits.norm {
            Norm::Linf => self.prior.iter().map(|w| libm::tanh(*w)).collect(),
            _ => self.prior.clone(),
        }
    }

    /// The random change of this step: of about the length `exploration`.
    fn change(&self, draw: &dyn Fn(u32) -> Draw) -> Vec<f64> {
        let mut normal = vec![0.0_f32; self.prior.len()];
        draw(self.step).normal(&mut normal);
        let scale = self.bandits.exploration / (normal.len() as f64).sqrt();
        normal.into_iter().map(|v| scale * f64::from(v)).collect()
    }

    /// Values on tiles as values of the pixels, each from the nearest tile.
    fn spread(&self, tiles: &[f64]) -> Vec<f64> {
        let [channels, height, width] = self.shape;
        let [down, across] = self.tiles;
        let mut pixels = Vec::with_capacity(channels * height * width);
        for channel in tiles.chunks_exact(down * across) {
            for i in 0..height {
                let row = &channel[i * down / height * across..][..across];
                pixels.extend((0..width).map(|j| row[j * across / width]));
            }
        }
        pixels
    }

    /// The point in the direction of the estimate with the change added or taken away.
    fn point(&self, sign: f64, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let changed = self.estimate().into_iter().zip(self.change(draw));
        let direction = self.spread(&changed.map(|(v, u)| v + sign * u).collect::<Vec<_>>());
        let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-30);
        let scale = self.bandits.fd_eta / length;
        let pixels = self.x.iter().zip(direction);
        pixels.map(|(x, v)| ((f64::from(*x) + scale * v) as f32).clamp(0.0, 1.0)).collect()
    }

    /// Changes the estimate by what the losses of the two points tell.
    fn learn(&mut self, [first, second]: [f32; 2], draw: &dyn Fn(u32) -> Draw) {
        let Bandits { fd_eta, exploration, online_lr, .. } = self.bandits;
        let slope = f64::from(first - second) / (fd_eta * exploration);
        // Infinite logits tell nothing of the direction.
        if slope.is_finite() {
            let change = self.change(draw);
            self.prior.iter_mut().zip(change).for_each(|(w, u)| *w += online_lr * slope * u);
        }
    }
}

impl QuerySequence for Estimation {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let loss = answer.map_or(0.0, |answer| answer.loss(self.bandits.loss));
        match self.asked {
            Asked::Nothing => {}
            Asked::Step => self.step += 1,
            Asked::First => {
                self.asked = Asked::Second(loss);
                return Some(self.point(-1.0, draw));
            }
            Asked::Second(first) => {
                self.learn([first, loss], draw);
                let gradient = self.spread(&self.estimate());
                let gradient: Vec<f32> = gradient.into_iter().map(|g| g as f32).collect();
                let geometry = self.bandits.norm.geometry();
                geometry.ascend(&mut self.x, &gradient, self.bandits.alpha);
                geometry.project(&mut self.x, &self.x0, self.bandits.eps);
                self.asked = Asked::Step;
                return Some(self.x.clone());
            }
        }
        self.asked = Asked::First;
        Some(self.point(1.0, draw))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device::Cpu, Tensor};

    use super::*;
    use crate::attack::tests::{linear, run};
    use crate::data::Batch;
    use crate::rng::Stream;

    /// Slopes that are constant on the four tiles of a grey image of 4x4 pixels: the data prior is right.
    #[test]
    fn a_linear_network_breaks_at_its_distance() {
        let tile = [0.9_f32, -0.4, 0.2, -0.7];
        let w: Vec<f32> = (0..16).map(|i| tile[i / 8 * 2 + i % 4 / 2]).collect();
        let images = Tensor::full(0.5_f32, (1, 1, 4, 4), &Cpu).unwrap();
        let batch = Batch { ids: vec![0], images, labels: vec![0] };
        let l1 = w.iter().map(|v| v.abs()).sum::<f32>();
        let l2 = w.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (norm, dual, near) in [(Norm::Linf, l1, 1.02), (Norm::L2, l2, 1.05)] {
            let distance = 0.1;
            let model = linear(&w, distance * dual - 0.5 * w.iter().sum::<f32>(), [1, 4, 4]);
            let found = |factor: f32| {
                let ball = Threat::ball(norm, factor * distance);
                run("bandits", &[], ball, &model, &batch)[0].found
            };
            assert!(found(near), "{norm}");
            assert!(!found(0.98), "{norm}");
        }
    }

    /// Tiles cover the image, as evenly as they can.
    #[test]
    fn a_tile_is_some_neighbouring_pixels() {
        let mut search = Bandits { tiles: 2, ..Bandits::new(Norm::L2, 1.0) }
            .sequence(vec![0.5; 2 * 4 * 5], [2, 4, 5]);
        assert_eq!((search.tiles, search.prior.len()), ([2, 2], 8));
        let pixels = search.spread(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(pixels[..10], [1.0, 1.0, 1.0, 2.0, 2.0].repeat(2));
        assert_eq!(pixels[10..20], [3.0, 3.0, 3.0, 4.0, 4.0].repeat(2));
        assert_eq!(pixels[35..], [7.0, 7.0, 7.0, 8.0, 8.0]);
        // No more than half of the pixels, and one at least.
        search = Bandits::new(Norm::L2, 1.0).sequence(vec![0.5; 8], [1, 1, 8]);
        assert_eq!(search.tiles, [1, 4]);
    }

    /// One step by hand. The published form of exponentiated gradients takes the estimate p to the quotient of
    /// (1 + p) exp(lr g) less (1 - p) exp(-lr g) by their sum.
    #[test]
    fn the_estimate_follows_the_slope_along_the_change() {
        let draw = |number: u32| Stream::new(6, "bandits").draw(1, number);
        for norm in [Norm::Linf, Norm::L2] {
            let bandits = Bandits { online_lr: 0.3, ..Bandits::new(norm, 0.1) };
            let mut search = bandits.sequence(vec![0.5; 16], [1, 4, 4]);
            search.prior = vec![0.4, -0.2, 0.0, 0.1];
            let before = search.estimate();
            let change = search.change(&draw);
            let answer =
                |logits: &'static [f32]| Answer { logits, label: 0, target: None, success: false };
            let first = search.next(None, &draw).unwrap();
            let second = search.next(Some(&answer(&[0.0, -1.0])), &draw).unwrap();
            let far = |x: &[f32]| Norm::L2.geometry().distance(x, &[0.5; 16]);
            assert!((far(&first) / bandits.fd_eta - 1.0).abs() < 1e-5);
            assert!((far(&second) / bandits.fd_eta - 1.0).abs() < 1e-5);
            let step = search.next(Some(&answer(&[0.0, -1.02])), &draw).unwrap();
            let slope = 0.02 / (bandits.fd_eta * bandits.exploration);
            for ((new, old), u) in search.estimate().iter().zip(&before).zip(&change) {
                let g = slope * u;
                let up = (1.0 + old) * (0.3 * g).exp();
                let down = (1.0 - old) * (-0.3 * g).exp();
                let want =
                    if norm == Norm::Linf { (up - down) / (up + down) } else { old + 0.3 * g };
                assert!((new - want).abs() < 1e-5 * (1.0 + want.abs()), "{norm}: {new} {want}");
            }
            let moved = norm.geometry().distance(&step, &[0.5; 16]);
            assert!((moved / f64::from(bandits.alpha) - 1.0).abs() < 1e-5, "{norm}: {moved}");
        }
    }
}
