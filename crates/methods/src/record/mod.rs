//! What a run leaves on disk: `run.toml` with everything that was decided, and one table per job with
//! a row per image, which is also the journal, with what the safety checks found beside it. The runner
//! writes these types and the reports read them; a leaderboard is derived from them and from nothing
//! else.

mod check_record;
mod checksum;
mod lines;
mod row;
mod service_form;
mod table;
mod toml_file;
mod work;

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use check_record::{CheckRecord, Finding};
pub use lines::{TableLine, TableLines};
pub use row::{Adversarial, Line, Row, Seen};
pub use service_form::{ServiceBody, ServiceForm};
pub use table::{Table, read_table};
pub use table::{encode as encode_table, parse as parse_table, table_images};
pub use toml_file::{Versioned, read_if_there, write as write_toml};
pub use work::Work;

use crate::error::{Error, Result};
use crate::onnx::OnnxForm;

/// More values than any image has.
const PIXELS: usize = 1 << 32;

/// Version of the formats in this module; a reader refuses others.
///
/// 2: rows say which image they are about and carry a checksum; a run has sessions, and a job its own
/// seed, device and key.
///
/// 3: the work of every kind has the same fields.
pub const FORMAT_VERSION: u32 = 3;

/// The file `run.toml`: every job with its settings, and the identity of everything that went in. A
/// run grows: later sessions add models, data, images and jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`FORMAT_VERSION`] at the time of writing.
    pub format_version: u32,
    /// Name of the suite that began the run.
    pub name: String,
    /// Every call of the program that computed in this folder, in order.
    #[serde(default, rename = "session")]
    pub sessions: Vec<SessionRecord>,
    /// The networks.
    #[serde(default, rename = "model")]
    pub models: Vec<ModelRecord>,
    /// The data sets.
    #[serde(default, rename = "data")]
    pub data: Vec<DataRecord>,
    /// The jobs, in the order in which they were added.
    #[serde(default, rename = "job")]
    pub jobs: Vec<JobRecord>,
}

/// One call of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    /// The arguments of the program, as they were given.
    pub command: String,
    /// Version of epsball.
    pub epsball: String,
    /// Processor, threads and operating system; for searches in bf16 what multiplies.
    pub machine: String,
    /// Device of the networks: `cpu`, `cuda:0`.
    pub device: String,
    /// Begin, as seconds since 1970-01-01 00:00 UTC.
    pub started: u64,
    /// End, likewise; 0 while the session runs or if it was killed.
    pub ended: u64,
}

/// One network of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Name used in tables and job ids.
    pub name: String,
    /// Its weight files, or the names of bundled models, as the session named them; several for an
    /// ensemble.
    pub files: Vec<String>,
    /// What an ensemble averages: `logits`, `probabilities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<String>,
    /// Architecture that the session named, for weights that do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What an image is for an ONNX network, as the session said it.
    #[serde(default, skip_serializing_if = "OnnxForm::is_default")]
    pub onnx: OnnxForm,
    /// How a service is asked that answers for the network, as the session said it; its address is in `files`.
    #[serde(default, skip_serializing_if = "ServiceForm::is_default")]
    pub service: ServiceForm,
    /// Architecture, as in the zoo, or `onnx`; `http` for what a service answers for.
    pub architecture: String,
    /// SHA-256 of the weight file, or of what a service says of itself.
    pub sha256: String,
    /// SHA-256 of what the network computes with: weights, architecture, parameters, normalisation. Of a service the
    /// address and what it says of itself: what it computes with is not known.
    pub identity: String,
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
    /// Where it lies, `FORMAT:PATH`, as the session named it.
    pub spec: String,
    /// SHA-256 of the image file (for a folder: of the list of names).
    pub sha256: String,
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// Number of images that the latest session evaluated.
    pub images: usize,
    /// SHA-256 of the list of these images: of their digests, in order.
    pub digest: String,
}

/// One job: one network under one attack or certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// Unique in the run: `model--label`.
    pub id: String,
    /// Identity of the job: SHA-256 of everything that its rows depend on but the images. Two jobs of
    /// one key give the same row for an image.
    pub key: String,
    /// Table of the job, relative to the run folder, with `/`.
    pub file: String,
    /// A name in [`RunRecord::models`].
    pub model: String,
    /// A name in [`RunRecord::data`].
    pub data: String,
    /// Number of images this job evaluates, each a row of its table; the job is finished when its table
    /// has as many rows.
    pub images: usize,
    /// Every row was on the disk when the job ended: a table with fewer rows was cut.
    #[serde(default)]
    pub finished: bool,
    /// Safety checks belong to the job: their record lies beside its table.
    #[serde(default)]
    pub checked: bool,
    /// Seed of all per-image randomness.
    pub seed: u64,
    /// Source of the random numbers: `per-image`, or `torch` with the batches it depends on.
    pub rng: String,
    /// Device as resolved: `cpu`, `cuda:0`.
    pub device: String,
    /// Number format of the network that was attacked: `f32`.
    pub precision: String,
    /// What is done.
    pub work: Work,
}

impl Versioned for RunRecord {
    const WHAT: &'static str = "run record";
    const REMEDY: &'static str =
        "copy the file from a backup, or choose another folder; rows in `jobs` stay readable";
}

impl RunRecord {
    /// The file of the run folder `folder`.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("run.toml")
    }

    /// Puts the record into the run folder `folder`, in one step.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        toml_file::write(&Self::path(folder), "", self)
    }

    /// Reads `run.toml` of the run folder `folder`.
    ///
    /// # Errors
    /// If the file is missing, is not TOML of this format, or is of a newer version, a table lies
    /// outside of the folder, or images are larger than any.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        let record: Self = toml_file::read(&path, "")?;
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
                "format_version = 3\nname = \"n\"\nmodel = []\n[[data]]\nname = \"d\"\n\
                 spec = \"digits\"\nsha256 = \"0\"\nshape = {shape}\nimages = 1\ndigest = \"0\"\n\
                 [[job]]\nid = \"j\"\nkey = \"k\"\nfile = \"{file}\"\nmodel = \"m\"\ndata = \"d\"\n\
                 images = 1\nseed = 0\nrng = \"per-image\"\ndevice = \"cpu\"\nprecision = \"f32\"\n\
                 [job.work]\nkind = \"attack\"\nlabel = \"l\"\nmethod = \"pgd\"\nthreat = \"Linf\"\n\
                 eps = []\n"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("run.toml"), text).unwrap();
        let read = |text: String| {
            write(&checksum::sealed("", &text));
            RunRecord::read(folder.path())
        };
        read(record("jobs/m/j.csv", "[3, 32, 32]")).unwrap();
        write(&record("jobs/m/j.csv", "[3, 32, 32]"));
        let error = RunRecord::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("run record: its checksum does not fit"), "{error}");
        write("format_version = 1\nname = \"n\"\n");
        let error = RunRecord::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("format_version: it is 1, and this version"), "{error}");
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
