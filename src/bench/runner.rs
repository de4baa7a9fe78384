//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the
//! last finished one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::counts::JobCounts;
use super::grow::{end_session, finish_job, grow};
use super::journal::Journal;
use super::plan::{Plan, PlannedJob, Task};
use super::session;
use crate::attack::{Configured, Outcome, Request, attack_until};
use crate::certify::bounds::bound_batch;
use crate::certify::certify_batch;
use crate::certify::patch::certify_patches;
use crate::data::{Batch, Dataset, ahead, image_digest};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::ops::with_slice;
use crate::record::{AttackRow, CertificateRow, Finding, JobRecord, Row};
use crate::rng::Randomness;
use crate::threat::Change;

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
        let ended =
            run_job(plan, record, job, options, progress).and_then(|()| match record.finished {
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

fn run_job(
    plan: &Plan,
    record: &JobRecord,
    job: &PlannedJob,
    options: &RunOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<()> {
    let model = &plan.models[job.model];
    let stop = options.stop;
    match &job.task {
        Task::Attack(configured, request) => Remaining::open(plan, record, job, options)?.attack(
            model,
            (configured, request),
            stop,
            progress,
        ),
        Task::Certificate(settings) => {
            let work = Remaining::open(plan, record, job, options)?;
            let done = work.rows.iter().map(CertificateRow::idx);
            let classes = model.info().classes;
            let mut counts = JobCounts::open(&work.path, &record.key, classes, done)?;
            work.image_by_image(progress, |batch, on_row| {
                let counts = &mut counts;
                certify_batch(model, batch, settings, SAMPLES_PER_PASS, counts, stop, on_row)
            })?;
            counts.finish()
        }
        Task::Patch(certificate) => Remaining::open(plan, record, job, options)?.image_by_image(
            progress,
            |batch, on_row| {
                let certificate = certificate.as_ref();
                certify_patches(model, batch, certificate, SAMPLES_PER_PASS, stop, on_row)
            },
        ),
        Task::Bound(settings) => Remaining::open(plan, record, job, options)?
            .image_by_image(progress, |batch, on_row| {
                bound_batch(model, batch, settings, stop, on_row)
            }),
    }
}

/// What is left of a job whose table holds rows `R`.
struct Remaining<'a, R> {
    plan: &'a Plan,
    record: &'a JobRecord,
    data: &'a dyn Dataset,
    path: PathBuf,
    journal: Journal,
    /// The rows in the table.
    rows: Vec<R>,
    /// Where in the data set the image of each index is, for the images of the plan.
    positions: HashMap<u64, usize>,
}

impl<'a, R: Row> Remaining<'a, R> {
    /// Opens the table of a job, whose rows are of images that are in the data set as they were.
    fn open(
        plan: &'a Plan,
        record: &'a JobRecord,
        job: &PlannedJob,
        options: &RunOptions<'_>,
    ) -> Result<Self> {
        let path = options.folder.join(&record.file);
        let data = plan.data[job.data].as_ref();
        let (journal, rows) = Journal::open::<R>(&path, &record.key)?;
        let images = plan.images[job.data].iter().enumerate();
        let positions: HashMap<u64, usize> = images.map(|(at, (idx, _))| (*idx, at)).collect();
        let other = rows.iter().find(|row| {
            positions.get(&row.idx()).is_some_and(|at| plan.images[job.data][*at].1 != row.image())
        });
        if let Some(row) = other {
            return Err(Error::file(
                path,
                format!("image {}", row.idx()),
                "the row is about other pixels or another label than the data set has",
                "choose another folder with --output, or delete the file",
            ));
        }
        Ok(Self { plan, record, data, path, journal, rows, positions })
    }

    /// Positions of the images that have no row yet.
    fn images(&self) -> Vec<usize> {
        let done: HashSet<u64> = self.rows.iter().map(Row::idx).collect();
        (0..self.data.info().len).filter(|at| !done.contains(&self.data.id(*at))).collect()
    }

    /// Runs work that hands out its rows one by one, in the order of the images: `certify` is called
    /// with a batch of images and with what takes their rows.
    fn image_by_image(
        mut self,
        progress: &mut dyn Progress,
        mut certify: impl FnMut(&Batch, &mut dyn FnMut(R) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        progress.job(self.record, self.rows.len());
        let (images, size) = (self.images(), self.plan.batch.unwrap_or(BATCH));
        ahead(self.data, &images, size, |batches| {
            for batch in batches {
                certify(&batch?, &mut |row| {
                    self.journal.append(&[row])?;
                    progress.images(1);
                    Ok(())
                })?;
            }
            Ok::<(), Error>(())
        })?;
        self.journal.sync()
    }
}

impl Remaining<'_, AttackRow> {
    /// How many images an attack gets at a time.
    fn images_at_once(
        &self,
        model: &dyn Classifier,
        configured: &Configured,
        request: &Request,
    ) -> usize {
        let given = self.plan.batch.or(model.batch());
        let ensemble = !configured.search.parts().is_empty();
        match (ensemble, request.randomness) {
            // The published AutoAttack packs into batches what an attack left of the whole set.
            (true, Randomness::Torch) => self.record.images.max(1),
            (true, Randomness::PerImage) => given.unwrap_or(ENSEMBLE_BATCH),
            _ => given.unwrap_or(BATCH),
        }
    }

    fn attack(
        mut self,
        model: &dyn Classifier,
        (configured, request): (&Configured, &Request),
        stop: &(dyn Fn() -> bool + Sync),
        progress: &mut dyn Progress,
    ) -> Result<()> {
        progress.job(self.record, self.rows.len());
        let (path, data) = (self.path.clone(), self.data);
        let batch = self.images_at_once(model, configured, request);
        let mut checks = JobChecks::before(
            (&path, &self.record.key),
            (configured, request),
            model,
            data,
            &self.rows,
            batch,
        )?;
        checks.findings().iter().for_each(|finding| progress.finding(self.record, finding));
        let mut images = match self.plan.save_adversarial {
            true => AdversarialImages::open(&path, self.record, data.info().shape, &self.rows)?,
            false => None,
        };
        let search = configured.search.as_ref();
        if let Some(images) = &mut images {
            // Rows that were computed before their images were wanted.
            let missing = self.missing(images.len())?;
            ahead(data, &missing, batch, |batches| {
                for batch in batches {
                    let outcomes = attack_until(search, model, &batch?, request, stop)?;
                    images.append(&outcomes, &self.rows)?;
                }
                Ok::<(), Error>(())
            })?;
        }
        let left = self.images();
        ahead(data, &left, batch, |batches| {
            let mut started = Instant::now();
            for batch in batches {
                let batch = batch?;
                let outcomes = attack_until(search, model, &batch, request, stop)?;
                let seconds = started.elapsed().as_secs_f64() / batch.len() as f64;
                let new = attack_rows(&batch, &outcomes, seconds)?;
                self.rows.extend(new.iter().cloned());
                if let Some(images) = &mut images {
                    images.append(&outcomes, &self.rows)?;
                }
                self.journal.append(&new)?;
                progress.images(new.len());
                started = Instant::now();
            }
            Ok::<(), Error>(())
        })?;
        self.journal.sync()?;
        if let Some(images) = images {
            images.finish(&self.rows)?;
        }
        checks.after(&self.rows)?.iter().for_each(|finding| progress.finding(self.record, finding));
        Ok(())
    }

    /// Positions of the images of the rows from number `first` on.
    fn missing(&self, first: usize) -> Result<Vec<usize>> {
        let position = |row: &AttackRow| {
            self.positions.get(&row.idx).copied().ok_or_else(|| {
                Error::setting(
                    "save_adversarial",
                    format!(
                        "image {} of {} is not among the images given",
                        row.idx, self.record.id
                    ),
                    "give all images of the job again: their adversarial images were not kept",
                )
            })
        };
        self.rows[first..].iter().map(position).collect()
    }
}

/// Images at a time of a single attack or a certificate.
pub(super) const BATCH: usize = 128;

/// Images at a time of an ensemble: enough to fill two threads' caches, few enough that little work
/// is lost when a run is killed in the middle of one.
const ENSEMBLE_BATCH: usize = 48;

/// Noisy or masked images per call of the network; counts do not depend on it.
pub(super) const SAMPLES_PER_PASS: usize = 1024;

/// The rows of `outcomes`, which are of the images of `batch`, each after `seconds`.
fn attack_rows(batch: &Batch, outcomes: &[Outcome], seconds: f64) -> Result<Vec<AttackRow>> {
    let (digests, (_, c, h, w)) = (batch.digests()?, batch.images.dims4()?);
    let shape = [c, h, w];
    with_slice::<f32, _>(&batch.images, |pixels| {
        let clean = pixels.chunks_exact((c * h * w).max(1));
        let rows = outcomes.iter().zip(clean).zip(digests);
        Ok(rows.map(|((o, clean), digest)| attack_row(o, clean, shape, digest, seconds)).collect())
    })
}

fn attack_row(
    outcome: &Outcome,
    clean: &[f32],
    shape: [usize; 3],
    image: String,
    seconds: f64,
) -> AttackRow {
    let Change { mut linf, mut l2, mut l1, l0, height, width } =
        Change::of(&outcome.image, clean, shape);
    if !outcome.found {
        (linf, l2, l1) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    }
    AttackRow {
        idx: outcome.id,
        adversarial: match l0 {
            0 => image.clone(),
            _ => image_digest(outcome.label, shape, &outcome.image),
        },
        image,
        label: outcome.label,
        clean: outcome.clean_prediction,
        target: outcome.target,
        by: outcome.by.clone(),
        prediction: outcome.prediction,
        found: u8::from(outcome.found),
        distance: outcome.distance,
        linf,
        l2,
        l1,
        l0,
        height,
        width,
        found_8bit: u8::from(outcome.found_8bit),
        forwards: outcome.forwards,
        backwards: outcome.backwards,
        unconfirmed: outcome.unconfirmed,
        seconds,
    }
}
