//! What is left of a job: the rows in its table, and the images that have none yet.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::journal::Journal;
use super::task::{JobContext, JobRequest, Part, Progress};
use crate::data::{Batch, Dataset, ahead};
use crate::error::{Error, Result};
use crate::record::{JobRecord, Row};

/// Images at a time of a single attack or a certificate.
pub(crate) const BATCH: usize = 128;

/// How many images of a certificate, which may take minutes each, are worth a part of their own.
pub(super) const CERTIFIED_PORTION: usize = 16;

/// Noisy or masked images per call of the network; counts do not depend on it.
pub(super) const SAMPLES_PER_PASS: usize = 1024;

/// What is left of a job whose table holds rows `R`.
pub(super) struct Remaining<'a, R> {
    pub(super) record: &'a JobRecord,
    pub(super) data: &'a dyn Dataset,
    pub(super) path: PathBuf,
    pub(super) journal: Journal,
    /// The rows in the table.
    pub(super) rows: Vec<R>,
    /// Images at a time, if the user decided.
    pub(super) batch: Option<usize>,
    /// What this call is about.
    pub(super) part: Option<Part<'a>>,
    /// Where in the data set the image of each index is.
    pub(super) positions: HashMap<u64, usize>,
}

impl<'a, R: Row> Remaining<'a, R> {
    /// Opens the table of a job, whose rows are of images that are in the data set as they were.
    pub(super) fn open(context: &JobContext<'a>) -> Result<Self> {
        let JobContext {
            job: JobRequest { record, folder, batch, .. }, data, images, part, ..
        } = *context;
        let path = folder.join(&record.file);
        let (journal, rows) = Journal::open::<R>(&path, &record.key)?;
        let positions: HashMap<u64, usize> =
            images.iter().enumerate().map(|(at, (idx, _))| (*idx, at)).collect();
        let other = rows
            .iter()
            .find(|row| positions.get(&row.idx()).is_some_and(|at| images[*at].1 != row.image()));
        if let Some(row) = other {
            return Err(Error::file(
                path,
                format!("image {}", row.idx()),
                "the row is about other pixels or another label than the data set has",
                "choose another folder with --output, or delete the file",
            ));
        }
        Ok(Self { record, data, path, journal, rows, batch, part, positions })
    }

    /// Positions of the images of this call that have no row yet.
    pub(super) fn images(&self) -> Vec<usize> {
        let done: HashSet<u64> = self.rows.iter().map(Row::idx).collect();
        let left = |idx: u64| {
            !done.contains(&idx) && self.part.is_none_or(|part| part.images.contains(&idx))
        };
        (0..self.data.info().len).filter(|at| left(self.data.id(*at))).collect()
    }

    /// Runs work that hands out its rows one by one, in the order of the images: `certify` is called
    /// with a batch of images and with what takes their rows.
    pub(super) fn image_by_image(
        mut self,
        progress: &mut dyn Progress,
        mut certify: impl FnMut(&Batch, &mut dyn FnMut(R) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        progress.job(self.record, self.rows.len());
        let (images, size) = (self.images(), self.batch.unwrap_or(BATCH));
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
        match Part::is_to_last(self.part) {
            true => self.journal.sync(),
            false => Ok(()),
        }
    }
}
