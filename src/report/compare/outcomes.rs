//! What one job says about every image, column by column, with whose it is.

use std::collections::BTreeMap;

use crate::results::ImageKey;
use crate::work::{PerImage, Value};

/// One column of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcomes {
    /// Name of the network; a log does not say it.
    pub(super) model: String,
    /// Name of the data; a log does not say it.
    pub(super) data: Option<String>,
    /// Label of the job; empty for a log.
    pub(super) label: String,
    /// What the values are: `robust Linf 0.1`, `certified L2 0.25`.
    pub(super) column: String,
    /// The values are 0 or 1, and their mean is a share.
    pub(super) share: bool,
    /// The values are about lists of images, and not about one each.
    pub(super) lists: bool,
    /// What is known of each image.
    pub(super) values: BTreeMap<ImageKey, Value>,
}

/// Whose outcomes.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) model: String,
    pub(super) data: Option<String>,
    pub(super) label: String,
}

impl Owner {
    /// Its columns.
    pub(super) fn outcomes(&self, columns: Vec<PerImage>) -> Vec<Outcomes> {
        let of = |PerImage { column, share, lists, values }| Outcomes {
            model: self.model.clone(),
            data: self.data.clone(),
            label: self.label.clone(),
            column,
            share,
            lists,
            values,
        };
        columns.into_iter().map(of).collect()
    }
}

/// Images that no attack of a network broke, each at its largest budget; `None` of fewer than two attacks,
/// or if they are about different images.
pub(super) fn worst_case(attacks: &[&Outcomes]) -> Option<Outcomes> {
    let [first, rest @ ..] = attacks else { return None };
    let mut worst = (*first).clone();
    for other in rest {
        if !other.values.keys().eq(worst.values.keys()) {
            return None;
        }
        for (here, there) in worst.values.values_mut().zip(other.values.values()) {
            here.value = here.value.min(there.value);
        }
    }
    worst.label = "all attacks".into();
    worst.column = "worst case".into();
    (!rest.is_empty()).then_some(worst)
}
