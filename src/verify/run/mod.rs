//! Whether what a run folder claims is still true: its files are as they were written, its models and
//! images are still those of its rows, every saved adversarial image is one when it is asked again, and
//! certificates drawn at random come out as they stand in the table.

mod adversarial;
mod certificates;
mod manifest;
mod sources;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use manifest::write_manifest;

use self::sources::Sources;
use crate::bench::Indexed;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::record::{CheckRecord, JobRecord, RunRecord};
use crate::work::{self, AttackRow, Keyed, Rows};

/// What to look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Only what the folder's own files say: no network is asked and no image is read.
    pub files_only: bool,
    /// Certificates, or accuracies under a corruption, of each job that are computed again.
    pub certificates: usize,
    /// Seed of the choice of these.
    pub seed: u64,
    /// Images at a time.
    pub batch: usize,
    /// Where networks run.
    pub device: Device,
    /// Adversarial images are judged again by the network in f64, too.
    pub in_f64: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            files_only: false,
            certificates: 3,
            seed: 0,
            batch: 128,
            device: Device::Auto,
            in_f64: false,
        }
    }
}

/// Something that is not as the folder claims.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What it is about: a file, a job, a model, a data set.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

/// What a look at a folder found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verification {
    /// The run folder.
    pub folder: PathBuf,
    /// Jobs of the run.
    pub jobs: usize,
    /// Rows of their tables.
    pub rows: usize,
    /// Models whose identity was computed again.
    pub models: usize,
    /// Images whose digest was computed again.
    pub images: usize,
    /// Images whose clean prediction was asked again, job by job.
    pub clean: usize,
    /// Saved adversarial images that were asked again.
    pub adversarial: usize,
    /// Of these, with their clean images, those that were judged in f64 as well: of images that were broken.
    pub in_f64: usize,
    /// Those of them of which f64 says something else than the row: that the clean image is misclassified, or that the
    /// adversarial one is not. The row is true of the network as it runs, so this is no finding; but what broke the
    /// image is rounding.
    pub by_rounding: Vec<Finding>,
    /// Certificates that were computed again.
    pub certificates: usize,
    /// Accuracies under a corruption at a severity that were computed again.
    pub corruptions: usize,
    /// What is wrong; nothing, if the folder claims what is true.
    pub findings: Vec<Finding>,
}

impl Verification {
    fn find(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }

    /// Keeps what a step computed, or its error as a finding; an interruption ends everything.
    fn step<T>(&mut self, place: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => {
                self.find(place, error.to_string());
                Ok(None)
            }
        }
    }
}

/// A job with what its rows are about.
struct Subject<'a> {
    folder: &'a Path,
    job: &'a JobRecord,
    network: &'a Network,
    data: &'a Indexed,
    settings: &'a Settings,
    stop: &'a (dyn Fn() -> bool + Sync),
}

/// The rows of a job, of its kind.
fn read(folder: &Path, job: &JobRecord) -> Result<Box<dyn Rows>> {
    work::of(&job.work)?.rows(&folder.join(&job.file), &job.key)
}

/// Looks at the run in `folder`; `stop` is asked between images.
///
/// # Errors
/// Only if the folder is no run, or with [`Error::Interrupted`] if it was stopped; whatever else is wrong
/// is a finding.
pub fn verify_run(
    folder: &Path,
    settings: &Settings,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Verification> {
    let mut found = Verification { folder: folder.into(), ..Verification::default() };
    if !RunRecord::path(folder).exists() {
        let remedy = "name a folder that `epsball run`, `attack` or `certify` has written";
        return Err(Error::file(folder, "run.toml", "the folder is no run", remedy));
    }
    let record = match RunRecord::read(folder) {
        Ok(record) => record,
        Err(error) => {
            found.find("run.toml", error.to_string());
            return Ok(found);
        }
    };
    found.jobs = record.jobs.len();
    let mut tables = Vec::new();
    for job in &record.jobs {
        let rows = found.step(&job.id, read(folder, job))?;
        if let Some(rows) = &rows {
            files(&mut found, folder, job, rows.len())?;
        }
        tables.push(rows);
    }
    if settings.files_only {
        return Ok(found);
    }
    let mut sources = Sources::open(&record, settings, &mut found)?;
    for data in &record.data {
        let by_image = |job: &JobRecord| work::of(&job.work).is_ok_and(|kind| kind.by_image());
        let own = record.jobs.iter().zip(&tables);
        let own = own.filter(|(job, _)| job.data == data.name && by_image(job));
        let images: Vec<(&str, u64, &str)> = own
            .flat_map(|(job, rows)| rows.iter().map(move |rows| (job, rows)))
            .flat_map(|(job, rows)| {
                rows.images().into_iter().map(|(idx, image)| (&*job.id, idx, image))
            })
            .collect();
        sources.compare_images(&data.name, &images, settings, stop, &mut found)?;
    }
    for (job, rows) in record.jobs.iter().zip(&tables) {
        let (Some(rows), Some((network, data))) = (rows, sources.of(job)) else { continue };
        let subject = Subject { folder, job, network, data, settings, stop };
        let looked = match Keyed::<AttackRow>::of(rows.as_ref()) {
            Some(keyed) => adversarial::verify(&subject, &keyed.rows, &mut found),
            None => certificates::verify(&subject, rows.as_ref(), &mut found),
        };
        found.step(&job.id, looked)?;
    }
    Ok(found)
}

/// Looks at what lies beside the table of a job, and whether the table is whole.
fn files(found: &mut Verification, folder: &Path, job: &JobRecord, count: usize) -> Result<()> {
    found.rows += count;
    if job.finished && count < job.images {
        let problem = format!("{count} of the {} rows that were written are there", job.images);
        found.find(&job.file, problem);
    } else if count > job.images {
        let problem = format!("{count} rows, and run.toml knows of {} images", job.images);
        found.find(&job.file, problem);
    }
    if job.checked && count > 0 {
        let table = folder.join(&job.file);
        let record = found.step(&job.id, CheckRecord::read(&table, &job.key))?;
        if matches!(record, Some(None)) {
            found.find(&job.id, "the record of its safety checks is missing");
        }
    }
    Ok(())
}
