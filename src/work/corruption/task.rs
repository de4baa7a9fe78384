//! Measuring what is left of a corruption benchmark. There is nothing to search, so an evaluation is one
//! number for each corruption and severity, and these are what a resumed run keeps.

use std::collections::BTreeSet;
use std::path::Path;

use super::entry::CorruptionEntry;
use super::row::CorruptionRow;
use super::{SEVERITIES, number};
use crate::data::{self, Batch, Dataset, list_digest};
use crate::error::{Error, Result};
use crate::model::{Classifier, predicted};
use crate::network::Network;
use crate::work::journal::Journal;
use crate::work::remaining::BATCH;
use crate::work::task::{JobContext, JobRequest, Progress, Task};

/// The corruptions of an entry.
pub(super) struct CorruptionTask(pub(super) CorruptionEntry);

impl Task for CorruptionTask {
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()> {
        let JobContext { job: JobRequest { record, folder, batch, .. }, network, stop, .. } =
            *context;
        let table = folder.join(&record.file);
        let (mut journal, rows) = Journal::open::<CorruptionRow>(&table, &record.key)?;
        let corruptions = self.0.corruptions();
        let known =
            |idx: u64| rows.iter().filter(|row| row.idx == idx).max_by_key(|row| row.images);
        let numbers: BTreeSet<u64> = rows.iter().map(|row| row.idx).collect();
        let small =
            |idx: &&u64| self.0.first.is_some_and(|n| known(**idx).is_some_and(|r| r.images < n));
        progress.job(record, numbers.len() - numbers.iter().filter(small).count());
        let batch = batch.unwrap_or(BATCH);
        for corruption in &corruptions {
            for severity in 1..=SEVERITIES {
                let known = known(number(corruption, severity));
                let least = known.map_or(0, |row| row.images);
                let data = self.0.open(corruption, severity, least)?;
                let measure = Measure { network, data: data.as_ref(), known, batch, stop };
                if let Some(row) = measure.row(corruption, severity, &table)? {
                    journal.append(std::slice::from_ref(&row))?;
                    progress.images(1);
                }
            }
        }
        journal.sync()
    }

    fn again(
        &self,
        network: &Network,
        _: &dyn Fn(&[u64]) -> Result<Batch>,
        (idx, size): (u64, usize),
    ) -> Result<Option<String>> {
        let corruptions = self.0.corruptions();
        let all = corruptions.iter().flat_map(|c| (1..=SEVERITIES).map(move |s| (c, s)));
        let Some((corruption, severity)) = all.into_iter().find(|(c, s)| number(c, *s) == idx)
        else {
            return Ok(None);
        };
        let entry = CorruptionEntry { first: Some(size), ..self.0.clone() };
        let data = entry.open(corruption, severity, 0)?;
        let (known, batch, stop) = (None, BATCH, &|| false);
        let measure = Measure { network, data: data.as_ref(), known, batch, stop };
        let row = measure.row(corruption, severity, Path::new(""))?;
        Ok(row.map(|row| format!("{row:?}")))
    }
}

/// A network on the images of one corruption and severity.
struct Measure<'a> {
    network: &'a Network,
    data: &'a dyn Dataset,
    /// The row that is there, about the first of these images.
    known: Option<&'a CorruptionRow>,
    batch: usize,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Measure<'_> {
    /// The row about all images, to which the known one is taken over; `None` if that is about all of them
    /// already. Refuses a known row, of the table at `table`, about other pixels or labels than the data
    /// set has now.
    fn row(
        &self,
        corruption: &str,
        severity: usize,
        table: &Path,
    ) -> Result<Option<CorruptionRow>> {
        let all: Vec<usize> = (0..self.data.info().len).collect();
        let (done, rest) = all.split_at(self.known.map_or(0, |row| row.images.min(all.len())));
        let mut digests = Vec::with_capacity(all.len());
        self.read(done, |batch| {
            digests.extend(batch.digests()?);
            Ok(())
        })?;
        let now = list_digest(&digests);
        if let Some(row) = self.known.filter(|row| !now.starts_with(&row.image)) {
            return Err(Error::file(
                table,
                format!("{corruption} {severity}"),
                format!(
                    "its images or labels have changed: they were {}, they are {}",
                    row.image,
                    start(&now)
                ),
                "choose another folder with --output, or delete the table",
            ));
        }
        if self.known.is_some() && rest.is_empty() {
            return Ok(None);
        }
        let mut correct = self.known.map_or(0, |row| row.correct);
        self.read(rest, |batch| {
            let images = batch.rows()?;
            let classes = predicted(self.network, &images, &self.network.exact_logits(&images)?)?;
            correct +=
                classes.iter().zip(&batch.labels).filter(|(class, label)| class == label).count();
            digests.extend(batch.digests()?);
            Ok(())
        })?;
        Ok(Some(CorruptionRow {
            idx: number(corruption, severity),
            corruption: corruption.to_owned(),
            severity,
            correct,
            images: all.len(),
            model: start(&self.network.info().identity).to_owned(),
            image: start(&list_digest(&digests)).to_owned(),
        }))
    }

    /// Hands out the images at these positions batch by batch.
    fn read(&self, images: &[usize], mut each: impl FnMut(&Batch) -> Result<()>) -> Result<()> {
        data::ahead(self.data, images, self.batch, |batches| {
            for batch in batches {
                if (self.stop)() {
                    return Err(Error::Interrupted);
                }
                each(&batch?)?;
            }
            Ok(())
        })
    }
}

/// The first 16 digits.
fn start(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}
