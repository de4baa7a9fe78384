//! What one certificate against patches proved about one network: how often the defended prediction is
//! right, and how often no patch changes that.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::certify::patch::PatchRow;
use crate::record::Work;
use crate::results::{ImageSet, Proportion};
use crate::work::curve::seconds;
use crate::work::method::Method;
use crate::work::outcome::{Cost, KindColumn, KindResult};
use crate::work::pool::Pool;

/// One certificate job against patches, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatchResult {
    /// Column title: `patchcleanser-2x2`.
    pub label: String,
    /// Name of the certificate.
    pub certificate: String,
    /// Threat model in words: `patch 2x2`.
    pub patch: String,
    /// Parameters by their names in the paper.
    pub parameters: BTreeMap<String, String>,
    /// Images of the job.
    pub images: usize,
    /// Images finished.
    pub done: usize,
    /// The images that all numbers below are over.
    pub image_set: Option<ImageSet>,
    /// Clean accuracy of the defended network.
    pub accuracy: Option<Proportion>,
    /// Certified accuracy: share of images whose defended prediction is right whatever a patch shows.
    pub certified: Option<Proportion>,
    /// Forward passes per image.
    pub forwards: f64,
    /// Wall time per image in seconds, see [`Cost::seconds`](crate::work::Cost).
    #[serde(skip)]
    pub seconds: f64,
}

impl PatchResult {
    /// The certificate `method` of the network `model`, summed up; `None` if there is none.
    pub(crate) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let pool = Pool::of(&method.jobs, model)?;
        let Work { label, method: certificate, threat, parameters, .. } = &method.work;
        let rows = pool.weakest();
        let mean = |value: fn(&PatchRow) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / rows.len().max(1) as f64
        };
        let (done, images) = pool.progress;
        Some(Self {
            label: label.clone(),
            certificate: certificate.clone(),
            patch: threat.clone(),
            parameters: parameters.clone(),
            images,
            done,
            image_set: pool.images(),
            accuracy: Proportion::of(rows.iter().map(|row| row.correct == 1)),
            certified: Proportion::of(rows.iter().map(|row| row.certified == 1)),
            forwards: mean(|row| row.forwards as f64),
            seconds: mean(|row| seconds(&row.time)),
        })
    }
}

impl KindResult for PatchResult {
    fn label(&self) -> &str {
        &self.label
    }

    fn progress(&self) -> (usize, usize) {
        (self.done, self.images)
    }

    fn image_set(&self) -> Option<&ImageSet> {
        self.image_set.as_ref()
    }

    fn is_in(&self, column: &KindColumn) -> bool {
        self.patch == column.threat
    }

    fn share(&self, _: &KindColumn) -> Option<Proportion> {
        self.certified
    }

    fn cost(&self) -> Option<Cost> {
        Some(Cost { forwards: self.forwards, backwards: 0.0, seconds: self.seconds })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
