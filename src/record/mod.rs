//! What a run leaves on disk: `run.toml` with everything that was decided, and one table per job with
//! a row per image, which is also the journal, with what the safety checks found beside it. The runner
//! writes these types and the reports read them; a leaderboard is derived from them and from nothing
//! else.

mod attack_row;
mod bound_row;
mod certificate_row;
mod check_record;
mod corruptions;
mod counts_record;
mod patch_row;
mod toml_file;

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use attack_row::AttackRow;
pub use bound_row::BoundRow;
pub use certificate_row::CertificateRow;
pub use check_record::{CheckRecord, Finding};
pub use corruptions::{CorruptionRecord, CorruptionRow, SEVERITIES};
pub use counts_record::{CountsRecord, ImageCounts};
pub use patch_row::PatchRow;

use self::toml_file::Versioned;
use crate::error::{Error, Result};

/// More values than any image has.
const PIXELS: usize = 1 << 32;

/// A row of a job's table.
pub trait Row: Serialize + DeserializeOwned {
    /// Index of the image in its data set.
    fn idx(&self) -> u64;
}

/// Version of the formats in this module; a reader refuses newer ones.
pub const FORMAT_VERSION: u32 = 1;

/// The file `run.toml`: the resolved suite, with the identity of everything that went in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`FORMAT_VERSION`] at the time of writing.
    pub format_version: u32,
    /// Name of the suite.
    pub name: String,
    /// Version of epsball.
    pub epsball: String,
    /// Seed of all per-image randomness.
    pub seed: u64,
    /// Source of the random numbers: `per-image`, or `torch` with the batch size it depends on.
    #[serde(default)]
    pub rng: String,
    /// Device as resolved: `cpu`, `cuda:0`.
    pub device: String,
    /// Number format of the network that was attacked: `f32`.
    pub precision: String,
    /// Attack jobs leave their adversarial images beside their tables.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub save_adversarial: bool,
    /// The networks.
    #[serde(rename = "model")]
    pub models: Vec<ModelRecord>,
    /// The data sets.
    #[serde(rename = "data")]
    pub data: Vec<DataRecord>,
    /// The jobs, in the order of the suite.
    #[serde(rename = "job")]
    pub jobs: Vec<JobRecord>,
}

/// One network of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Name used in tables and job ids.
    pub name: String,
    /// Architecture, as in the zoo.
    pub architecture: String,
    /// SHA-256 of the weight file.
    pub sha256: String,
    /// Number of weights.
    pub parameters: usize,
    /// What the author or the model file says about it in a few words: training, source.
    #[serde(default)]
    pub note: String,
    /// The published entry that it is, `cifar10-linf/Carmon2019Unlabeled`, if the suite says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// One data set of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// Name used in tables.
    pub name: String,
    /// SHA-256 of the image file.
    pub sha256: String,
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// Number of images the jobs of this run evaluate.
    pub images: usize,
}

/// One job: one network under one attack or certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// Unique in the run: `model--label`.
    pub id: String,
    /// Table of the job, relative to the run folder, with `/`.
    pub file: String,
    /// A name in [`RunRecord::models`].
    pub model: String,
    /// A name in [`RunRecord::data`].
    pub data: String,
    /// Number of images this job evaluates; the job is finished when its table has as many rows.
    pub images: usize,
    /// What is done.
    pub work: Work,
}

