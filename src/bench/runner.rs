//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the
//! last finished one. Several processes may run one plan in one folder ([`super::share`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::grow::{Grown, end_session, grow};
use super::marks::Marks;
use super::plan::Plan;
use super::session;
use super::share::{Crew, Open, Tried};
use crate::error::{Error, Result};
use crate::record::{JobRecord, RunRecord, TableLines};
use crate::work::Progress;

/// The first pause of a process that can do nothing, and what is added to every further one.
const SHORTEST: Duration = Duration::from_millis(20);

/// The longest pause, in shortest ones.
const LONGEST: u32 = 25;

/// After so many pauses it is told.
const TOLD: u32 = 10;

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

/// Runs what is left of `plan` in the run folder, which grows by it. Other processes may do the same at the same
/// time: they share the jobs, and each of them ends when all of it is done.
///
/// # Errors
/// If the folder holds something that contradicts the plan; with [`Error::Interrupted`] if the caller
/// asked to stop. Jobs that fail are in the summary.
pub fn run(plan: &Plan, options: &RunOptions<'_>, progress: &mut dyn Progress) -> Result<Summary> {
    let jobs = grow(plan, options.folder)?;
    let mut summary = Summary::default();
    let marks = Marks::in_folder(options.folder);
    let ended = run_jobs(plan, jobs, options, &marks, progress, &mut summary);
    marks.write()?;
    // Nothing was computed in a session that found everything finished, and there is no record of it.
    end_session(options.folder, &plan.session, session::now())?;
    ended.map(|()| summary)
}

/// Ids of the jobs of `plan` that are not finished in the run folder.
///
/// # Errors
/// If its record cannot be read.
pub fn unfinished(plan: &Plan, folder: &Path) -> Result<Vec<String>> {
    let there = match RunRecord::path(folder).exists() {
        true => RunRecord::read(folder)?.jobs,
        false => Vec::new(),
    };
    let finished = |job: &&JobRecord| {
        let known = there.iter().find(|known| known.key == job.key);
        known.is_some_and(|known| known.finished && known.images >= job.images)
    };
    let left = plan.record.jobs.iter().filter(|job| !finished(job));
    Ok(left.map(|job| job.id.clone()).collect())
}

/// How many rows the tables of the jobs of `plan` have in the run folder, and how many they will have.
///
/// # Errors
/// If a table cannot be read.
pub fn rows(plan: &Plan, folder: &Path) -> Result<(usize, usize)> {
    let all = plan.record.jobs.iter().map(|job| job.images).sum();
    if !RunRecord::path(folder).exists() {
        return Ok((0, all));
    }
    let there = RunRecord::read(folder)?.jobs;
    let mut done = 0;
    for job in &plan.record.jobs {
        if let Some(known) = there.iter().find(|known| known.key == job.key) {
            let table = TableLines::read(&folder.join(&known.file), &known.key)?;
            done += table.lines.len().min(job.images);
        }
    }
    Ok((done, all))
}

fn run_jobs(
    plan: &Plan,
    jobs: Vec<Grown>,
    options: &RunOptions<'_>,
    marks: &Marks<'_>,
    progress: &mut dyn Progress,
    summary: &mut Summary,
) -> Result<()> {
    let crew = Crew::new(plan, options.folder, options.stop, marks)?;
    let mut open = Vec::with_capacity(jobs.len());
    let mut damages = BTreeMap::new();
    for (number, Grown { record, damage }) in jobs.into_iter().enumerate() {
        if let Some(damage) = damage {
            damages.insert(number, damage);
        }
        open.push(Open::new(number, record));
    }
    open.retain(|job| damages.contains_key(&job.number) || !crew.is_elsewhere(job));
    if !plan.rows_of.is_empty() {
        let read = |run: &PathBuf| RunRecord::read(run).map(|record| (run.clone(), record));
        let from = plan.rows_of.iter().map(read).collect::<Result<Vec<_>>>()?;
        let own = open.iter().filter(|job| !damages.contains_key(&job.number));
        let rows: Result<Vec<usize>> = own.map(|job| crew.adopt(job, &from)).collect();
        if rows?.iter().all(|rows| *rows == 0) {
            return Err(Error::setting(
                "--rows-of",
                "none of these folders has a row of one of the jobs",
                "name run folders of the same suite: models, images, settings and device have to be the same",
            ));
        }
    }
    let mut end = |job: &Open, ended: Result<()>, progress: &mut dyn Progress| match ended {
        Ok(()) => summary.finished += 1,
        Err(error) => {
            progress.failed(&job.record, &error);
            summary.failures.push(Failure { job: job.record.id.clone(), error });
        }
    };
    let mut pause = Pause::default();
    while !open.is_empty() {
        let mut moved = false;
        let mut left = Vec::with_capacity(open.len());
        for mut job in open {
            let tried = match damages.remove(&job.number) {
                Some(damage) => Err(damage),
                None => crew.own(&mut job, progress),
            };
            match tried {
                Ok(Tried::Done) => end(&job, Ok(()), progress),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => end(&job, Err(error), progress),
                Ok(tried) => {
                    moved |= tried == Tried::Moved;
                    left.push(job);
                }
            }
        }
        open = left;
        // Everything that is left belongs to others, who are glad of help.
        for at in 0..open.len() {
            match crew.help(&mut open[at], progress) {
                Ok(Tried::Busy) => continue,
                Ok(Tried::Moved) => moved = true,
                Ok(Tried::Done) => {
                    let mut job = open.remove(at);
                    // Rows that were left for the table's owner are taken up by it, or here if there is none.
                    let ended = crew.own(&mut job, progress).map(drop);
                    if matches!(ended, Err(Error::Interrupted)) {
                        return Err(Error::Interrupted);
                    }
                    end(&job, ended, progress);
                    moved = true;
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => end(&open.remove(at), Err(error), progress),
            }
            break;
        }
        if let Some(job) = open.first().filter(|_| !moved) {
            pause.wait(&job.record, options.stop, progress)?;
        } else {
            pause = Pause::default();
        }
    }
    Ok(())
}

/// Waiting for other processes, longer and longer.
#[derive(Default)]
struct Pause {
    times: u32,
}

impl Pause {
    /// # Errors
    /// With [`Error::Interrupted`] if the caller asked to stop.
    fn wait(
        &mut self,
        job: &JobRecord,
        stop: &(dyn Fn() -> bool + Sync),
        progress: &mut dyn Progress,
    ) -> Result<()> {
        if stop() {
            return Err(Error::Interrupted);
        }
        self.times += 1;
        if self.times == TOLD {
            progress.waiting(job);
        }
        std::thread::sleep(SHORTEST * self.times.min(LONGEST));
        Ok(())
    }
}
