//! Measuring what is left of a corruption benchmark. There is nothing to search, so an evaluation is one
//! number for each corruption and severity, and these are what a resumed run keeps.

use std::path::Path;

use super::entry::CorruptionEntry;
use super::row::CorruptionRow;
use super::{SEVERITIES, number};
use crate::data::{self, Batch, Dataset, list_digest};
use crate::error::{Error, Result};
use crate::model::{Classifier, FrozenNetwork, predicted};
use crate::work::journal::Journal;
use crate::work::remaining::BATCH;
use crate::work::task::{Place, Progress, Task};

/// The corruptions of an entry.
pub(super) struct CorruptionTask(pub(super) CorruptionEntry);

impl Task for CorruptionTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        let Place { record, network, folder, batch, stop, .. } = *place;
        let table = folder.join(&record.file);
        let (mut journal, rows) = Journal::open::<CorruptionRow>(&table, &record.key)?;
        progress.job(record, rows.len());
        let batch = batch.unwrap_or(BATCH);
        for corruption in &self.0.corruptions() {
            for severity in 1..=SEVERITIES {
                let data = self.0.open(corruption, severity)?;
                let idx = number(corruption, severity);
                if let Some(known) = rows.iter().find(|row| row.idx == idx) {
                    same_images(known, data.as_ref(), batch, &table, stop)?;
                    continue;
                }
                let row = measure(network, data.as_ref(), (corruption, severity), batch, stop)?;
                journal.append(std::slice::from_ref(&row))?;
                progress.images(1);
            }
        }
        journal.sync()
    }

    fn again(
        &self,
        network: &FrozenNetwork,
        _: &dyn Fn(&[u64]) -> Result<Batch>,
        idx: u64,
    ) -> Result<Option<String>> {
        let corruptions = self.0.corruptions();
        let all = corruptions.iter().flat_map(|c| (1..=SEVERITIES).map(move |s| (c, s)));
        let Some((corruption, severity)) = all.into_iter().find(|(c, s)| number(c, *s) == idx)
        else {
            return Ok(None);
        };
        let data = self.0.open(corruption, severity)?;
        let row = measure(network, data.as_ref(), (corruption, severity), BATCH, &|| false)?;
        Ok(Some(format!("{row:?}")))
    }
}

/// Refuses a row that was measured on other pixels or labels than the data set has now.
fn same_images(
    row: &CorruptionRow,
    data: &dyn Dataset,
    batch: usize,
    table: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let mut images = Vec::with_capacity(data.info().len);
    for batch in data::batches(data, batch) {
        if stop() {
            return Err(Error::Interrupted);
        }
        images.extend(batch?.digests()?);
    }
    let now = list_digest(&images);
    match now.starts_with(&row.image) {
        true => Ok(()),
        false => Err(Error::file(
            table,
            format!("{} {}", row.corruption, row.severity),
            format!(
                "its images or labels have changed: they were {}, they are {}",
                row.image,
                start(&now)
            ),
            "choose another folder with --output, or delete the table",
        )),
    }
}

/// The row of one corruption and severity, whose images are `data`.
fn measure(
    network: &FrozenNetwork,
    data: &dyn Dataset,
    (corruption, severity): (&str, usize),
    batch: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<CorruptionRow> {
    let all: Vec<usize> = (0..data.info().len).collect();
    let (correct, digest) = data::ahead(data, &all, batch, |batches| {
        let (mut correct, mut digests) = (0, Vec::new());
        for batch in batches {
            if stop() {
                return Err(Error::Interrupted);
            }
            let batch = batch?;
            let images = batch.rows()?;
            let classes = predicted(network, &images, &network.logits(&images)?)?;
            correct +=
                classes.iter().zip(&batch.labels).filter(|(class, label)| class == label).count();
            digests.extend(batch.digests()?);
        }
        Ok((correct, list_digest(&digests)))
    })?;
    Ok(CorruptionRow {
        idx: number(corruption, severity),
        corruption: corruption.to_owned(),
        severity,
        correct,
        images: all.len(),
        model: start(&network.info().identity).to_owned(),
        image: start(&digest).to_owned(),
    })
}

/// The first 16 digits.
fn start(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}
