//! What deterministic bounds proved about one network: verified accuracy at every radius of the job.
//! It is a lower bound of the truth that attacks bound from above, and about the same function.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::certify::BoundRow;
use crate::record::Work;
use crate::results::{ImageSet, Proportion};
use crate::work::curve::{falls, seconds};
use crate::work::method::Method;
use crate::work::outcome::{KindColumn, KindResult, LowerBound};
use crate::work::pool::Pool;

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
    /// Wall time per image in seconds, see [`Cost::seconds`](crate::work::Cost).
    #[serde(skip)]
    pub seconds: f64,
    /// Verified accuracy against the radius, as (radius, accuracy) where it falls, from radius 0.
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
    pub(crate) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let pool: Pool<'_, BoundRow> = Pool::of(&method.jobs, model)?;
        let Work { label, method: certificate, threat, eps, parameters, .. } = &method.work;
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

    /// Verified accuracy at `eps`, if the job reports it.
    pub fn at(&self, eps: f64) -> Option<Proportion> {
        self.accuracy.iter().find(|a| a.eps == eps).and_then(|a| a.accuracy)
    }
}

impl KindResult for BoundResult {
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
        self.threat == column.threat
    }

    fn share(&self, column: &KindColumn) -> Option<Proportion> {
        self.at(column.eps?)
    }

    fn lower_bound(&self) -> Option<LowerBound<'_>> {
        let Self { threat, curve, average_radius, .. } = self;
        Some(LowerBound { norm: threat, curve, average_radius: *average_radius, smoothed: false })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
