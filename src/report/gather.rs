//! Brings the jobs of several run folders together. The order, the names and the number of copies of the
//! folders do not matter: runs are sorted by their beginning, copies of a run are one run, and networks
//! and images are the same when their digests are, whatever each run calls them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::data_sets;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::record::{DataRecord, JobRecord, ModelRecord, RunRecord, SessionRecord};
use crate::regular;
use crate::results::distinct;
use crate::work::{Job, read_job};

/// Where a part of a leaderboard comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    /// Name of the run folder, without the path to it; several names if it was given in copies.
    pub folder: String,
    /// Name of the suite.
    pub name: String,
    /// Versions of epsball that ran it.
    pub epsball: Vec<String>,
    /// Seeds of all per-image randomness.
    pub seeds: Vec<u64>,
    /// Devices: `cpu`, `cuda:0`.
    pub devices: Vec<String>,
    /// Number formats of the attacked networks.
    pub precisions: Vec<String>,
    /// When, by which command and on which machine it ran. Not in `summary.json`, which a second run repeats to the
    /// byte.
    #[serde(skip)]
    pub sessions: Vec<SessionRecord>,
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

/// A run in all its copies.
struct Run {
    started: u64,
    /// SHA-256 of `run.toml`.
    hash: String,
    record: RunRecord,
    folders: Vec<PathBuf>,
}

impl Gathered {
    /// Reads all run folders.
    pub(super) fn read(folders: &[PathBuf]) -> Result<Self> {
        let mut runs: Vec<Run> = Vec::new();
        for folder in folders {
            let record = RunRecord::read(folder)?;
            let path = RunRecord::path(folder);
            let hash = sha256(&regular::read(&path).map_err(Error::io("read", &path))?);
            match runs.iter_mut().find(|run| run.hash == hash) {
                Some(run) => run.folders.push(folder.clone()),
                None => runs.push(Run {
                    started: record.sessions.first().map_or(0, |session| session.started),
                    hash,
                    record,
                    folders: vec![folder.clone()],
                }),
            }
        }
        runs.sort_by(|a, b| (a.started, &a.hash).cmp(&(b.started, &b.hash)));
        let mut all = Self::default();
        // Where the data records of each run begin among those of all runs.
        let mut records: Vec<DataRecord> = Vec::new();
        for run in &runs {
            all.add(run, records.len())?;
            records.extend(run.record.data.iter().cloned());
        }
        all.data = data_sets::merge(records, &mut all.jobs);
        all.tell_namesakes_apart();
        Ok(all)
    }

    /// Adds `run`; the first of its data records is number `first_data` of all.
    fn add(&mut self, run: &Run, first_data: usize) -> Result<()> {
        let Run { record, folders, .. } = run;
        for job in &record.jobs {
            let unlisted = |field: &str, value: &str| {
                Error::file(
                    folders.first().map(|folder| RunRecord::path(folder)).unwrap_or_default(),
                    format!("job `{}`: {field}", job.id),
                    format!("`{value}` is not listed in this file"),
                    "copy the file from a backup, or run the suite in another folder",
                )
            };
            let model = record.models.iter().find(|m| m.name == job.model);
            let model = model.ok_or_else(|| unlisted("model", &job.model))?;
            let data = record.data.iter().position(|d| d.name == job.data);
            let data = first_data + data.ok_or_else(|| unlisted("data", &job.data))?;
            let number = self.model(model);
            for folder in folders {
                let job = &without_addition(job, &record.jobs);
                self.jobs.push(read_job(folder, job, &model.identity, (number, data))?);
            }
        }
        let mut names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
        names.sort();
        names.dedup();
        self.runs.push(RunInfo {
            folder: names.join(", "),
            name: record.name.clone(),
            epsball: distinct(record.sessions.iter().map(|session| session.epsball.clone())),
            seeds: distinct(record.jobs.iter().map(|job| job.seed)),
            devices: distinct(record.jobs.iter().map(|job| job.device.clone())),
            precisions: distinct(record.jobs.iter().map(|job| job.precision.clone())),
            sessions: record.sessions.clone(),
        });
        Ok(())
    }

    fn model(&mut self, record: &ModelRecord) -> usize {
        let Some(at) = self.models.iter().position(|m| m.identity == record.identity) else {
            self.models.push(record.clone());
            return self.models.len() - 1;
        };
        if self.models[at].published.is_none() {
            self.models[at].published.clone_from(&record.published);
        }
        let (known, new) = (&self.models[at].name, &record.name);
        if known != new {
            let note = format!("{known} and {new} are the same network, shown as {known}.");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        at
    }

    /// What differs under one name gets the start of its digest as a surname.
    fn tell_namesakes_apart(&mut self) {
        let mut names: Vec<(&mut String, [&str; 2])> =
            self.models.iter_mut().map(|m| (&mut m.name, [&*m.identity, ""])).collect();
        surnames(&mut names);
        let mut names: Vec<(&mut String, [&str; 2])> =
            self.data.iter_mut().map(|d| (&mut d.name, [&*d.sha256, &*d.digest])).collect();
        surnames(&mut names);
    }
}

/// The job with the label that its suite gave it. In its run it may have another one, such as `pgd (steps=20)`, because of a
/// namesake among `jobs`; a board compares the settings of all its jobs and names them itself.
fn without_addition(job: &JobRecord, jobs: &[JobRecord]) -> JobRecord {
    let mut job = job.clone();
    let added = |label: &str| {
        let (own, addition) = label.rsplit_once(" (")?;
        let namesake = job.id.strip_suffix(&format!(" ({addition}"))?;
        let known = jobs.iter().any(|other| other.id == namesake);
        (addition.ends_with(')') && known).then(|| own.to_owned())
    };
    if let Some(label) = added(&job.work.label) {
        job.work.label = label;
    }
    job
}

/// Appends to equal names the start of the first of their digests, and of the second if that is equal too.
fn surnames(names: &mut [(&mut String, [&str; 2])]) {
    let known: Vec<(String, [String; 2])> = names
        .iter()
        .map(|(name, digests)| (name.to_string(), digests.map(str::to_owned)))
        .collect();
    for (name, [first, second]) in names {
        let same = |(other, _): &&(String, [String; 2])| other == *name;
        if known.iter().filter(same).count() > 1 {
            let alike = known.iter().filter(same).filter(|(_, [other, _])| other == first).count();
            let digest = if alike > 1 && !second.is_empty() { second } else { first };
            **name = format!("{name} ({})", digest.get(..8).unwrap_or(digest));
        }
    }
}

fn name(folder: &Path) -> String {
    let last = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    last.unwrap_or_else(|| folder.display().to_string())
}
