//! The rows of a certificate by smoothing, whose table is a log in the form of Cohen et al., as rows of a run.

use crate::certify::CertificateRow;
use crate::record::Row;

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
