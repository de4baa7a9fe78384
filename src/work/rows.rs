//! The rows of one job by image, of whichever kind they are.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use crate::error::{Error, Result};
use crate::record::{CheckRecord, JobRecord, Row, Seen, read_table};
use crate::results::{ImageKey, keys};

/// What can be asked of the rows of any kind.
pub(crate) trait Rows: Debug + Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Index and digest of every image, in the order of the table.
    fn images(&self) -> Vec<(u64, &str)>;

    /// How many images each row is about, in the order of the table.
    fn sizes(&self) -> Vec<usize>;

    /// The images with their indices.
    fn keys(&self) -> Vec<(&ImageKey, u64)>;

    /// What is said of the network itself: index, label and what was seen, by image.
    fn seen(&self) -> Vec<(&ImageKey, u64, u32, Seen)>;

    /// Radius of the ball around the image that is proven safe for the network itself.
    fn proven(&self, image: &ImageKey) -> Option<f64>;

    /// Every row as text without its time, in the order of the table.
    fn untimed(&self) -> Vec<String>;

    /// Makes sure that every row is of the network of this identity.
    fn check_model(&self, path: &Path, identity: &str) -> Result<()>;

    /// Itself, for the kind that knows the rows' type.
    fn any(&self) -> &dyn Any;
}

/// The rows of a table.
#[derive(Debug)]
pub(crate) struct Keyed<R> {
    /// In the order of the table.
    pub(crate) rows: Vec<R>,
    at: BTreeMap<ImageKey, usize>,
}

impl<R: Row> Keyed<R> {
    /// Reads the table at `path` of the job `key`. A missing file is a table without rows.
    pub(crate) fn read(path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Ok(Box::new(Self::new(read_table::<R>(path, key)?.rows)))
    }

    fn new(rows: Vec<R>) -> Self {
        let at = keys(&rows).into_iter().zip(0..).collect();
        Self { rows, at }
    }

    /// The same, if `rows` are of this type.
    pub(crate) fn of(rows: &dyn Rows) -> Option<&Self> {
        rows.any().downcast_ref()
    }

    /// The rows by image.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ImageKey, &R)> {
        self.at.iter().map(|(key, at)| (key, &self.rows[*at]))
    }
}

impl<R: Row> Rows for Keyed<R> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn images(&self) -> Vec<(u64, &str)> {
        self.rows.iter().map(|row| (row.idx(), row.image())).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.rows.iter().map(Row::images).collect()
    }

    fn keys(&self) -> Vec<(&ImageKey, u64)> {
        self.iter().map(|(key, row)| (key, row.idx())).collect()
    }

    fn seen(&self) -> Vec<(&ImageKey, u64, u32, Seen)> {
        let of = |(key, row): (_, &R)| Some((key, row.idx(), row.label(), row.seen()?));
        self.iter().filter_map(of).collect()
    }

    fn proven(&self, image: &ImageKey) -> Option<f64> {
        self.rows[*self.at.get(image)?].proven()
    }

    fn untimed(&self) -> Vec<String> {
        self.rows.iter().map(|row| format!("{:?}", row.untimed())).collect()
    }

    fn check_model(&self, path: &Path, identity: &str) -> Result<()> {
        for row in &self.rows {
            if let Some(model) = row.model().filter(|model| !identity.starts_with(model)) {
                return Err(Error::file(
                    path,
                    format!("image {}: model", row.idx()),
                    format!("{model} is not the start of {identity}"),
                    "the table is of another network: delete it and run the job again",
                ));
            }
        }
        Ok(())
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// Makes sure that `rows` are all rows of `job`, whose table is at `path`, if it has finished.
///
/// # Errors
/// If there are more than the job has images, or fewer than a finished job.
pub(crate) fn check_count(path: &Path, job: &JobRecord, rows: usize) -> Result<()> {
    let images = job.images;
    if rows > images {
        return Err(Error::file(
            path,
            "rows",
            format!("{rows} for a job of {images} images"),
            "run.toml and the table are of different runs: run the job again",
        ));
    }
    if job.finished && rows < images {
        return Err(Error::file(
            path,
            "rows",
            format!("{rows} of {images}, and the job had finished: the table was cut"),
            "copy the table from a backup, or delete it and run the suite again",
        ));
    }
    Ok(())
}

/// Reads what the safety checks of `job` found, whose table is at `path` and has so many rows; `None` if
/// it has none.
///
/// # Errors
/// If the record was changed, or is missing beside the rows of a job that was checked.
pub(crate) fn read_checks(
    path: &Path,
    job: &JobRecord,
    rows: usize,
) -> Result<Option<CheckRecord>> {
    let checks = CheckRecord::read(path, &job.key)?;
    if checks.is_none() && job.checked && rows > 0 {
        return Err(Error::file(
            CheckRecord::path(path),
            "record of the checks",
            "it is missing, and the table beside it has rows",
            "copy the file from a backup, or delete the table and run the suite again",
        ));
    }
    Ok(checks)
}
