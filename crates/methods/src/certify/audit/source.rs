//! The run that a table belongs to, if it still lies in one: `run.toml` says what was claimed.

use std::path::Path;

use crate::certify::SMOOTHING;
use crate::certify::noise::{CertifiedNorm, Family};
use crate::error::{Error, Result};
use crate::record::{JobRecord, RunRecord};

/// What `run.toml` says about a table of smoothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub(super) family: Family,
    pub(super) norm: CertifiedNorm,
    pub(super) sigma: f64,
    pub(super) n0: Option<u64>,
    pub(super) n: Option<u64>,
    pub(super) alpha: Option<f64>,
    /// `[C, H, W]`.
    pub(super) shape: [usize; 3],
    /// Images that the job was to certify.
    pub(super) images: usize,
    pub(super) radii: Vec<f64>,
}

impl Source {
    /// Looks for the run in the folders above `path`; `None` if it is in none, or in one that does not
    /// list it.
    ///
    /// # Errors
    /// If there is a `run.toml` that cannot be read, or the table is of another kind of job.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        let absolute = std::path::absolute(path).map_err(Error::io("find", path))?;
        // RUN/jobs/MODEL/JOB.tsv
        for folder in absolute.ancestors().skip(1).take(3) {
            if !folder.join("run.toml").exists() {
                continue;
            }
            let record = RunRecord::read(folder)?;
            let same = |job: &&JobRecord| folder.join(&job.file) == absolute;
            return match record.jobs.iter().find(same) {
                Some(job) => Self::of(path, &record, job).map(Some),
                None => Ok(None),
            };
        }
        Ok(None)
    }

    fn of(path: &Path, record: &RunRecord, job: &JobRecord) -> Result<Self> {
        let work = &job.work;
        if work.kind != SMOOTHING {
            return Err(Error::file(
                path,
                "table",
                "it is not of randomized smoothing: no number of votes limits its radii",
                "audit the table of a job of smoothing",
            ));
        }
        let bad = |field: &str, value: &str| {
            let problem = format!("`{value}` is not known");
            let field = format!("run.toml, job `{}`: {field}", job.id);
            Error::file(path, field, problem, "read it with the epsball version that wrote it")
        };
        let number = |name: &str| match work.parameters.get(name) {
            Some(text) => text.parse::<f64>().map(Some).map_err(|_| bad(name, text)),
            None => Ok(None),
        };
        let count = |name: &str| number(name).map(|value| value.map(|v| v as u64));
        let family = match work.parameters.get("noise").map_or("gaussian", String::as_str) {
            "gaussian" => Family::Gaussian,
            "uniform" => Family::Uniform,
            "laplace" => Family::Laplace,
            "lattice" => Family::Lattice { levels: count("levels")?.unwrap_or(255) as u32 },
            "ablation" => Family::Ablation { k: count("k")?.unwrap_or(0) as usize, fill: 0.0 },
            other => return Err(bad("noise", other)),
        };
        let known = CertifiedNorm::ALL.into_iter().find(|known| known.to_string() == work.threat);
        let data = record.data.iter().find(|data| data.name == job.data);
        Ok(Self {
            family,
            norm: known.ok_or_else(|| bad("threat", &work.threat))?,
            sigma: work.fact("sigma").parse().map_err(|_| bad("sigma", work.fact("sigma")))?,
            n0: count("N0")?,
            n: count("N")?,
            alpha: number("alpha")?,
            shape: data.ok_or_else(|| bad("data", &job.data))?.shape,
            images: job.images,
            radii: work.eps.clone(),
        })
    }
}
