//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the
//! last finished one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::counts::JobCounts;
use super::journal::Journal;
use super::plan::{Plan, PlannedJob, Task};
use crate::attack::{Configured, Outcome, Request, attack_until};
use crate::certify::bounds::bound_batch;
use crate::certify::certify_batch;
use crate::certify::patch::certify_patches;
use crate::data::{Batch, Dataset, ahead};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::record::{AttackRow, CertificateRow, Finding, JobRecord, Row, RunRecord};
use crate::rng::Randomness;

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

/// Runs what is left of `plan` in the run folder.
///
/// # Errors
/// If the folder cannot be used or holds another run, or the caller asked to stop
/// ([`Error::Interrupted`]). Errors of single jobs are in the summary.
pub fn run(plan: &Plan, options: &RunOptions<'_>, progress: &mut dyn Progress) -> Result<Summary> {
    claim(&plan.record, options.folder)?;
    let mut summary = Summary::default();
    for (record, job) in plan.record.jobs.iter().zip(&plan.jobs) {
        match run_job(plan, record, job, options, progress) {
            Ok(()) => summary.finished += 1,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                progress.failed(record, &error);
                summary.failures.push(Failure { job: record.id.clone(), error });
            }
        }
    }
    Ok(summary)
}

/// Makes the folder this run's own, or makes sure that it already is.
fn claim(record: &RunRecord, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let path = folder.join("run.toml");
    if path.exists() {
        let found = RunRecord::read(folder)?;
        return match difference(&found, record) {
            None => Ok(()),
            Some(field) => Err(Error::file(
                &path,
                field,
                "the folder holds a run with other settings",
                "choose another folder with --output, or delete this one",
            )),
        };
    }
    let text = toml::to_string(record)
        .map_err(|e| Error::file(&path, "run record", e.to_string(), "report this as a bug"))?;
    crate::persist::replace(&path, text.as_bytes())
}

/// The first part in which two records differ.
fn difference(found: &RunRecord, wanted: &RunRecord) -> Option<&'static str> {
    let parts = [
        ("epsball", found.epsball == wanted.epsball),
        ("seed", found.seed == wanted.seed),
        ("rng", found.rng == wanted.rng),
        ("device", found.device == wanted.device),
        ("precision", found.precision == wanted.precision),
        ("save_adversarial", found.save_adversarial == wanted.save_adversarial),
        ("model", found.models == wanted.models),
        ("data", found.data == wanted.data),
        ("job", found.jobs == wanted.jobs),
        ("name", found.name == wanted.name),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
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
            let mut counts = JobCounts::open(&work.path, &plan.record, record, classes, done)?;
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
    /// The rows in the table, which are of the job's first images.
    rows: Vec<R>,
}

impl<'a, R: Row> Remaining<'a, R> {
    /// Opens the table of a job, having checked that it is the job's own.
    fn open(
        plan: &'a Plan,
        record: &'a JobRecord,
        job: &PlannedJob,
        options: &RunOptions<'_>,
    ) -> Result<Self> {
        let path = options.folder.join(&record.file);
        let data = plan.data[job.data].as_ref();
        let (journal, rows) = Journal::open::<R>(&path)?;
        let own = rows.len() <= record.images
            && rows.iter().enumerate().all(|(index, row)| row.idx() == data.id(index));
        if !own {
            return Err(Error::file(
                path,
                "idx",
                "the rows are not the first images of this job",
                "the file was changed by hand: delete it to compute the job again",
            ));
        }
        Ok(Self { plan, record, data, path, journal, rows })
    }

    /// Positions of the images that have no row yet.
    fn images(&self) -> Vec<usize> {
        (self.rows.len()..self.record.images).collect()
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
            Ok(())
        })
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
        let (path, data) = (self.path.as_path(), self.data);
        let (what, batch) =
            ((configured, request), self.images_at_once(model, configured, request));
        let mut checks = JobChecks::before(path, what, model, data, &self.rows, batch)?;
        checks.findings().iter().for_each(|finding| progress.finding(self.record, finding));
        let mut images = match self.plan.record.save_adversarial {
            true => AdversarialImages::open(path, self.record, data.info().shape, self.rows.len())?,
            false => None,
        };
        let left = self.images();
        ahead(data, &left, batch, |batches| {
            let mut started = Instant::now();
            for batch in batches {
                let batch = batch?;
                let search = configured.search.as_ref();
                let outcomes = attack_until(search, model, &batch, request, stop)?;
                let seconds = started.elapsed().as_secs_f64() / batch.len() as f64;
                let new: Vec<AttackRow> = outcomes.iter().map(|o| attack_row(o, seconds)).collect();
                if let Some(images) = &mut images {
                    images.append(&outcomes)?;
                }
                self.journal.append(&new)?;
                progress.images(new.len());
                self.rows.extend(new);
                started = Instant::now();
            }
            Ok::<(), Error>(())
        })?;
        if let Some(images) = images {
            images.finish(&self.rows)?;
        }
        checks.after(&self.rows)?.iter().for_each(|finding| progress.finding(self.record, finding));
        Ok(())
    }
}

/// Images at a time of a single attack or a certificate.
pub(super) const BATCH: usize = 128;

/// Images at a time of an ensemble: enough to fill two threads' caches, few enough that little work
/// is lost when a run is killed in the middle of one.
const ENSEMBLE_BATCH: usize = 48;

/// Noisy or masked images per call of the network; counts do not depend on it.
const SAMPLES_PER_PASS: usize = 1024;

fn attack_row(outcome: &Outcome, seconds: f64) -> AttackRow {
    AttackRow {
        idx: outcome.id,
        label: outcome.label,
        clean: outcome.clean_prediction,
        by: outcome.by.clone(),
        prediction: outcome.prediction,
        found: u8::from(outcome.found),
        distance: outcome.distance,
        found_8bit: u8::from(outcome.found_8bit),
        forwards: outcome.forwards,
        backwards: outcome.backwards,
        unconfirmed: outcome.unconfirmed,
        seconds,
    }
}
