//! A row of a deterministic certificate's table. It begins with the six columns of every table of
//! certificates, so that the same scripts read it.

use serde::{Deserialize, Serialize};

use crate::record::{Row, Seen};

/// How large a ball around one image was proven safe by bounds of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the clean image, which is the class that is certified.
    pub predict: u32,
    /// Largest radius that was proven, in the norm of the job and pixel units of [0, 1]; 0 if none
    /// was. It is a radius that was tried, so nothing is rounded.
    pub radius: f64,
    /// 1 if `predict` is `label`.
    pub correct: u8,
    /// Wall time of the image as `h:mm:ss.ffffff`. Not reproducible.
    pub time: String,
    /// Smallest lower bound of (logit of `predict`) - (any other logit) at `radius`; 0 if no radius
    /// was proven.
    pub margin: f64,
    /// Radii that were tried.
    pub tried: u32,
    /// First 16 hex digits of the identity of the network.
    pub model: String,
    /// Digest of the image with its label: what the row is about.
    pub image: String,
}

impl BoundRow {
    /// The image is classified correctly, and nothing within `eps` changes that.
    pub fn certified(&self, eps: f64) -> bool {
        self.correct == 1 && self.radius > 0.0 && self.radius >= eps
    }
}

impl Row for BoundRow {
    fn idx(&self) -> u64 {
        self.idx
    }

    fn image(&self) -> &str {
        &self.image
    }

    fn label(&self) -> u32 {
        self.label
    }

    fn untimed(&self) -> Self {
        Self { time: String::new(), ..self.clone() }
    }

    fn model(&self) -> Option<&str> {
        Some(&self.model)
    }

    fn strength(&self) -> (u8, f64) {
        (self.correct, self.radius)
    }

    // Bounds are of the network that is attacked; other certificates are of a defended one.
    fn seen(&self) -> Option<Seen> {
        Some(Seen { clean: self.predict, adversarial: None })
    }

    fn proven(&self) -> Option<f64> {
        (self.correct == 1).then_some(self.radius)
    }

    fn problem(&self) -> Option<String> {
        let correct = u8::from(self.predict == self.label);
        if !(self.radius.is_finite() && self.radius >= 0.0) {
            Some(format!("radius is {}", self.radius))
        } else if self.correct != correct {
            Some(format!("correct is {}, and the prediction says {correct}", self.correct))
        } else if self.margin.is_nan() || (self.radius > 0.0 && self.margin <= 0.0) {
            Some(format!("margin is {} at radius {}", self.margin, self.radius))
        } else {
            None
        }
    }
}
