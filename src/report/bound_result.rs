//! What deterministic bounds proved about one network: verified accuracy at every radius of the job.
//! It is a lower bound of the truth that attacks bound from above, and about the same function.

use std::collections::BTreeMap;

use serde::Serialize;

use super::certificate_result::{falls, seconds};
use super::coverage::ImageSet;
use super::method::Method;
use super::pool::Pool;
use super::proportion::Proportion;
use super::table::Table;
use crate::record::Work;

/// One job of bounds, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundResult {
    /// Column title: `crown-linf`.
    pub label: String,
    /// Name of the method.
    pub certificate: String,
    /// Threat model in words.
    pub threat: String,
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Images of the job.
    pub images: usize,
    /// Images finished.
    pub done: usize,
    /// The images that all numbers below are over.
    pub image_set: Option<ImageSet>,
    /// Verified accuracy at the radii of the job, ascending.
    pub accuracy: Vec<VerifiedAccuracy>,
    /// Mean radius, where a wrong prediction counts 0.
    pub average_radius: Option<f64>,
    /// Wall time per image in seconds.
    pub seconds: f64,
    /// Verified accuracy against the radius, as [`super::CertificateResult::curve`].
    #[serde(skip)]
    pub curve: Vec<(f64, f64)>,
}

/// Share of images that are classified correctly, provably everywhere in the ball.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedAccuracy {
    /// Radius in the norm of the threat.
    pub eps: f64,
    /// The share; `None` before the first image.
    pub accuracy: Option<Proportion>,
}

impl BoundResult {
    /// The bounds `method` of the network `model`, summed up; `None` if there are none.
    pub(super) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let Work::Bound { label, certificate, threat, eps, parameters } = &method.work else {
            return None;
        };
        let pool = Pool::of(&method.jobs, model, |table| match table {
            Table::Bound(rows) => Some(rows),
            _ => None,
        })?;
        let rows = pool.weakest();
        let accuracy = |eps: &f64| VerifiedAccuracy {
            eps: *eps,
            accuracy: Proportion::of(rows.iter().map(|row| row.certified(*eps))),
        };
        let radii: Vec<f64> =
            rows.iter().filter(|row| row.correct == 1).map(|row| row.radius).collect();
        let count = rows.len() as f64;
        let (done, images) = pool.progress;
        Some(Self {
            label: label.clone(),
            certificate: certificate.clone(),
            threat: threat.clone(),
            parameters: parameters.clone(),
            images,
            done,
            image_set: pool.images(),
            accuracy: eps.iter().map(accuracy).collect(),
            average_radius: (!rows.is_empty()).then(|| radii.iter().sum::<f64>() / count),
            seconds: rows.iter().map(|row| seconds(&row.time)).sum::<f64>() / count.max(1.0),
            curve: falls(radii, count),
        })
    }

    /// All images of the job are done.
    pub fn finished(&self) -> bool {
        self.done >= self.images
    }

    /// Verified accuracy at `eps`, if the job reports it.
    pub fn at(&self, eps: f64) -> Option<Proportion> {
        self.accuracy.iter().find(|a| a.eps == eps).and_then(|a| a.accuracy)
    }
}
