//! What the two primal-dual attacks share (Matyasko and Chau, arXiv 2106.01538): the weights of the distance and of the
//! margin, which are a player of their own, and the steps of Adam with their rates.

use crate::attack::Search;
use crate::attack::search::image_state;
use crate::error::Result;
use crate::rows::Rows;

/// The largest ratio of the two weights, either way.
const LARGEST_RATIO: f64 = 1e6;

/// How much of the mean of the weights stays from step to step.
const MEAN: f64 = 0.9;

/// The weight that the distance begins with.
const FIRST: f64 = 0.01;

/// Rates of the weights in the first and in the last step.
const WEIGHT_RATES: [f64; 2] = [0.1, 0.01];

/// Adam's two means.
pub(super) const BETA: [f64; 2] = [0.9, 0.999];

/// Keeps a step along a gradient of 0 from being none at all.
pub(super) const SMALL: f64 = 1e-8;

/// The weights of one image.
#[derive(Clone)]
struct Weights {
    /// Logarithm of the ratio of the margin's weight to the distance's.
    ratio: f64,
    /// Mean of the margin's weight; the two have the sum 1.
    mean: f64,
}

/// The images with Adam's means and the weights.
pub(super) struct Course {
    pub(super) x: Rows,
    pub(super) first: Rows,
    pub(super) second: Rows,
    weights: Vec<Weights>,
}

image_state!(Course { x, first, second, weights });

/// Where a step is of all.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) step: usize,
    pub(super) steps: usize,
}

impl Step {
    /// The rate of Adam: from `first` down to `last`, by the same factor each time.
    pub(super) fn rate(self, first: f64, last: f64) -> f64 {
        first * libm::pow(last / first, self.share())
    }

    /// What Adam's means are divided by.
    pub(super) fn unbias(self) -> [f64; 2] {
        BETA.map(|beta| 1.0 - libm::pow(beta, (self.step + 1) as f64))
    }

    fn share(self) -> f64 {
        self.step as f64 / self.steps as f64
    }
}

impl Course {
    /// At the clean images.
    pub(super) fn new(search: &Search<'_>) -> Result<Self> {
        let clean = search.clean().clone();
        let zeros =
            Rows::new(search.place(), clean.shape(), vec![0.0; clean.len() * clean.width()])?;
        let weights = Weights { ratio: -libm::log(FIRST), mean: 1.0 - FIRST };
        let weights = vec![weights; clean.len()];
        Ok(Self { x: clean, first: zeros.clone(), second: zeros, weights })
    }

    /// One step of the weights: that of the margin grows where an image has the right class (its margin, of the
    /// likeliest other class, is below 0), and shrinks elsewhere. Returns, `[N, 2]`, that weight, which is 1 less the
    /// weight of the distance, and the slope of the softened margin over `margins`, `[N]`.
    pub(super) fn weigh(&mut self, margins: &Rows, at: Step) -> Result<Rows> {
        let [first, last] = WEIGHT_RATES;
        let rate = first + (last - first) * at.share();
        let limit = libm::log(LARGEST_RATIO);
        let mut both = Vec::with_capacity(2 * self.weights.len());
        for (one, margin) in self.weights.iter_mut().zip(margins.values()?.iter()) {
            let correct = -f64::from(*margin);
            one.mean = MEAN * one.mean + (1.0 - MEAN) * sigmoid(one.ratio);
            // d softplus(correct) = sigmoid(correct) d correct, and correct falls as the margin grows.
            both.extend([one.mean as f32, -sigmoid(correct) as f32]);
            let sign = if correct >= 0.0 { 1.0 } else { -1.0 };
            one.ratio = (one.ratio + rate * sign).clamp(-limit, limit);
        }
        Rows::new(&margins.place(), [self.weights.len(), 2], both)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
