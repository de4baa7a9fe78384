//! SimBA (Guo et al., ICML 2019, algorithm 1): one direction of an orthonormal basis after the other, in random order,
//! is added to the image or taken away from it, and what lowers the probability of the label stays. The basis is that of
//! the values of the image, or the cosine transform of each channel (SimBA-DCT), low frequencies first.
//!
//! Steps are orthogonal, so so many of length alpha have the length alpha times the root of their number; what would be
//! outside the ball is projected back. As published, frequencies begin with a corner of the transform that grows when
//! all of it was tried; unlike there, a basis that was tried as a whole is gone through again as long as that helps.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SIMBA: Entry = Entry {
    name: "simba",
    about: "black box: one value or frequency after the other, up or down (Guo et al. 2019)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[Simba::FIELDS],
    build: |parameters, threat| Simba::new(ball(threat).1).build(parameters),
};

documented! {
    /// `simba`: SimBA and SimBA-DCT (Guo et al., ICML 2019), a random search over the directions of a basis.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Simba {
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Queries of an image, at least 1.
        pub queries: usize,
        /// Length of a step, above 0.
        pub alpha: f32,
        /// The directions.
        pub basis: SimbaBasis,
        /// For `dct`: the share of the frequencies along each side that the search begins with, above 0 and at most 1;
        /// at least four of them.
        pub frequencies: f64,
    }
}

/// The directions of SimBA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimbaBasis {
    /// Single values of the image.
    Pixel,
    /// The discrete cosine transform of each channel.
    Dct,
}

impl std::str::FromStr for SimbaBasis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pixel" => Ok(Self::Pixel),
            "dct" => Ok(Self::Dct),
            _ => Err("one of pixel, dct"),
        }
    }
}

impl std::fmt::Display for SimbaBasis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Pixel { "pixel" } else { "dct" })
    }
}

impl Simba {
    /// The paper's steps of 0.2, or of a fifth of the radius if that is less, its eighth of the frequencies to begin with,
    /// and 10,000 queries.
    pub fn new(eps: f32) -> Self {
        let alpha = 0.2_f32.min(eps / 5.0);
        Self { eps, queries: 10_000, alpha, basis: SimbaBasis::Pixel, frequencies: 0.125 }
    }
}

impl HyperParameters for Simba {
    fn entry(&self) -> &'static Entry {
        &SIMBA
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.alpha = match self.eps {
            0.0 => parameters.at_least_zero("alpha", f64::from(self.alpha))?,
            _ => parameters.positive("alpha", f64::from(self.alpha))?,
        } as f32;
        self.basis = parameters.take("basis", self.basis)?;
        self.frequencies = parameters.positive("frequencies", self.frequencies)?;
        Ok(Box::new(self))
    }
}

impl Attack for Simba {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let shape = search.shape();
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0, shape)).collect();
        ask(search, sequences, self.queries)
    }
}

/// The fewest frequencies along a side, if it has so many.
const FEWEST: usize = 4;

