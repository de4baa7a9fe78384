//! Marks of finished jobs on their way into a run's record. The record of a run of thousands of jobs has megabytes,
//! and reading and writing it once for every job would take longer than the jobs; so marks are gathered. A mark
//! that a killed process did not write costs nothing: the next call finds the table whole.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use super::grow::finish_jobs;
use crate::error::Result;
use crate::record::JobRecord;

/// Marks are written once this many times as long as writing took has passed: writing takes a twentieth of a run's
/// time at most.
const PAUSE: u32 = 19;

/// Finished jobs that the record of a run folder does not know of yet.
pub(super) struct Marks<'a> {
    folder: &'a Path,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<JobRecord>,
    /// When the record was written last, and how long that took.
    written: Option<(Instant, Duration)>,
}

impl<'a> Marks<'a> {
    pub(super) fn in_folder(folder: &'a Path) -> Self {
        Self { folder, state: RefCell::default() }
    }

    /// All rows of `job` are on the disk.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn add(&self, job: &JobRecord) -> Result<()> {
        let mut state = self.state.borrow_mut();
        state.waiting.push(job.clone());
        let is_due = |(at, took): (Instant, Duration)| at.elapsed() >= took * PAUSE;
        if state.written.is_none_or(is_due) { state.write(self.folder) } else { Ok(()) }
    }

    /// Writes what waits into the record.
    ///
    /// # Errors
    /// If the record cannot be read or written.
    pub(super) fn write(&self) -> Result<()> {
        self.state.borrow_mut().write(self.folder)
    }
}

impl State {
    fn write(&mut self, folder: &Path) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        finish_jobs(folder, &self.waiting)?;
        self.waiting.clear();
        self.written = Some((Instant::now(), began.elapsed()));
        Ok(())
    }
}
