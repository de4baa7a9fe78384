//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the
//! last finished one.

use std::path::Path;

use super::grow::{Grown, end_session, finish_job, grow};
use super::plan::Plan;
use super::session;
use crate::error::{Error, Result};
use crate::work::Progress;

/// How to run.
pub struct RunOptions<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// Whether to stop: asked before every pass of an attack and every image of a certificate.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// How a run ended.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Jobs whose tables are complete.
    pub finished: usize,
    /// Jobs that failed.
    pub failures: Vec<Failure>,
}

/// A job that failed.
#[derive(Debug)]
#[non_exhaustive]
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
    let jobs = grow(plan, options.folder)?;
    let mut summary = Summary::default();
    let ended = run_jobs(plan, jobs, options, progress, &mut summary);
    // Nothing was computed in a session that found everything finished, and there is no record of it.
    end_session(options.folder, &plan.session, session::now())?;
    ended.map(|()| summary)
}

fn run_jobs(
    plan: &Plan,
    jobs: Vec<Grown>,
    options: &RunOptions<'_>,
    progress: &mut dyn Progress,
    summary: &mut Summary,
) -> Result<()> {
    for (number, (Grown { record, damage }, job)) in jobs.into_iter().zip(&plan.jobs).enumerate() {
        let place = plan.place(number, &record, options.folder, options.stop);
        let ended = match damage {
            Some(damage) => Err(damage),
            None => job.task.run(&place, progress).and_then(|()| match record.finished {
                true => Ok(()),
                false => finish_job(options.folder, &record),
            }),
        };
        match ended {
            Ok(()) => summary.finished += 1,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                progress.failed(&record, &error);
                summary.failures.push(Failure { job: record.id, error });
            }
        }
    }
    Ok(())
}
