//! The plan of a run: everything a suite names, opened, checked and spelled out as jobs. Building it
//! costs seconds and finds the mistakes that would otherwise show after hours.

use std::collections::BTreeSet;

use super::runner::BATCH;
use super::suite::CertificateEntry;
use super::{Suite, attacks, certificates, models, preflight};
use crate::attack::{Configured, Request};
use crate::certify::Smoothing;
use crate::certify::bounds::Bounds;
use crate::certify::patch::PatchCertificate;
use crate::data::{self, Dataset, Subset};
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork};
use crate::record::{DataRecord, FORMAT_VERSION, JobRecord, RunRecord, Work};
use crate::rng::Randomness;

/// A resolved suite.
pub struct Plan {
    /// What goes into `run.toml`.
    pub record: RunRecord,
    /// Images at a time, if the user decided.
    pub batch: Option<usize>,
    /// The networks, as in the record.
    pub models: Vec<FrozenNetwork>,
    /// The data sets, as in the record.
    pub data: Vec<Box<dyn Dataset>>,
    /// The jobs, as in the record.
    pub jobs: Vec<PlannedJob>,
}

/// A job with what it needs at hand.
pub struct PlannedJob {
    /// Index into [`Plan::models`].
    pub model: usize,
    /// Index into [`Plan::data`].
    pub data: usize,
    /// What to do.
    pub task: Task,
}

/// The work of a job.
pub enum Task {
    /// An attack.
    Attack(Configured, Request),
    /// CERTIFY.
    Certificate(Smoothing),
    /// A certificate against patches.
    Patch(Box<dyn PatchCertificate>),
    /// Bounds of the network.
    Bound(Bounds),
}

/// A job of an entry, before it is known under which name and in which file.
pub(super) struct Resolved {
    /// What tells it from the model's other jobs.
    pub(super) stem: String,
    pub(super) work: Work,
    pub(super) task: Task,
}

