//! The jobs behind a leaderboard, as its pages list them: what each was told, and where its rows are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::record::{DataRecord, ModelRecord};
use crate::work::Method;

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobInfo {
    /// The network, as the boards call it.
    pub model: String,
    /// The method, as the boards call it.
    pub label: String,
    /// The data set, as the boards call it.
    pub data: String,
    /// Threat model in words.
    pub threat: String,
    /// Budgets or radii, ascending.
    pub eps: Vec<f64>,
    /// Everything that makes it another job, by name.
    pub settings: BTreeMap<String, String>,
    /// Seed of all per-image randomness.
    pub seed: u64,
    /// Device and number format of the network.
    pub device: String,
    /// Images done, and images of the job.
    pub progress: (usize, usize),
    /// The file of its rows.
    pub table: PathBuf,
}

impl JobInfo {
    /// The jobs of `methods` on one data set, network by network.
    pub(super) fn all(
        data: &DataRecord,
        models: &[ModelRecord],
        methods: &[Method<'_>],
    ) -> Vec<Self> {
        let of = |number: usize, model: &ModelRecord| -> Vec<Self> {
            let jobs = methods.iter().flat_map(|m| m.jobs.iter().map(move |job| (m, *job)));
            jobs.filter(|(_, job)| job.model == number)
                .map(|(method, job)| Self {
                    model: model.name.clone(),
                    label: method.work.label.clone(),
                    data: data.name.clone(),
                    threat: job.work.threat.clone(),
                    eps: job.work.eps.clone(),
                    settings: job.settings.clone(),
                    seed: job.seed,
                    device: format!("{} {}", job.device, job.precision),
                    progress: (job.rows.len(), job.images),
                    table: job.table.clone(),
                })
                .collect()
        };
        models.iter().enumerate().flat_map(|(number, model)| of(number, model)).collect()
    }

    /// What links to the jobs of a method and a network point to.
    pub(crate) fn anchor(model: &str, label: &str) -> String {
        crate::results::file_name(&format!("{model} {label}"))
    }
}
