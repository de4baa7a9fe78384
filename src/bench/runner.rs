//! Runs the jobs of a plan. A job that fails does not stop the others; a job whose table is complete
//! is not run again; a stop request gives up the batch in flight, and the same call goes on behind the last finished one.

use std::path::Path;
use std::time::Instant;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::journal::Journal;
use super::plan::{Plan, PlannedJob, Task};
use crate::attack::{Configured, Outcome, Request, attack_until};
use crate::certify::bounds::{Bounds, bound_batch};
use crate::certify::patch::{PatchCertificate, certify_patches};
use crate::certify::{Smoothing, certify_batch};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Classifier, FrozenNetwork};
use crate::record::{AttackRow, BoundRow, CertificateRow, Finding, JobRecord, PatchRow, RunRecord};
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
    let path = options.folder.join(&record.file);
    let model = &plan.models[job.model];
    let data = plan.data[job.data].as_ref();
    match &job.task {
        Task::Attack(configured, request) => {
            let (journal, rows) = Journal::open::<AttackRow>(&path)?;
            let done = rows.iter().map(|r| r.idx).collect();
            let work = Remaining { plan, record, data, journal, path: &path, done };
            work.attack(model, (configured, request), rows, options, progress)
        }
        Task::Certificate(settings) => {
            let (journal, rows) = Journal::open::<CertificateRow>(&path)?;
            let done = rows.iter().map(|r| r.idx).collect();
            let work = Remaining { plan, record, data, journal, path: &path, done };
            work.certify(model, settings, options, progress)
        }
        Task::Patch(certificate) => {
            let (journal, rows) = Journal::open::<PatchRow>(&path)?;
            let done = rows.iter().map(|r| r.idx).collect();
            let work = Remaining { plan, record, data, journal, path: &path, done };
            work.certify_patches(model, certificate.as_ref(), options, progress)
        }
        Task::Bound(settings) => {
            let (journal, rows) = Journal::open::<BoundRow>(&path)?;
            let done = rows.iter().map(|r| r.idx).collect();
            let work = Remaining { plan, record, data, journal, path: &path, done };
            work.bound(&plan.models[job.model], settings, options, progress)
        }
    }
}

/// What is left of a job.
struct Remaining<'a> {
    plan: &'a Plan,
    record: &'a JobRecord,
    data: &'a dyn Dataset,
    journal: Journal,
    path: &'a Path,
    /// Ids of the images in the table.
    done: Vec<u64>,
}

impl Remaining<'_> {
    /// Tells the caller where the job stands, having checked that the table is the job's own.
    fn announce(&self, progress: &mut dyn Progress) -> Result<()> {
        let count = self.done.len();
        let own = count <= self.record.images
            && self.done.iter().enumerate().all(|(index, id)| *id == self.data.id(index));
        if !own {
            return Err(Error::file(
                self.path,
                "idx",
                "the rows are not the first images of this job",
                "the file was changed by hand: delete it to compute the job again",
            ));
        }
        progress.job(self.record, count);
        Ok(())
    }

    /// How many images an attack gets at a time.
    fn images_at_once(&self, configured: &Configured, request: &Request) -> usize {
        let ensemble = !configured.search.parts().is_empty();
        match (ensemble, request.randomness) {
            // The published AutoAttack packs into batches what an attack left of the whole set.
            (true, Randomness::Torch) => self.record.images.max(1),
            (true, Randomness::PerImage) => self.plan.batch.unwrap_or(ENSEMBLE_BATCH),
            _ => self.plan.batch.unwrap_or(BATCH),
        }
    }

    fn attack(
        mut self,
        model: &dyn Classifier,
        (configured, request): (&Configured, &Request),
        mut rows: Vec<AttackRow>,
        options: &RunOptions<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.announce(progress)?;
        let (data, batch) = (self.data, self.images_at_once(configured, request));
        let what = (configured, request);
        let mut checks = JobChecks::before(self.path, what, model, data, &rows, batch)?;
        checks.findings().iter().for_each(|finding| progress.finding(self.record, finding));
        let mut images = match self.plan.record.save_adversarial {
            true => AdversarialImages::open(self.path, self.record, data.info().shape, rows.len())?,
            false => None,
        };
        let remaining: Vec<usize> = (self.done.len()..self.record.images).collect();
        for indices in remaining.chunks(batch) {
            let started = Instant::now();
            let batch = data.read(indices)?;
            let search = configured.search.as_ref();
            let outcomes = attack_until(search, model, &batch, request, options.stop)?;
            let seconds = started.elapsed().as_secs_f64() / indices.len() as f64;
            let new: Vec<AttackRow> = outcomes.iter().map(|o| attack_row(o, seconds)).collect();
            if let Some(images) = &mut images {
                images.append(&outcomes)?;
            }
            self.journal.append(&new)?;
            progress.images(new.len());
            rows.extend(new);
        }
        if let Some(images) = images {
            images.finish(&rows)?;
        }
        checks.after(&rows)?.iter().for_each(|finding| progress.finding(self.record, finding));
        Ok(())
    }

    fn certify(
        mut self,
        model: &dyn Classifier,
        settings: &Smoothing,
        options: &RunOptions<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.announce(progress)?;
        let remaining: Vec<usize> = (self.done.len()..self.record.images).collect();
        for indices in remaining.chunks(self.plan.batch.unwrap_or(BATCH)) {
            let batch = self.data.read(indices)?;
            let journal = &mut self.journal;
            certify_batch(model, &batch, settings, SAMPLES_PER_PASS, options.stop, &mut |row| {
                journal.append(&[row])?;
                progress.images(1);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn certify_patches(
        mut self,
        model: &dyn Classifier,
        certificate: &dyn PatchCertificate,
        options: &RunOptions<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.announce(progress)?;
        let remaining: Vec<usize> = (self.done.len()..self.record.images).collect();
        for indices in remaining.chunks(self.plan.batch.unwrap_or(BATCH)) {
            let batch = self.data.read(indices)?;
            let journal = &mut self.journal;
            certify_patches(
                model,
                &batch,
                certificate,
                SAMPLES_PER_PASS,
                options.stop,
                &mut |row| {
                    journal.append(&[row])?;
                    progress.images(1);
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    fn bound(
        mut self,
        model: &FrozenNetwork,
        settings: &Bounds,
        options: &RunOptions<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.announce(progress)?;
        let remaining: Vec<usize> = (self.done.len()..self.record.images).collect();
        for indices in remaining.chunks(self.plan.batch.unwrap_or(BATCH)) {
            let batch = self.data.read(indices)?;
            let journal = &mut self.journal;
            bound_batch(model, &batch, settings, options.stop, &mut |row| {
                journal.append(&[row])?;
                progress.images(1);
                Ok(())
            })?;
        }
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
        seconds,
    }
}
