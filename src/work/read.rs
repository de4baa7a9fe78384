//! Reading a job of a run for a report.

use std::collections::BTreeMap;
use std::path::Path;

use super::job::Job;
use super::kind::{Chance, Kind};
use super::of;
use super::rows::{check_count, read_checks};
use crate::error::Result;
use crate::record::{JobRecord, Work};
use crate::results::format;

/// Reads the table of `job` in the run folder `folder`; `identity` is of the job's model, and `numbers` are
/// those of its network and data set in the report. A missing file is a table without rows.
///
/// # Errors
/// If the work is of no known kind, or the table was changed, cut, or is of another job or network.
pub(crate) fn read_job(
    folder: &Path,
    job: &JobRecord,
    identity: &str,
    (model, data): (usize, usize),
) -> Result<Job> {
    let kind = of(&job.work)?;
    let path = folder.join(&job.file);
    let rows = kind.rows(&path, &job.key)?;
    rows.check_model(&path, identity)?;
    check_count(&path, job, rows.len())?;
    let checks = read_checks(&path, job, rows.len())?;
    let essence = kind.essence(&job.work);
    let Work { kind: name, label, threat, .. } = job.work.clone();
    Ok(Job {
        model,
        model_name: job.model.clone(),
        data,
        table: path,
        key: job.key.clone(),
        images: job.images,
        seed: job.seed,
        device: job.device.clone(),
        precision: job.precision.clone(),
        place: [vec![name, label, threat], kind.place(&job.work)].concat(),
        settings: settings(kind, job, &essence),
        any_eps: essence.eps.is_empty(),
        work: job.work.clone(),
        by_image: kind.by_image(),
        rows,
        checks,
    })
}

/// See [`Job::settings`].
fn settings(kind: &dyn Kind, job: &JobRecord, essence: &Work) -> BTreeMap<String, String> {
    let mut settings = essence.parameters.clone();
    settings.extend(essence.facts.clone());
    let mut put = |name: &str, value: String| settings.insert(name.to_owned(), value);
    put("method", essence.method.clone());
    put("precision", job.precision.clone());
    if !essence.eps.is_empty() {
        let eps: Vec<String> = essence.eps.iter().map(|value| format::eps(*value)).collect();
        put("eps", eps.join(" "));
    }
    // Runs of a search with several seeds are restarts; a statement about one draw is not that about another.
    if kind.chance() == Chance::Draw {
        put("seed", job.seed.to_string());
    }
    settings
}
