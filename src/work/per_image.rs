//! What one job says about every image in one column: what a comparison of two methods is made of.

use std::collections::BTreeMap;

use crate::results::ImageKey;

/// One column of one job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PerImage {
    /// What the values are: `robust Linf 0.1`, `certified L2 0.25`.
    pub(crate) column: String,
    /// The values are 0 or 1, and their mean is a share.
    pub(crate) share: bool,
    /// The values are accuracies over lists of images, each of a corruption at a severity, and not about
    /// one image each.
    pub(crate) lists: bool,
    /// What is known of each image.
    pub(crate) values: BTreeMap<ImageKey, Value>,
}

/// What is known of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Value {
    /// Its index.
    pub(crate) idx: u64,
    /// True class.
    pub(crate) label: u32,
    pub(crate) value: f64,
}

impl Value {
    /// Something that holds or does not.
    pub(crate) fn yes(idx: u64, label: u32, holds: bool) -> Self {
        Self { idx, label, value: f64::from(u8::from(holds)) }
    }
}
