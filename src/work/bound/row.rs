//! The rows of a certificate of the network itself, as rows of a run.

use crate::certify::BoundRow;
use crate::record::{Row, Seen};

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
