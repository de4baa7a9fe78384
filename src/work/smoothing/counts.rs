//! The counts of a certificate's unfinished images on disk: written every few seconds and when the run is
//! stopped, taken up by the run that resumes the job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::counts_record::{CountsRecord, ImageCounts};
use crate::certify::{Keeper, Tally};
use crate::error::{Error, Result};
use crate::record::FORMAT_VERSION;

/// How much work a killed run may lose.
const INTERVAL: Duration = Duration::from_secs(5);

/// The counts beside the table of one job.
pub(super) struct JobCounts {
    table: PathBuf,
    key: String,
    classes: usize,
    /// Counts of an earlier run whose images have not come up yet.
    kept: BTreeMap<u64, ImageCounts>,
    written: Instant,
}

impl JobCounts {
    /// What an earlier run left beside the table of `job`, in which the images `done` already are.
    ///
    /// # Errors
    /// If the file cannot be read or is of a job with other settings.
    pub(super) fn open(
        table: &Path,
        key: &str,
        classes: usize,
        done: impl IntoIterator<Item = u64>,
    ) -> Result<Self> {
        let mut kept = BTreeMap::new();
        if let Some(record) = CountsRecord::read(table, key)? {
            let unknown = |(class, _): &(u32, u64)| *class as usize >= classes;
            // The numbers of samples are 32-bit words.
            let beyond = |(_, count): &(u32, u64)| *count > u64::from(u32::MAX);
            let any = |bad: &dyn Fn(&(u32, u64)) -> bool| {
                record.images.iter().any(|i| i.selection.iter().chain(&i.votes).any(bad))
            };
            let problem = if any(&unknown) {
                Some("there are counts of a class that the network does not have")
            } else if any(&beyond) {
                Some("there are more counts than samples can be drawn")
            } else {
                None
            };
            if let Some(problem) = problem {
                let remedy = "delete the file: its images begin again";
                return Err(Error::file(CountsRecord::path(table), "image", problem, remedy));
            }
            kept.extend(record.images.into_iter().map(|image| (image.idx, image)));
        }
        for idx in done {
            kept.remove(&idx);
        }
        Ok(Self { table: table.into(), key: key.into(), classes, kept, written: Instant::now() })
    }

    /// The images that were asked for are done: all images of the table, or counts of others stay.
    ///
    /// # Errors
    /// If the file cannot be removed or written.
    pub(super) fn finish(mut self, all: bool) -> Result<()> {
        match all || self.kept.is_empty() {
            true => CountsRecord::remove(&self.table),
            false => self.keep(&Vec::new, true),
        }
    }
}

impl Keeper for JobCounts {
    fn take(&mut self, idx: u64) -> Option<Tally> {
        let ImageCounts { selection, votes, seconds, .. } = self.kept.remove(&idx)?;
        let (selection, votes) = (dense(&selection, self.classes), dense(&votes, self.classes));
        Some(Tally { idx, selection, votes, seconds })
    }

    fn keep(&mut self, tallies: &dyn Fn() -> Vec<Tally>, last: bool) -> Result<()> {
        if !last && self.written.elapsed() < INTERVAL {
            return Ok(());
        }
        let images = tallies().into_iter().map(|tally| ImageCounts {
            idx: tally.idx,
            selection: sparse(&tally.selection),
            votes: sparse(&tally.votes),
            seconds: tally.seconds,
        });
        let record = CountsRecord {
            format_version: FORMAT_VERSION,
            images: images.chain(self.kept.values().cloned()).collect(),
        };
        record.write(&self.table, &self.key)?;
        self.written = Instant::now();
        Ok(())
    }
}

/// The classes that have samples.
fn sparse(counts: &[u64]) -> Vec<(u32, u64)> {
    (0..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect()
}

/// The opposite of [`sparse`], for classes below `classes`.
fn dense(counts: &[(u32, u64)], classes: usize) -> Vec<u64> {
    let mut dense = vec![0; classes];
    for (class, count) in counts {
        dense[*class as usize] = *count;
    }
    dense
}
