//! One side of a comparison: what lies at a path.

use std::path::{Path, PathBuf};

use super::outcomes::{Outcomes, Owner, worst_case};
use crate::certify::log::Log;
use crate::error::{Error, Result};
use crate::record::{JobRecord, RunRecord};
use crate::work::{self, counts, log_columns, read_job};

/// All columns of all jobs at `path`; `radii` are those of certified accuracy, if any are given.
pub(super) fn read(path: &Path, radii: &[f64]) -> Result<Vec<Outcomes>> {
    let Some((folder, part)) = run_of(path)? else {
        if path.is_dir() {
            return Err(Error::file(
                path,
                "run.toml",
                "the folder is no run and in none",
                "name a run folder, a folder or table in one, or a log of certificates",
            ));
        }
        let owner = Owner { model: String::new(), data: None, label: String::new() };
        return Ok(owner.outcomes(log_columns(&Log::read(path)?, radii)));
    };
    let record = RunRecord::read(&folder)?;
    let mut all = Vec::new();
    // The last budget of every attack, by network and data.
    let mut largest: Vec<Outcomes> = Vec::new();
    for job in record.jobs.iter().filter(|job| Path::new(&job.file).starts_with(&part)) {
        let columns = columns(&folder, &record, job, radii)?;
        largest.extend(columns.last().filter(|_| counts(&job.work)).cloned());
        all.extend(columns);
    }
    while let Some(first) = largest.first().cloned() {
        let same = |o: &Outcomes| o.model == first.model && o.data == first.data;
        let own: Vec<&Outcomes> = largest.iter().filter(|o| same(o)).collect();
        all.extend(worst_case(&own));
        largest.retain(|o| !same(o));
    }
    if all.is_empty() {
        return Err(Error::file(
            path,
            "jobs",
            "the run has no results there",
            "name a run folder, a folder below its `jobs`, or a table that it lists",
        ));
    }
    Ok(all)
}

fn columns(
    folder: &Path,
    record: &RunRecord,
    job: &JobRecord,
    radii: &[f64],
) -> Result<Vec<Outcomes>> {
    let model = record.models.iter().find(|model| model.name == job.model);
    let data = record.data.iter().find(|data| data.name == job.data);
    let (Some(model), Some(data)) = (model, data) else {
        return Err(Error::file(
            folder.join("run.toml"),
            format!("job `{}`", job.id),
            "its network or its data is not listed in this file",
            "the file was edited or cut: run the suite again",
        ));
    };
    let read = read_job(folder, job, &model.identity, (0, 0))?;
    let rows = read.rows.as_ref();
    if rows.len() < job.images {
        return Err(Error::file(
            folder.join(&job.file),
            "rows",
            format!("{} of {} images are done", rows.len(), job.images),
            "finish the run, which the same command resumes, or compare the tables that are finished",
        ));
    }
    let owner = Owner {
        model: model.name.clone(),
        data: Some(data.name.clone()),
        label: job.work.label.clone(),
    };
    Ok(owner.outcomes(work::of(&job.work)?.per_image(&job.work, rows, radii)))
}

/// The run that `path` is or lies in, and where in it.
fn run_of(path: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
    if !path.exists() {
        return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
    }
    let absolute = std::path::absolute(path).map_err(Error::io("find", path))?;
    // RUN/jobs/MODEL/JOB.csv
    let run = absolute.ancestors().take(4).find(|folder| folder.join("run.toml").exists());
    Ok(run.map(|run| {
        let part = absolute.strip_prefix(run).unwrap_or(Path::new("")).to_path_buf();
        (run.to_path_buf(), part)
    }))
}
