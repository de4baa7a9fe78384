//! A row of a certificate's table: the six columns of Cohen et al.'s logs, in their order, so that
//! existing analysis scripts read it, then what those logs lack.

use serde::{Deserialize, Serialize};

use crate::record::Row;

/// Name of the kind of work in the records of runs.
pub const SMOOTHING: &str = "smoothing";

/// What CERTIFY (Cohen et al. 2019, section 3.2.2) found for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the smoothed classifier, -1 for ABSTAIN.
    pub predict: i64,
    /// Certified radius in the norm of the job (L2 in the published logs) and pixel units of [0, 1],
    /// rounded down to six decimals; 0 if it abstained.
    pub radius: f64,
    /// 1 if `predict` is `label`.
    pub correct: u8,
    /// Wall time of the image as `h:mm:ss.ffffff`. Not reproducible.
    pub time: String,
    /// Standard deviation of the noise; 0 for noise without one.
    pub sigma: f64,
    /// N0, the samples that select the class.
    pub n0: u64,
    /// The samples that bound its probability: N, or fewer in a mode that stops early.
    pub n: u64,
    /// One minus the confidence.
    pub alpha: f64,
    /// Samples among N that voted for the selected class (nA).
    #[serde(rename = "nA")]
    pub n_a: u64,
    /// The class that the N0 samples selected.
    pub selected: u32,
    /// One-sided lower bound of the class's probability (pA); Clopper-Pearson's, but in mode `anytime`.
    pub p_low: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// First 16 hex digits of the identity of the network.
    pub model: String,
    /// Name of the mode that chose `n`.
    pub mode: String,
    /// The level of `p_low`: alpha, or the share of it that the mode spends on one look.
    pub level: f64,
    /// Digest of the image with its label: what the row is about.
    pub image: String,
}

impl Row for CertificateRow {
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

    fn problem(&self) -> Option<String> {
        let correct = u8::from(self.predict == i64::from(self.label));
        if !(self.radius.is_finite() && self.radius >= 0.0) {
            Some(format!("radius is {}", self.radius))
        } else if self.correct != correct {
            Some(format!("correct is {}, and the prediction says {correct}", self.correct))
        } else if self.n_a > self.n {
            Some(format!("nA is {} of N = {} samples", self.n_a, self.n))
        } else if self.predict < -1 || (self.predict < 0 && self.radius > 0.0) {
            Some(format!("predict is {} at radius {}", self.predict, self.radius))
        } else if !(0.0..=1.0).contains(&self.p_low) {
            Some(format!("p_low is {}", self.p_low))
        } else {
            None
        }
    }
}
