//! What PDGD and PDPGD share (Matyasko and Chau, arXiv 2106.01538): the weights of the distance and of the margin, which
//! are a player of their own, and the steps of Adam with their rates.

use crate::attack::Search;
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Kernel, Rows};

/// The largest ratio of the two weights, either way.
const LARGEST_RATIO: f64 = 1e6;

/// How much of the mean of the weights stays from step to step.
const MEAN: f64 = 0.9;

/// The ratio of the weight of the distance to that of the margin in the beginning.
const FIRST: f64 = 0.01;

/// Rates of the weights in the first and in the last step.
const WEIGHT_RATES: [f64; 2] = [0.1, 0.01];

/// Adam's two means.
const BETA: [f64; 2] = [0.9, 0.999];

/// Keeps a step along a gradient of 0 from being none at all.
const SMALL: f64 = 1e-8;

/// A step of Adam (Kingma and Ba 2015, algorithm 1).
pub(super) struct Adam {
    /// Its rate.
    pub(super) rate: f64,
    /// What the means are divided by.
    unbias: [f64; 2],
}

impl Adam {
    /// For step `step`, counted from 0.
    pub(super) fn new(rate: f64, step: usize) -> Self {
        Self { rate, unbias: BETA.map(|beta| 1.0 - libm::pow(beta, (step + 1) as f64)) }
    }

    /// Takes one component of a gradient into its two means. Returns the mean of the component and the size by which
    /// it is measured. A component that is no finite number counts as 0.
    pub(super) fn take(&self, g: f64, first: &mut f32, second: &mut f32) -> [f64; 2] {
        let g = if g.is_finite() { g } else { 0.0 };
        let m = BETA[0] * f64::from(*first) + (1.0 - BETA[0]) * g;
        let v = BETA[1] * f64::from(*second) + (1.0 - BETA[1]) * g * g;
        (*first, *second) = (m as f32, v as f32);
        [m / self.unbias[0], (v / self.unbias[1]).sqrt() + SMALL]
    }
}

/// `steps` steps from the clean images, at rates from the first of `rates` down to the second by the same factor each
/// time. `advance` changes an image and Adam's two means by the clean image, the gradient of the margin, and, as two
/// numbers, the weight of the margin, which is 1 less that of the distance, and the slope of the softened margin.
pub(super) fn descend(
    search: &mut Search<'_>,
    steps: usize,
    rates: [f64; 2],
    advance: impl Fn(&Adam, [&mut [f32]; 3], [&[f32]; 3]) + Sync,
) -> Result<()> {
    let zeros = vec![0.0; search.len() * search.clean().width()];
    let zeros = Rows::new(search.location(), search.clean().shape(), zeros)?;
    let (mut x, mut first, mut second) = (search.clean().clone(), zeros.clone(), zeros);
    let mut weights = vec![Weights::new(); search.len()];
    for step in 0..steps {
        let at = search.gradient(&x, Loss::Margin)?;
        // Under this objective no row leaves the active set.
        search.propose(&x, &at.logits, ())?;
        let share = step as f64 / steps as f64;
        let margins = at.losses.values()?;
        let both = weights.iter_mut().zip(margins.iter());
        let both = both.flat_map(|(one, margin)| one.weigh(-f64::from(*margin), share)).collect();
        let both = Rows::new(search.location(), [weights.len(), 2], both)?;
        let adam = Adam::new(rates[0] * libm::pow(rates[1] / rates[0], share), step);
        rows::update(
            Kernel::NONE,
            [&mut x, &mut first, &mut second],
            [search.clean(), &at.gradient, &both],
            |_, outputs, inputs| advance(&adam, outputs, inputs),
        )?;
    }
    let logits = search.logits(&x)?;
    search.propose(&x, &logits, ())
}

/// The weights of one image.
#[derive(Clone)]
struct Weights {
    /// Logarithm of the ratio of the margin's weight to the distance's.
    ratio: f64,
    /// Mean of the margin's weight; the two have the sum 1.
    mean: f64,
}

impl Weights {
    fn new() -> Self {
        let ratio = -libm::log(FIRST);
        Self { ratio, mean: sigmoid(ratio) }
    }

    /// One step, at this share of all: the weight of the margin grows where an image has the right class (it is ahead of
    /// the likeliest other one by `ahead`, at least 0), and shrinks elsewhere. Returns that weight and the slope of the
    /// softened margin, softplus(max(ahead, 0)), over the margin.
    fn weigh(&mut self, ahead: f64, share: f64) -> [f32; 2] {
        let [first, last] = WEIGHT_RATES;
        let rate = first + (last - first) * share;
        let limit = libm::log(LARGEST_RATIO);
        self.mean = MEAN * self.mean + (1.0 - MEAN) * sigmoid(self.ratio);
        let (sign, slope) = if ahead >= 0.0 { (1.0, -sigmoid(ahead)) } else { (-1.0, 0.0) };
        self.ratio = (self.ratio + rate * sign).clamp(-limit, limit);
        [self.mean as f32, slope as f32]
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
