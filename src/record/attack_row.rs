//! A row of an attack's table.

use serde::{Deserialize, Serialize};

use super::Row;

/// What one attack did to one image. A distance is in the norm of the job's threat model (for a
/// patch: the number of changed pixels).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the clean image.
    pub clean: u32,
    /// The attack that found the adversarial image: the job's own, or the part of an ensemble that
    /// did; `clean` for a misclassified clean image, empty if nothing was found.
    #[serde(default)]
    pub by: String,
    /// Predicted class of the image the attack returned (the clean image if it found nothing).
    pub prediction: u32,
    /// 1 if a verified adversarial image inside the threat model was found, or if the clean image is
    /// already misclassified (then `distance` is 0); else 0.
    pub found: u8,
    /// Distance of the returned image from the clean one; `inf` if nothing was found.
    pub distance: f64,
    /// 1 if the image is still misclassified after rounding its pixels to 8 bits.
    pub found_8bit: u8,
    /// Forward passes the search spent on this image.
    pub forwards: u64,
    /// Backward passes the search spent on this image.
    pub backwards: u64,
    /// Candidates that succeeded in the precision of the search and not in f32; only in the tables of
    /// searches in another precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<u64>,
    /// Share of this image in the wall time of its batch. The one column that is not reproducible.
    pub seconds: f64,
}

impl Row for AttackRow {
    fn idx(&self) -> u64 {
        self.idx
    }
}

impl AttackRow {
    /// The clean image is classified correctly.
    pub fn clean_correct(&self) -> bool {
        self.clean == self.label
    }

    /// The image is classified correctly and the attack did not break it within `eps` (`None`: within
    /// the threat model it ran under). Misclassified clean images are never robust.
    pub fn robust(&self, eps: Option<f64>) -> bool {
        // An attack keeps to its budget up to f32 rounding of the pixels, which `distance` shows.
        let broken = self.found == 1 && eps.is_none_or(|e| self.distance <= e + 1e-6 * e.max(1.0));
        self.clean_correct() && !broken
    }
}
