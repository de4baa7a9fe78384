//! The rows of a certificate against patches, as rows of a run.

use crate::certify::patch::PatchRow;
use crate::record::Row;

impl Row for PatchRow {
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
        (self.correct, f64::from(self.certified))
    }

    fn problem(&self) -> Option<String> {
        let correct = u8::from(self.predict == self.label);
        if self.correct != correct {
            Some(format!("correct is {}, and the prediction says {correct}", self.correct))
        } else if self.certified > correct {
            Some(format!("certified is {} and correct is {correct}", self.certified))
        } else {
            None
        }
    }
}
