//! One column of two sides, compared.

use serde::Serialize;

use super::Settings;
use super::pair::Pair;
use crate::error::{Error, Result};
use crate::stats::bootstrap;
use crate::stats::mcnemar::Pairs;

/// The comparison of one column. Values are shares in [0, 1], or mean radii.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What is compared.
    pub title: String,
    /// Images, the same on both sides; or lists of images, if [`Self::lists`].
    pub images: usize,
    /// The values are accuracies over lists of images, each of a corruption at a severity.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lists: bool,
    /// Mean of the first side.
    pub first: f64,
    /// Mean of the second side.
    pub second: f64,
    /// First minus second.
    pub difference: f64,
    /// Lower end of the paired bootstrap interval of the difference.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Who is right on which images; `None` if the values are not right or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
    /// Two-sided p-value of McNemar's exact test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The same, adjusted by Holm for all comparisons made at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holm: Option<f64>,
}

impl Compared {
    /// Compares a pair; [`Self::holm`] is left open.
    pub(super) fn of(pair: &Pair<'_>, settings: &Settings) -> Result<Self> {
        let values = || {
            let second = pair.second.values.values();
            pair.first.values.values().zip(second).map(|(a, b)| (a.value, b.value))
        };
        let images = pair.first.values.len();
        if images == 0 {
            return Err(Error::setting(&*pair.title, "there are no images", "run the jobs first"));
        }
        // Adding zero takes the sign off the mean of radii of -0.
        let mean = |sum: f64| sum / images as f64 + 0.0;
        let differences: Vec<f64> = values().map(|(a, b)| a - b).collect();
        let (low, high) = bootstrap::interval(
            &differences,
            settings.confidence,
            bootstrap::REPLICATES,
            settings.seed,
        );
        let shares = pair.first.share && pair.second.share;
        let pairs = shares.then(|| Pairs::of(values().map(|(a, b)| (a == 1.0, b == 1.0))));
        Ok(Self {
            title: pair.title.clone(),
            images,
            lists: pair.first.lists,
            first: mean(values().map(|(a, _)| a).sum()),
            second: mean(values().map(|(_, b)| b).sum()),
            difference: mean(differences.iter().sum()),
            low,
            high,
            p_value: pairs.map(|pairs| pairs.p_value()),
            holm: None,
            pairs,
        })
    }
}
