//! A row of a patch certificate's table.

use serde::{Deserialize, Serialize};

use crate::record::Row;

/// What a certificate against patches found for one image. The size of the patch is the job's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the defended network.
    pub predict: u32,
    /// 1 if `predict` is `label` and no patch of the job's size, wherever it is, changes it.
    pub certified: u8,
    /// 1 if `predict` is `label`.
    pub correct: u8,
    /// Wall time of the image as `h:mm:ss.ffffff`. Not reproducible.
    pub time: String,
    /// Copies of the first round (single masks, windows) that voted for `predict`.
    pub votes: u64,
    /// The most votes of another class.
    pub runner_up: u64,
    /// Forward passes spent on this image.
    pub forwards: u64,
    /// First 16 hex digits of the identity of the network.
    pub model: String,
    /// Digest of the image with its label: what the row is about.
    pub image: String,
}

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
