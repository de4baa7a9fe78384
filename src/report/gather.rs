//! Brings the jobs of several run folders together. Networks and data sets are the same when their
//! hashes are, whatever each run calls them; a job that was run twice counts once, in its later form.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::format;
use super::table::Table;
use crate::error::{Error, Result};
use crate::record::{CheckRecord, DataRecord, ModelRecord, RunRecord, Work};

/// Where a part of a leaderboard comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    /// Name of the run folder, without the path to it.
    pub folder: String,
    /// Name of the suite.
    pub name: String,
    /// Version of epsball that ran it.
    pub epsball: String,
    /// Seed of all per-image randomness.
    pub seed: u64,
    /// Device: `cpu`, `cuda:0`.
    pub device: String,
    /// Number format of the attacked networks.
    pub precision: String,
}

/// All jobs of all runs, with models and data sets merged.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) runs: Vec<RunInfo>,
    pub(super) models: Vec<ModelRecord>,
    pub(super) data: Vec<DataRecord>,
    pub(super) jobs: Vec<Job>,
    /// What the reader has to know about the merge.
    pub(super) notes: Vec<String>,
}

/// One job with its rows.
#[derive(Debug)]
pub(super) struct Job {
    /// Index in [`Gathered::runs`].
    pub(super) run: usize,
    /// Index in [`Gathered::models`].
    pub(super) model: usize,
    /// Index in [`Gathered::data`].
    pub(super) data: usize,
    /// Images the job evaluates.
    pub(super) images: usize,
    pub(super) work: Work,
    pub(super) table: Table,
    /// What the safety checks found, if the job has any.
    pub(super) checks: Option<CheckRecord>,
}

impl Job {
    /// Same network, same data, same column(s) of the board.
    fn same_column(&self, other: &Self) -> bool {
        let label = |work: &Work| match work {
            Work::Attack { label, eps, minimal, .. } => {
                // A fixed-budget attack is another job at another budget.
                let budget =
                    if *minimal { vec![] } else { eps.iter().map(|e| format::eps(*e)).collect() };
                (label.clone(), true, budget)
            }
            Work::Certificate { label, .. }
            | Work::PatchCertificate { label, .. }
            | Work::Bound { label, .. } => (label.clone(), false, vec![]),
        };
        self.model == other.model
            && self.data == other.data
            && label(&self.work) == label(&other.work)
    }
}

impl Gathered {
    /// Reads all run folders, in order.
    pub(super) fn read(folders: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for folder in folders {
            all.add(folder)?;
        }
        all.tell_namesakes_apart();
        Ok(all)
    }

    fn add(&mut self, folder: &Path) -> Result<()> {
        let record = RunRecord::read(folder)?;
        let name = folder.file_name().map_or_else(
            || folder.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        let run = self.runs.len();
        let unlisted = |job: &str, field: &str, value: &str| {
            Error::file(
                folder.join("run.toml"),
                format!("job `{job}`: {field}"),
                format!("`{value}` is not listed in this file"),
                "the file was edited or cut: run the suite again",
            )
        };
        for job in &record.jobs {
            let model = record.models.iter().find(|m| m.name == job.model);
            let model = model.ok_or_else(|| unlisted(&job.id, "model", &job.model))?;
            let data = record.data.iter().find(|d| d.name == job.data);
            let data = data.ok_or_else(|| unlisted(&job.id, "data", &job.data))?;
            let job = Job {
                run,
                model: self.model(model),
                data: self.data(data),
                images: job.images,
                work: job.work.clone(),
                table: Table::read(folder, job, &model.sha256)?,
                checks: CheckRecord::read(&folder.join(&job.file))?,
            };
            self.insert(job, &name);
        }
        self.runs.push(RunInfo {
            folder: name,
            name: record.name,
            epsball: record.epsball,
            seed: record.seed,
            device: record.device,
            precision: record.precision,
        });
        Ok(())
    }

    /// Adds `job` of the run folder called `folder`, in place of an earlier run of the same job.
    fn insert(&mut self, job: Job, folder: &str) {
        let Some(at) = self.jobs.iter().position(|old| old.same_column(&job)) else {
            self.jobs.push(job);
            return;
        };
        let old = &self.jobs[at];
        let from = match self.runs.get(old.run) {
            Some(run) => format!("{folder} replaces {}", run.folder),
            // Two names for one network in one run, which is not in the list yet.
            None => format!("twice in {folder}, the later counts"),
        };
        let settings = if old.work == job.work { "" } else { ", with other settings" };
        let model = &self.models[job.model].name;
        self.notes.push(format!("{model} under {}: {from}{settings}.", format::label(&job.work)));
        self.jobs[at] = job;
    }

    fn model(&mut self, record: &ModelRecord) -> usize {
        let same =
            |m: &ModelRecord| m.sha256 == record.sha256 && m.architecture == record.architecture;
        let Some(at) = self.models.iter().position(same) else {
            self.models.push(record.clone());
            return self.models.len() - 1;
        };
        if self.models[at].published.is_none() {
            self.models[at].published.clone_from(&record.published);
        }
        let known = &self.models[at].name;
        if *known != record.name {
            let note = format!(
                "{} and {} are the same weight file, shown as {known}.",
                known, record.name
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        at
    }

    fn data(&mut self, record: &DataRecord) -> usize {
        match self.data.iter().position(|d| d.sha256 == record.sha256) {
            Some(at) => {
                let known = &mut self.data[at];
                known.images = known.images.max(record.images);
                at
            }
            None => {
                self.data.push(record.clone());
                self.data.len() - 1
            }
        }
    }

    /// Different files under one name get the start of their hash as a surname.
    fn tell_namesakes_apart(&mut self) {
        let names = |of: &[(String, String)]| -> Vec<String> {
            let twice = |name: &str| of.iter().filter(|(n, _)| n == name).count() > 1;
            of.iter()
                .map(|(name, sha256)| match twice(name) {
                    true => format!("{name} ({})", sha256.get(..8).unwrap_or(sha256)),
                    false => name.clone(),
                })
                .collect()
        };
        let models: Vec<_> =
            self.models.iter().map(|m| (m.name.clone(), m.sha256.clone())).collect();
        let data: Vec<_> = self.data.iter().map(|d| (d.name.clone(), d.sha256.clone())).collect();
        for (model, name) in self.models.iter_mut().zip(names(&models)) {
            model.name = name;
        }
        for (data, name) in self.data.iter_mut().zip(names(&data)) {
            data.name = name;
        }
    }
}