/// What a job does to its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// An attack; its table holds [`AttackRow`]s (`.csv`).
    Attack {
        /// Column title, unique per model: `pgd-linf`, `patch-rs`.
        label: String,
        /// Name of the attack: `pgd`.
        attack: String,
        /// Threat model in words: `Linf`, `L2`, `patch 2x2`.
        threat: String,
        /// Budgets at which robust accuracy is reported, in the threat's unit, ascending. One value
        /// for a fixed-budget attack, any number for one that finds minimal perturbations; empty
        /// when the threat has no budget (a patch).
        eps: Vec<f64>,
        /// The attack minimises the distance, so one table serves every budget.
        minimal: bool,
        /// A control (random noise, grey patch): shown, but not part of the worst case.
        #[serde(default)]
        control: bool,
        /// Every hyper-parameter by its name in the paper.
        parameters: BTreeMap<String, String>,
    },
    /// Randomized smoothing; its table holds [`CertificateRow`]s (`.tsv`).
    Certificate {
        /// Column title: `smoothing-0.25`.
        label: String,
        /// Name of the certificate: `cohen`.
        certificate: String,
        /// Norm of the radii: `L2`, which runs before it was written down had.
        #[serde(default = "l2")]
        norm: String,
        /// Standard deviation of the noise, in pixel units of [0, 1]; 0 for noise without one.
        sigma: f64,
        /// Radii of the report, in the norm, ascending.
        radii: Vec<f64>,
        /// What is promised about a radius and why, in a sentence.
        #[serde(default)]
        guarantee: String,
        /// Every parameter by its name in the paper (N0, N, alpha).
        parameters: BTreeMap<String, String>,
    },
    /// A certificate against patches; its table holds [`PatchRow`]s (`.tsv`).
    PatchCertificate {
        /// Column title, unique per model: `patchcleanser-2x2`.
        label: String,
        /// Name of the certificate: `patchcleanser`.
        certificate: String,
        /// Threat model in words, in pixels: `patch 2x2`.
        patch: String,
        /// Every parameter by its name in the paper, the size of the patch as it was stated.
        parameters: BTreeMap<String, String>,
    },
    /// Deterministic bounds of the network itself; its table holds [`BoundRow`]s (`.tsv`).
    Bound {
        /// Column title: `crown-linf`.
        label: String,
        /// Name of the method: `crown`.
        certificate: String,
        /// Threat model in words: `Linf`, `L2`.
        threat: String,
        /// Radii of the report, in the norm of the threat, ascending.
        eps: Vec<f64>,
        /// Every parameter by name.
        parameters: BTreeMap<String, String>,
    },
}

fn l2() -> String {
    "L2".into()
}

impl Versioned for RunRecord {
    const WHAT: &'static str = "run record";
    const REMEDY: &'static str = "the folder is not a run of this version";

    fn format_version(&self) -> u32 {
        self.format_version
    }
}

impl RunRecord {
    /// Reads `run.toml` of the run folder `folder`.
    ///
    /// # Errors
    /// If the file is missing, is not TOML of this format, or is of a newer version, a table lies
    /// outside of the folder, or images are larger than any.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("run.toml");
        let record: Self = toml_file::read(&path)?;
        let bad =
            |field: String, problem: String| Err(Error::file(&path, field, problem, Self::REMEDY));
        // A path from elsewhere may name a device, which has no end.
        let outside = |job: &&JobRecord| {
            Path::new(&job.file).components().any(|part| !matches!(part, Component::Normal(_)))
        };
        if let Some(job) = record.jobs.iter().find(outside) {
            let problem = format!("`{}` is not a path inside the run folder", job.file);
            return bad(format!("job `{}`: file", job.id), problem);
        }
        let pixels =
            |data: &DataRecord| data.shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
        if let Some(data) = record.data.iter().find(|d| pixels(d).is_none_or(|n| n > PIXELS)) {
            let problem = format!("no image has {:?} values", data.shape);
            return bad(format!("data `{}`: shape", data.name), problem);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_nothing_can_have_written_are_refused() {
        let record = |file: &str, shape: &str| {
            format!(
                "format_version = 1\nname = \"n\"\nepsball = \"0.1.0\"\nseed = 0\ndevice = \"cpu\"\n\
                 precision = \"f32\"\nmodel = []\n[[data]]\nname = \"d\"\nsha256 = \"0\"\nshape = {shape}\n\
                 images = 1\n[[job]]\nid = \"j\"\nfile = \"{file}\"\nmodel = \"m\"\ndata = \"d\"\nimages = 1\n\
                 [job.work]\nkind = \"attack\"\nlabel = \"l\"\nattack = \"pgd\"\nthreat = \"Linf\"\neps = []\n\
                 minimal = false\nparameters = {{}}\n"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let read = |text: String| {
            std::fs::write(folder.path().join("run.toml"), text).unwrap();
            RunRecord::read(folder.path())
        };
        assert!(read(record("jobs/m/j.csv", "[3, 32, 32]")).is_ok());
        for (file, shape, problem) in [
            ("/dev/zero", "[3, 32, 32]", "job `j`: file: `/dev/zero` is not a path inside"),
            ("../j.csv", "[3, 32, 32]", "job `j`: file: `../j.csv` is not a path inside"),
            ("jobs/j.csv", "[3, 4294967296, 4294967296]", "data `d`: shape: no image has"),
        ] {
            let error = read(record(file, shape)).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
