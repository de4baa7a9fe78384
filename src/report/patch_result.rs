//! What one certificate against patches proved about one network: how often the defended prediction is
//! right, and how often no patch changes that.

use std::collections::BTreeMap;

use serde::Serialize;

use super::certificate_result::seconds;
use super::coverage::ImageSet;
use super::method::Method;
use super::pool::Pool;
use super::proportion::Proportion;
use super::table::Table;
use crate::record::{PatchRow, Work};

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
    /// Wall time per image in seconds.
    pub seconds: f64,
}

impl PatchResult {
    /// The certificate `method` of the network `model`, summed up; `None` if there is none.
    pub(super) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let Work::PatchCertificate { label, certificate, patch, parameters } = &method.work else {
            return None;
        };
        let pool = Pool::of(&method.jobs, model, |table| match table {
            Table::Patch(rows) => Some(rows),
            _ => None,
        })?;
        let rows = pool.weakest();
        let mean = |value: fn(&PatchRow) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / rows.len().max(1) as f64
        };
        let (done, images) = pool.progress;
        Some(Self {
            label: label.clone(),
            certificate: certificate.clone(),
            patch: patch.clone(),
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

    /// All images of the job are done.
    pub fn finished(&self) -> bool {
        self.done >= self.images
    }
}