impl Simba {
    fn sequence(&self, x0: Vec<f32>, shape: [usize; 3]) -> Coordinates {
        let [_, height, width] = shape;
        let first = |side: usize| {
            let share = (self.frequencies * side as f64).ceil() as usize;
            share.clamp(FEWEST.min(side), side)
        };
        let corner = match self.basis {
            SimbaBasis::Pixel => [height, width],
            SimbaBasis::Dct => [first(height), first(width)],
        };
        Coordinates {
            simba: self.clone(),
            shape,
            x: x0.clone(),
            x0,
            best: f32::NEG_INFINITY,
            first: corner,
            corner,
            rounds: 0,
            order: vec![],
            helped: false,
            asked: None,
        }
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Coordinates {
    simba: Simba,
    shape: [usize; 3],
    x0: Vec<f32>,
    x: Vec<f32>,
    /// The loss at `x`.
    best: f32,
    /// How many rows and columns of the basis the search begins with, and how many it has come to.
    first: [usize; 2],
    corner: [usize; 2],
    /// How often an order was drawn.
    rounds: u32,
    /// Directions to be tried, the next one last, by their indices in an image.
    order: Vec<usize>,
    /// A step was made since the basis was begun with.
    helped: bool,
    asked: Option<Asked>,
}

/// What was asked last.
#[derive(Clone)]
struct Asked {
    image: Vec<f32>,
    /// The direction and its sign; none for the clean image.
    step: Option<(usize, f32)>,
}

/// Row `k` of the orthonormal cosine transform of `n` values, at `i`.
fn cosine(k: usize, i: usize, n: usize) -> f64 {
    let scale = if k == 0 { 1.0 } else { 2.0 } / n as f64;
    let angle = std::f64::consts::PI * (2 * i + 1) as f64 * k as f64 / (2 * n) as f64;
    scale.sqrt() * libm::cos(angle)
}

impl Coordinates {
    /// Adds `step` times the direction to `x`.
    fn add(&self, direction: usize, step: f64, x: &mut [f32]) {
        let [_, height, width] = self.shape;
        if self.simba.basis == SimbaBasis::Pixel {
            x[direction] = (f64::from(x[direction]) + step) as f32;
            return;
        }
        let area = height * width;
        let (channel, row, column) =
            (direction / area, direction % area / width, direction % width);
        let along: Vec<f64> = (0..width).map(|j| cosine(column, j, width)).collect();
        let plane = &mut x[channel * area..(channel + 1) * area];
        for (i, pixels) in plane.chunks_exact_mut(width).enumerate() {
            let down = step * cosine(row, i, height);
            for (pixel, along) in pixels.iter_mut().zip(&along) {
                *pixel = (f64::from(*pixel) + down * along) as f32;
            }
        }
    }

    /// The next directions in random order: those of the corner that were not in the one before. `None` if the whole
    /// basis was of no use.
    fn draw_order(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<()> {
        let [channels, height, width] = self.shape;
        let mut inner = self.corner;
        if self.rounds == 0 {
            inner = [0, 0];
        } else if self.corner == [height, width] {
            if !std::mem::take(&mut self.helped) {
                return None;
            }
            (inner, self.corner) = ([0, 0], self.first);
        } else {
            self.corner = [(2 * inner[0]).min(height), (2 * inner[1]).min(width)];
        }
        let corner = self.corner;
        let chosen = |index: &usize| {
            let (row, column) = (index % (height * width) / width, index % width);
            let inside = |corner: [usize; 2]| row < corner[0] && column < corner[1];
            inside(corner) && !inside(inner)
        };
        let mut order: Vec<usize> = (0..channels * height * width).filter(chosen).collect();
        let numbers = draw(self.rounds);
        for i in (1..order.len()).rev() {
            order.swap(i, numbers.below(i as u32, i + 1));
        }
        self.rounds += 1;
        self.order = order;
        Some(())
    }

    /// The image with a step along the direction, inside ball and box.
    fn stepped(&mut self, direction: usize, sign: f32) -> Vec<f32> {
        let mut image = self.x.clone();
        self.add(direction, f64::from(sign * self.simba.alpha), &mut image);
        Norm::L2.geometry().project(&mut image, &self.x0, self.simba.eps);
        self.asked = Some(Asked { image: image.clone(), step: Some((direction, sign)) });
        image
    }
}

impl QuerySequence for Coordinates {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let (Some(answer), Some(asked)) = (answer, self.asked.take()) else {
            self.asked = Some(Asked { image: self.x0.clone(), step: None });
            return Some(self.x0.clone());
        };
        // It grows as the probability of the label falls, or as that of the target grows.
        let loss = answer.loss(Loss::CrossEntropy);
        match asked.step {
            _ if loss > self.best => {
                (self.best, self.x) = (loss, asked.image);
                self.helped |= asked.step.is_some();
            }
            Some((direction, 1.0)) => return Some(self.stepped(direction, -1.0)),
            _ => {}
        }
        while self.order.is_empty() {
            self.draw_order(draw)?;
        }
        let direction = self.order.pop()?;
        Some(self.stepped(direction, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device::Cpu, Tensor};

    use super::*;
    use crate::attack::tests::{linear, run};
    use crate::data::Batch;
    use crate::rng::Stream;

    fn coordinates(basis: SimbaBasis, shape: [usize; 3]) -> Coordinates {
        let x0 = vec![0.5; shape.iter().product()];
        Simba { basis, ..Simba::new(1.0) }.sequence(x0, shape)
    }

    /// Directions are orthonormal, and the first frequency is the mean.
    #[test]
    fn a_basis_is_orthonormal() {
        let shape = [2, 3, 4];
        for basis in [SimbaBasis::Pixel, SimbaBasis::Dct] {
            let search = coordinates(basis, shape);
            let direction = |k: usize| {
                let mut v = vec![0.0_f32; 24];
                search.add(k, 1.0, &mut v);
                v
            };
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            for i in 0..24 {
                for j in 0..24 {
                    let want = f32::from(u8::from(i == j));
                    let got = dot(&direction(i), &direction(j));
                    assert!((got - want).abs() < 1e-6, "{basis} {i} {j}: {got}");
                }
            }
        }
        let mut mean = vec![0.0_f32; 24];
        coordinates(SimbaBasis::Dct, shape).add(12, 1.0, &mut mean);
        assert!(mean[..12].iter().all(|v| *v == 0.0));
        assert!(mean[12..].iter().all(|v| (v - 12.0_f32.sqrt().recip()).abs() < 1e-6));
    }

    /// Low frequencies first, every direction once, and then from the beginning if that has helped.
    #[test]
    fn every_direction_is_tried_once_and_low_frequencies_first() {
        let draw = |number: u32| Stream::new(1, "simba").draw(2, number);
        let mut search = coordinates(SimbaBasis::Dct, [2, 8, 12]);
        let mut seen = vec![];
        for corner in [[4, 4], [8, 8], [8, 12]] {
            search.draw_order(&draw).unwrap();
            assert_eq!(search.corner, corner);
            let order = std::mem::take(&mut search.order);
            assert!(order.windows(2).any(|two| two[0] > two[1]), "in random order");
            seen.extend(order);
            let inside = |i: &usize| i % 96 / 12 < corner[0] && i % 12 < corner[1];
            assert!(seen.iter().all(inside));
            assert_eq!(seen.len(), 2 * corner[0] * corner[1]);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 192);
        let mut again = search.clone();
        assert!(search.draw_order(&draw).is_none());
        again.helped = true;
        again.draw_order(&draw).unwrap();
        assert_eq!((again.corner, again.order.len()), ([4, 4], 32));
    }

    /// On a linear network a step along each direction helps with one sign, so that the logits' difference falls by alpha
    /// times the sum of the slopes' absolute values, and the perturbation is as long as so many orthogonal steps.
    #[test]
    fn on_a_linear_network_one_sign_of_every_direction_helps() {
        let w: Vec<f32> = (0..16).map(|i| (i as f32 * 0.7).sin() + 0.05).collect();
        let alpha = 0.01;
        for basis in [SimbaBasis::Pixel, SimbaBasis::Dct] {
            let search = coordinates(basis, [1, 4, 4]);
            let slope = |k: usize| {
                let mut v = vec![0.0_f32; 16];
                search.add(k, 1.0, &mut v);
                v.iter().zip(&w).map(|(v, w)| v * w).sum::<f32>().abs()
            };
            let all: f32 = (0..16).map(slope).sum::<f32>() * alpha;
            let smallest = (0..16).map(slope).fold(f32::INFINITY, f32::min) * alpha;
            let images = Tensor::full(0.5_f32, (1, 1, 4, 4), &Cpu).unwrap();
            let batch = Batch { ids: vec![1], images, labels: vec![0] };
            // Only the last of all steps crosses the boundary.
            let margin = all - 0.5 * smallest;
            let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 4, 4]);
            let basis = basis.to_string();
            let given = [("basis", basis.as_str()), ("alpha", "0.01"), ("queries", "1000")];
            let o = &run("simba", &given, Threat::ball(Norm::L2, 0.5), &model, &batch)[0];
            assert!(o.found, "{basis}");
            assert!((o.distance - 0.04).abs() < 1e-6, "{basis}: {}", o.distance);
            assert!((17..=33).contains(&o.forwards), "{basis}: {}", o.forwards);
        }
    }

    /// Inside the ball the search goes on where steps are projected back, to the closest boundary there is.
    #[test]
    fn a_linear_network_breaks_where_its_boundary_is_in_the_ball() {
        let w: Vec<f32> = (0..16).map(|i| (i as f32 * 0.7).sin() + 0.05).collect();
        let length = w.iter().map(|w| w * w).sum::<f32>().sqrt();
        let images = Tensor::full(0.5_f32, (1, 1, 4, 4), &Cpu).unwrap();
        let batch = Batch { ids: vec![1], images, labels: vec![0] };
        let model = linear(&w, 0.3 * length - 0.5 * w.iter().sum::<f32>(), [1, 4, 4]);
        for basis in ["pixel", "dct"] {
            let found = |eps: f32| {
                let given = [("basis", basis), ("alpha", "0.01")];
                run("simba", &given, Threat::ball(Norm::L2, eps), &model, &batch)[0].found
            };
            assert!(found(0.3 * 1.03), "{basis}");
            assert!(!found(0.3 * 0.99), "{basis}");
        }
    }
}
