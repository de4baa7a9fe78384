//! What the jobs of every kind of work have in common while they run: where, and who hears of it.

use std::collections::HashSet;
use std::path::Path;

use crate::attack::Asks;
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::record::{Finding, JobRecord, Work};

/// What a job does. Its settings are decided, and its record says them.
pub trait Task: Send + Sync {
    /// Does what is left of the job.
    ///
    /// # Errors
    /// If the network, the data or a file fails; [`Error::Interrupted`] if the caller asked to stop.
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()>;

    /// Safety checks belong to the job: their record lies beside its table.
    fn checked(&self) -> bool {
        false
    }

    /// How many images, at least, are worth a part of their own; `None` if the job cannot be cut, because rows
    /// depend on other images of the job, or are not about its images.
    fn portion(&self, job: &JobRequest<'_>) -> Option<usize> {
        let _ = job;
        None
    }

    /// What it asks of the network.
    fn asks(&self) -> Asks {
        Asks::Classes
    }

    /// Passes that an image of `shape`, `[C, H, W]`, costs at most in a network of so many classes that answers alike
    /// every time and in f32; `None` if that is not known.
    fn most_passes(&self, shape: [usize; 3], classes: usize) -> Option<f64> {
        let _ = (shape, classes);
        None
    }

    /// The row number `idx`, which is about `size` images, computed once more, as text without its time;
    /// `images` reads images of the job's data set by their indices. `None` if rows of this kind are not
    /// computed twice.
    ///
    /// # Errors
    /// If the network or the data fails.
    fn again(
        &self,
        network: &Network,
        images: &dyn Fn(&[u64]) -> Result<Batch>,
        (idx, size): (u64, usize),
    ) -> Result<Option<String>> {
        let _ = (network, images, idx, size);
        Ok(None)
    }
}

/// A job of an entry, before it is known under which name and in which file.
pub struct Resolved {
    /// What tells it from the model's other jobs.
    pub(crate) stem: String,
    pub(crate) work: Work,
    pub(crate) task: Box<dyn Task>,
    /// Indices of the rows of its table, if these are not the images of its data set.
    pub(crate) rows: Option<Vec<u64>>,
}

/// What is asked of a job. It is known without the network, which may have to be read first, and decides how the
/// job is cut.
#[derive(Clone, Copy)]
pub struct JobRequest<'a> {
    /// The record of the job.
    pub record: &'a JobRecord,
    /// The run folder.
    pub folder: &'a Path,
    /// Images at a time, if the user decided.
    pub batch: Option<usize>,
    /// Images at a time that the network asks for.
    pub usual: Option<usize>,
    /// Attacks leave their adversarial images beside their tables.
    pub save_adversarial: bool,
}

/// What a job runs with.
pub struct JobContext<'a> {
    /// What is asked of it.
    pub job: JobRequest<'a>,
    /// The network.
    pub network: &'a Network,
    /// The images.
    pub data: &'a dyn Dataset,
    /// Index and digest of each of them.
    pub images: &'a [(u64, String)],
    /// The images that this call is about; all if there is none.
    pub part: Option<Part<'a>>,
    /// Whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// Some images of a job that can be cut. What is to be said of the whole job is left to a later call without a
/// part.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Their indices.
    pub images: &'a HashSet<u64>,
    /// Their table is another one than the job's, which takes it up later.
    pub apart: bool,
}

impl Part<'_> {
    /// The rows of this call are on the disk when it ends.
    pub(super) fn is_to_last(part: Option<Self>) -> bool {
        part.is_none_or(|part| part.apart)
    }
}

/// What a caller hears while jobs run.
pub trait Progress {
    /// A job begins; `done` of its images are already in its table.
    fn job(&mut self, job: &JobRecord, done: usize);
    /// Images were added to the table, `count` of them.
    fn images(&mut self, count: usize);
    /// A safety check fired, now or when the job was begun; once per job and check.
    fn finding(&mut self, job: &JobRecord, finding: &Finding);
    /// A job failed.
    fn failed(&mut self, job: &JobRecord, error: &Error);
    /// A job that had begun goes on after others; `done` of its images are in its table.
    fn back(&mut self, job: &JobRecord, done: usize) {
        let _ = (job, done);
    }
    /// Images were computed for another process that runs the job, `count` of them.
    fn helped(&mut self, job: &JobRecord, images: usize) {
        let _ = (job, images);
    }
    /// All that is left of this run is being computed by other processes, the rest of `job` too.
    fn waiting(&mut self, job: &JobRecord) {
        let _ = job;
    }
}

/// Hears nothing.
pub struct Silent;

impl Progress for Silent {
    fn job(&mut self, _: &JobRecord, _: usize) {}
    fn images(&mut self, _: usize) {}
    fn finding(&mut self, _: &JobRecord, _: &Finding) {}
    fn failed(&mut self, _: &JobRecord, _: &Error) {}
}
