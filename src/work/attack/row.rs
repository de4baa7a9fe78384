//! A row of an attack's table: evidence about one image. What it says of an adversarial image (its
//! distances in every norm, the rectangle it changed, its digest) is enough to decide for any threat
//! model whether the image lies inside it, whichever attack found it. How many values were changed only
//! attacks under L0 and L0-pixels say, and where the rectangle is only attacks with patches, so that the tables of others are
//! what they were.

use serde::{Deserialize, Deserializer, Serialize};

use crate::attack::Criterion;
use crate::record::{Adversarial, Row, Seen};
use crate::results::Region;
use crate::threat::Change;

/// What one attack did to one image. Distances are between the returned image and the clean one, in
/// pixel units of [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// Digest of the clean image with its label: what the row is about.
    pub image: String,
    /// True class.
    pub label: u32,
    /// Predicted class of the clean image.
    pub clean: u32,
    /// The class that a targeted attack aims at; empty if the attack is untargeted.
    pub target: Option<u32>,
    /// The attack that found the adversarial image: the job's own, or the part of an ensemble that
    /// did; `clean` for a misclassified clean image, empty if nothing was found.
    #[serde(default)]
    pub by: String,
    /// Predicted class of the image the attack returned (the clean image if it found nothing).
    pub prediction: u32,
    /// 1 if a verified adversarial image inside the threat model was found, or if the clean image is
    /// already misclassified (then every distance is 0); else 0.
    pub found: u8,
    /// Distance in the norm of the job's threat model (for a patch: the number of changed pixels);
    /// `inf` if nothing was found.
    pub distance: f64,
    /// Largest absolute change of a value; `inf` if nothing was found.
    pub linf: f64,
    /// Euclidean length of the change; `inf` if nothing was found.
    pub l2: f64,
    /// Sum of the absolute changes; `inf` if nothing was found.
    pub l1: f64,
    /// Number of changed pixels (a pixel has C values), the distance under the norm L0-pixels; 0 if nothing was found.
    pub l0: u64,
    /// Number of changed values, the distance under the norm L0; only in the tables of attacks under that norm or
    /// L0-pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<u64>,
    /// Height of the smallest rectangle around all changed pixels; 0 if nothing was changed.
    pub height: u64,
    /// Width of that rectangle.
    pub width: u64,
    /// First row of that rectangle, empty if nothing was changed; only in the tables of attacks with patches.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub top: Option<Option<u64>>,
    /// First column of that rectangle, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub left: Option<Option<u64>>,
    /// Digest of the returned image with the label; that of the clean image if nothing was found.
    pub adversarial: String,
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
    /// Passes, among those above, that the attack that this one stands in for spent on this image, as a
    /// control or because of one; 0 if it was not asked. Only in the tables of `fast`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<u64>,
    /// Share of this image in the wall time of its batch. The one column that is not reproducible.
    pub seconds: f64,
}

impl Row for AttackRow {
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
        Self { seconds: 0.0, ..self.clone() }
    }

    fn seen(&self) -> Option<Seen> {
        let found = Adversarial { prediction: self.prediction, change: self.change() };
        Some(Seen { clean: self.clean, adversarial: self.adversarial().then_some(found) })
    }

    fn problem(&self) -> Option<String> {
        let flag = |name: &str, value: u8| (value > 1).then(|| format!("{name} is {value}"));
        let length = |name: &str, value: f64| {
            (value.is_nan() || value < 0.0).then(|| format!("{name} is {value}"))
        };
        let found = self.found == 1;
        let placed = |at: Option<Option<u64>>| at.is_none_or(|at| at.is_some() == (self.l0 > 0));
        flag("found", self.found)
            .or_else(|| flag("found_8bit", self.found_8bit))
            .or_else(|| length("distance", self.distance))
            .or_else(|| length("linf", self.linf))
            .or_else(|| length("l2", self.l2))
            .or_else(|| length("l1", self.l1))
            .or_else(|| length("seconds", self.seconds))
            .or_else(|| {
                (found != self.distance.is_finite())
                    .then(|| format!("found is {} at distance {}", self.found, self.distance))
            })
            .or_else(|| {
                (!placed(self.top) || !placed(self.left)).then(|| {
                    let (top, left) = (self.top.flatten(), self.left.flatten());
                    format!("{} pixels were changed at {top:?}, {left:?}", self.l0)
                })
            })
            .or_else(|| {
                // The clean image is an adversarial one only where it is misclassified.
                (!found && (self.clean != self.label || self.prediction != self.clean))
                    .then(|| "nothing was found, and a prediction is another one".to_owned())
            })
    }
}

impl AttackRow {
    /// The clean image is classified correctly.
    pub fn clean_correct(&self) -> bool {
        self.clean == self.label
    }

    /// The returned image is an adversarial one: the clean image is classified correctly, it is not.
    pub fn adversarial(&self) -> bool {
        self.found == 1 && self.clean_correct() && self.prediction != self.label
    }

    /// The returned image is an adversarial one in `region`, of the class that a targeted attack aims at.
    /// The row is of an attack under the threat model of `region`.
    pub(crate) fn breaks(&self, region: &Region) -> bool {
        let wanted = Criterion::new(self.label, self.target).met_by(self.prediction);
        self.adversarial() && wanted && region.holds_own(&self.change())
    }

    /// How the returned image differs from the clean one.
    pub fn change(&self) -> Change {
        let Self { linf, l2, l1, l0, features, height, width, .. } = *self;
        let place = self.top.flatten().zip(self.left.flatten());
        let place = place.map(|(top, left)| [top, left]);
        Change { linf, l2, l1, l0, features, height, width, place }
    }

    /// The row with the columns of the table that has these `rows`: one that was begun by a version that did not say
    /// where the rectangle is goes on without that.
    #[must_use]
    pub(super) fn in_table_of(self, rows: &[Self]) -> Self {
        match rows.first() {
            Some(first) if first.top.is_none() => Self { top: None, left: None, ..self },
            _ => self,
        }
    }
}

/// The value of a column that is there; one that is not there has none.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    column: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(column).map(Some)
}
