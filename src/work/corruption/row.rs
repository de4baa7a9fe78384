//! A row of a corruption benchmark: the accuracy under one corruption at one severity. It is about a list
//! of images and not about one.

use serde::{Deserialize, Serialize};

use super::SEVERITIES;
use crate::record::Row;

/// How many images of one corruption and severity are classified correctly. A table that has grown has
/// several rows of one; the last, over the most images, holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionRow {
    /// Number of the corruption and severity.
    pub idx: u64,
    /// Name of the corruption, as in its file: `fog`.
    pub corruption: String,
    /// 1 to 5.
    pub severity: usize,
    /// Correctly classified images.
    pub correct: usize,
    /// Images looked at.
    pub images: usize,
    /// First 16 hex digits of the identity of the network.
    pub model: String,
    /// First 16 hex digits of the SHA-256 of the list of images: of their digests, in order.
    pub image: String,
}

impl Row for CorruptionRow {
    fn idx(&self) -> u64 {
        self.idx
    }

    fn image(&self) -> &str {
        &self.image
    }

    fn label(&self) -> u32 {
        0
    }

    fn images(&self) -> usize {
        self.images
    }

    fn untimed(&self) -> Self {
        self.clone()
    }

    fn model(&self) -> Option<&str> {
        Some(&self.model)
    }

    fn strength(&self) -> (u8, f64) {
        (0, self.accuracy())
    }

    fn problem(&self) -> Option<String> {
        if self.correct > self.images || self.images == 0 {
            Some(format!("{} of {} images are correct", self.correct, self.images))
        } else if !(1..=SEVERITIES).contains(&self.severity) {
            Some(format!("severity is {}", self.severity))
        } else if self.idx != super::number(&self.corruption, self.severity) {
            Some(format!("it is not number {}", self.idx))
        } else {
            None
        }
    }
}

impl CorruptionRow {
    /// Share of the images that are classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}
