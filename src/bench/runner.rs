//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the
//! last finished one.

use std::path::Path;

use super::grow::{end_session, finish_job, grow};
use super::plan::Plan;
use super::session;
use super::work::Place;
use crate::error::{Error, Result};
use crate::record::{Finding, JobRecord};

/// What a caller hears while jobs run.
pub trait Progress {
    /// A job begins; `done` of its images are already in its table.
    fn job(&mut self, job: &JobRecord, done: usize);
    /// So many more images are in the table.
    fn images(&mut self, count: usize);
    /// A safety check fired, now or when the job was begun; once per job and check.
    fn finding(&mut self, job: &JobRecord, finding: &Finding);
    /// A job failed.
    fn failed(&mut self, job: &JobRecord, error: &Error);
}

/// Hears nothing.
#[cfg(test)]
pub(super) struct Silent;

#[cfg(test)]
impl Progress for Silent {
    fn job(&mut self, _: &JobRecord, _: usize) {}
    fn images(&mut self, _: usize) {}
    fn finding(&mut self, _: &JobRecord, _: &Finding) {}
    fn failed(&mut self, _: &JobRecord, _: &Error) {}
}

/// How to run.
pub struct RunOptions<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// Whether to stop: asked before every pass of an attack and every image of a certificate.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    /// Jobs whose tables are complete.
    pub finished: usize,
    /// Jobs that failed.
    pub failures: Vec<Failure>,
}

/// A job that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its id.
    pub job: String,
    /// Why.
    pub error: Error,
}

/// Runs what is left of `plan` in the run folder, which grows by it.
///
/// # Errors
/// If the folder holds something that contradicts the plan; with [`Error::Interrupted`] if the caller
/// asked to stop. Jobs that fail are in the summary.
pub fn run(plan: &Plan, options: &RunOptions<'_>, progress: &mut dyn Progress) -> Result<Summary> {
    let records = grow(plan, options.folder)?;
    let mut summary = Summary::default();
    let ended = run_jobs(plan, &records, options, progress, &mut summary);
    // Nothing was computed in a session that found everything finished, and there is no record of it.
    end_session(options.folder, &plan.session, session::now())?;
    ended.map(|()| summary)
}

fn run_jobs(
    plan: &Plan,
    records: &[JobRecord],
    options: &RunOptions<'_>,
    progress: &mut dyn Progress,
    summary: &mut Summary,
) -> Result<()> {
    for (record, job) in records.iter().zip(&plan.jobs) {
        let place = Place { plan, record, job, folder: options.folder, stop: options.stop };
        let ended = job.task.run(&place, progress).and_then(|()| match record.finished {
            true => Ok(()),
            false => finish_job(options.folder, record),
        });
        match ended {
            Ok(()) => summary.finished += 1,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                progress.failed(record, &error);
                summary.failures.push(Failure { job: record.id.clone(), error });
            }
        }
    }
    Ok(())
}
