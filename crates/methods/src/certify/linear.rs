//! A network for tests whose smoothing is known exactly: logits `(w.x + b, 0)`, so that under noise
//! of standard deviation sigma class 0 has the probability Phi((w.x + b) / (sigma |w|)), and the
//! certified radius of exact probabilities is the distance |w.x + b| / |w| of the decision boundary.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::model::{Classifier, ModelInfo, Pull};
use crate::rows::Rows;

/// The classifier; it counts the batches and images that it is shown.
pub(super) struct Linear {
    info: ModelInfo,
    weights: Vec<f32>,
    bias: f32,
    /// Sizes of the batches, summed and counted.
    pub(super) images: AtomicUsize,
    pub(super) batches: AtomicUsize,
}

impl Linear {
    /// `weights` has as many elements as `input_shape`.
    pub(super) fn new(input_shape: [usize; 3], weights: &[f32], bias: f32) -> Self {
        let mut info = ModelInfo::new("linear", input_shape, 2);
        info.parameters = weights.len() + 1;
        info.sha256 = "0123456789abcdef0123456789abcdef".into();
        info.identity = "0123456789abcdef0123456789abcdef".into();
        let (images, batches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { info, weights: weights.to_vec(), bias, images, batches }
    }

    /// The signed distance of an image from the decision boundary, in f64.
    pub(super) fn distance(&self, image: &[f32]) -> f64 {
        let dot: f64 = image.iter().zip(&self.weights).map(|(x, w)| f64::from(x * w)).sum();
        let norm: f64 = self.weights.iter().map(|w| f64::from(w * w)).sum();
        (dot + f64::from(self.bias)) / norm.sqrt()
    }
}

impl Classifier for Linear {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        self.images.fetch_add(images.len(), Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        let logit = |row: &[f32]| {
            self.bias + row.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f32>()
        };
        let values = images.values()?;
        let rows = values.chunks_exact(images.width());
        let logits = rows.flat_map(|row| [logit(row), 0.0]).collect();
        Rows::new(&images.location(), [images.len(), 2], logits)
    }

    fn linearise(&self, _: &Rows) -> Result<(Rows, Pull<'_>)> {
        Err(candle_core::Error::Msg("certificates need no gradients".into()).into())
    }
}
