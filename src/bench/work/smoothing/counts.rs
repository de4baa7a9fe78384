//! The counts of a certificate's unfinished images on disk: written every few seconds and when the run is
//! stopped, taken up by the run that resumes the job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::certify::{Keeper, Tally};
use crate::error::{Error, Result};
use crate::record::{CountsRecord, FORMAT_VERSION, ImageCounts};

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

    /// The job is finished.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(super) fn finish(self) -> Result<()> {
        CountsRecord::remove(&self.table)
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::super::journal::Journal;
    use super::*;
    use crate::bench::runner::Silent;
    use crate::bench::{Plan, RunOptions, Suite, run};
    use crate::record::{CertificateRow, RunRecord};

    /// Six images, of which two batches of the network hold three if nothing stops early.
    fn plan(mode: &str, batch: usize) -> Plan {
        let text = format!(
            "name = \"test\"\nbatch = {batch}\n[[model]]\npath = \"bundled:digits-standard\"\n\
             [[data]]\nspec = \"digits:test\"\nimages = {{ first = 6 }}\n\
             [[certificate]]\ncertificate = \"cohen\"\nlabel = \"job\"\nsigma = 0.5\nn0 = 300\n\
             n = 1100\nradii = [0.25]\nmode = \"{mode}\"\n"
        );
        Plan::new(&Suite::parse(&text, Path::new("suite.toml")).unwrap()).unwrap()
    }

    const TABLE: &str = "jobs/digits-standard/job.tsv";

    fn rows(folder: &Path) -> Vec<CertificateRow> {
        let key = &RunRecord::read(folder).unwrap().jobs[0].key;
        let rows = Journal::open::<CertificateRow>(&folder.join(TABLE), key).unwrap().1;
        rows.into_iter().map(|row| CertificateRow { time: String::new(), ..row }).collect()
    }

    /// Runs `plan` until `batches` network batches are through.
    fn run_for(plan: &Plan, folder: &Path, batches: usize) -> Result<crate::bench::Summary> {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= batches;
        run(plan, &RunOptions { folder, stop: &stop }, &mut Silent)
    }

    #[test]
    fn a_job_stopped_inside_its_images_ends_with_the_same_rows() {
        for mode in ["cohen", "grid"] {
            let (together, apart) = (plan(mode, 6), plan(mode, 1));
            let whole = tempfile::tempdir().unwrap();
            run_for(&together, whole.path(), usize::MAX).unwrap();
            let whole = rows(whole.path());
            assert_eq!(whole.len(), 6);
            // Image by image after all at once: what the next call does not come to keeps its counts.
            for plans in [[&together, &together], [&together, &apart]] {
                let folder = tempfile::tempdir().unwrap();
                let table = folder.path().join(TABLE);
                let (mut calls, mut halves) = (0, 0);
                while run_for(plans[calls % 2], folder.path(), 1).is_err() {
                    calls += 1;
                    assert!(calls < 40, "{mode}");
                    let key = &RunRecord::read(folder.path()).unwrap().jobs[0].key;
                    let record = CountsRecord::read(&table, key).unwrap().unwrap();
                    halves += record.images.iter().filter(|image| !image.votes.is_empty()).count();
                }
                assert!(halves > 0, "{mode}: nothing was stopped in its middle");
                assert_eq!(rows(folder.path()), whole, "{mode}");
                assert!(!CountsRecord::path(&table).exists());
            }
        }
    }

    #[test]
    fn counts_of_another_job_or_network_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(run_for(&plan("cohen", 6), folder.path(), 1), Err(Error::Interrupted)));
        let table = folder.path().join(TABLE);
        let key = &RunRecord::read(folder.path()).unwrap().jobs[0].key.clone();
        let good = CountsRecord::read(&table, key).unwrap().unwrap();
        let mut other_class = good.clone();
        other_class.images[0].votes.push((10, 1));
        let mut too_many = good.clone();
        too_many.images[0].votes.push((3, 1 << 62));
        for (bad, key, problem) in [
            (&good, "another", "its checksum does not fit"),
            (&other_class, key, "job.counts.toml: image: "),
            (&too_many, key, "job.counts.toml: image: "),
        ] {
            bad.write(&table, key).unwrap();
            let summary = run_for(&plan("cohen", 6), folder.path(), 1).unwrap();
            let error = &summary.failures[0].error;
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
        good.write(&table, key).unwrap();
        assert_eq!(run_for(&plan("cohen", 6), folder.path(), usize::MAX).unwrap().finished, 1);
    }
}