impl Plan {
    /// Resolves a suite and puts its networks where they will run.
    ///
    /// # Errors
    /// If a file, a name or a setting cannot be used, or models and data do not fit each other.
    pub fn new(suite: &Suite) -> Result<Self> {
        let suite = &suite.present()?;
        if suite.batch == Some(0) {
            return Err(Error::setting("batch", "0 images at a time", "give at least 1"));
        }
        if suite.models.is_empty() || suite.data.is_empty() {
            return Err(Error::setting(
                "suite",
                "names no model or no data set",
                "add a [[model]] and a [[data]]",
            ));
        }
        if suite.attacks.is_empty() && suite.certificates.is_empty() {
            return Err(Error::setting(
                "suite",
                "has nothing to do",
                "add an [[attack]] or a [[certificate]]",
            ));
        }
        let data = suite
            .data
            .iter()
            .map(|entry| -> Result<Box<dyn Dataset>> {
                let whole = data::open(&entry.spec)?;
                match &entry.images {
                    Some(selection) => Ok(Box::new(Subset::new(whole, selection)?)),
                    None => Ok(whole),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        one_norm(suite)?;
        let (mut models, records): (Vec<_>, Vec<_>) = suite
            .models
            .iter()
            .map(|entry| models::load(entry, suite.memory))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let device = models::place(&mut models, &suite.device, suite.precision)?;
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            name: suite.name.clone(),
            epsball: env!("CARGO_PKG_VERSION").into(),
            seed: suite.seed,
            rng: match suite.rng {
                Randomness::PerImage => suite.rng.to_string(),
                Randomness::Torch => {
                    let batch = suite.batch.unwrap_or(BATCH);
                    format!("{}, batches of {batch}", suite.rng)
                }
            },
            device: device.to_string(),
            precision: suite.precision.to_string(),
            save_adversarial: suite.save_adversarial,
            models: records,
            data: suite
                .data
                .iter()
                .zip(&data)
                .map(|(entry, d)| data_record(entry.name.as_deref(), d.as_ref()))
                .collect(),
            jobs: Vec::new(),
        };
        let mut plan = Self { record, batch: suite.batch, models, data, jobs: Vec::new() };
        refuse_twins("model", plan.record.models.iter().map(|m| &m.name))?;
        refuse_twins("data", plan.record.data.iter().map(|d| &d.name))?;
        for entry in &suite.models {
            let names = || plan.record.data.iter().map(|d| &d.name);
            if let Some(unknown) = entry.data.as_ref().filter(|d| !names().any(|name| name == *d)) {
                return Err(Error::unknown("data set of a model", unknown, names()));
            }
        }
        for data in 0..plan.data.len() {
            for model in 0..plan.models.len() {
                if !suite.models[model].meets(&plan.record.data[data].name) {
                    continue;
                }
                preflight::fits(&plan.models[model], plan.data[data].as_ref())?;
                let shape = plan.models[model].info().input_shape;
                for entry in &suite.attacks {
                    let entry = entry.at(suite.models[model].eps.as_ref());
                    let jobs = attacks::resolve(&entry, suite.seed, suite.rng, shape)?;
                    plan.add(model, data, jobs);
                }
                for entry in &suite.certificates {
                    plan.add_certificate(model, data, entry, suite.seed)?;
                }
            }
        }
        refuse_twins("job (give one of them a label)", plan.record.jobs.iter().map(|j| &j.id))?;
        let data = || plan.data.iter().zip(&plan.record.data);
        for (network, entry) in plan.models.iter().zip(&suite.models) {
            if let Some((data, _)) = data().find(|(_, record)| entry.meets(&record.name)) {
                preflight::returns_logits(network, data.as_ref(), entry.returns_probabilities())?;
            }
        }
        for (data, record) in data() {
            let meet = plan.models.iter().zip(&suite.models).filter(|(_, e)| e.meets(&record.name));
            if let Some(classes) = meet.map(|(network, _)| network.info().classes).min() {
                preflight::readable(data.as_ref(), classes, plan.batch.unwrap_or(BATCH))?;
            }
        }
        Ok(plan)
    }

    fn add_certificate(
        &mut self,
        model: usize,
        data: usize,
        entry: &CertificateEntry,
        seed: u64,
    ) -> Result<()> {
        if let Some(unknown) =
            entry.models.iter().find(|m| !self.record.models.iter().any(|known| known.name == **m))
        {
            let known = self.record.models.iter().map(|m| m.name.clone());
            return Err(Error::unknown("model", unknown.clone(), known));
        }
        if !entry.models.is_empty() && !entry.models.contains(&self.record.models[model].name) {
            return Ok(());
        }
        let resolved =
            certificates::resolve(entry, seed, &self.models[model], self.data[data].as_ref())?;
        self.add(model, data, resolved);
        Ok(())
    }

    fn add(&mut self, model: usize, data: usize, resolved: Vec<Resolved>) {
        let model_name = &self.record.models[model].name;
        let data_record = &self.record.data[data];
        let several = self.record.data.len() > 1;
        for Resolved { stem, work, task } in resolved {
            let stem = if several { format!("{stem}--{}", data_record.name) } else { stem };
            let extension = if matches!(task, Task::Attack(..)) { "csv" } else { "tsv" };
            self.record.jobs.push(JobRecord {
                id: format!("{model_name}--{stem}"),
                file: format!("jobs/{}/{}.{extension}", file_name(model_name), file_name(&stem)),
                model: model_name.clone(),
                data: data_record.name.clone(),
                images: data_record.images,
                work,
            });
            self.jobs.push(PlannedJob { model, data, task });
        }
    }
}

/// A model's own radius says nothing about which norm it is of.
fn one_norm(suite: &Suite) -> Result<()> {
    let own = suite.models.iter().any(|model| model.eps.is_some());
    let norms: BTreeSet<&String> = suite.attacks.iter().filter_map(|a| a.norm.as_ref()).collect();
    match own && norms.len() > 1 {
        true => Err(Error::setting(
            "model: eps",
            "the suite attacks in several norms",
            "write a suite per norm, or leave the radius to the attacks",
        )),
        false => Ok(()),
    }
}

fn data_record(name: Option<&str>, data: &dyn Dataset) -> DataRecord {
    let info = data.info();
    DataRecord {
        name: name.unwrap_or(&info.name).into(),
        sha256: info.sha256.clone(),
        shape: info.shape,
        images: info.len,
    }
}

/// A name made safe for every file system.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    name.chars().map(safe).collect()
}

fn refuse_twins<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::setting(
                what,
                format!("`{name}` occurs twice"),
                "names have to be unique in a suite: add name = \"...\"",
            ));
        }
    }
    Ok(())
}
