//! The counts of images that are being certified, in a file beside the job's table: an image of a large
//! network takes minutes, and a run that is killed in its middle goes on there. It is gone when the job
//! is finished.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::{Versioned, read_if_there, write_toml};

/// The file `JOB.counts.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountsRecord {
    /// [`FORMAT_VERSION`](crate::record::FORMAT_VERSION) at the time of writing.
    pub format_version: u32,
    /// The images under way.
    #[serde(default, rename = "image")]
    pub images: Vec<ImageCounts>,
}

/// What was counted of one image: `(class, samples)` for the classes that have any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCounts {
    /// Index of the image in its data set.
    pub idx: u64,
    /// Of the samples that select the class.
    pub selection: Vec<(u32, u64)>,
    /// Of the samples that bound its probability.
    pub votes: Vec<(u32, u64)>,
    /// Wall time spent on the image.
    pub seconds: f64,
}

impl Versioned for CountsRecord {
    const WHAT: &'static str = "counts of unfinished images";
}

impl CountsRecord {
    /// The file that belongs to the table at `table`.
    pub fn path(table: &Path) -> PathBuf {
        table.with_extension("counts.toml")
    }

    /// Reads the record beside the table at `table` of the job `key`; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, does not fit its checksum, or is of another version.
    pub fn read(table: &Path, key: &str) -> Result<Option<Self>> {
        read_if_there(&Self::path(table), key)
    }

    /// Puts the record beside the table at `table` of the job `key`, in one step.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, table: &Path, key: &str) -> Result<()> {
        write_toml(&Self::path(table), key, self)
    }

    /// Removes the record beside the table at `table`, if there is one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(table: &Path) -> Result<()> {
        let path = Self::path(table);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(e))
            }
            _ => Ok(()),
        }
    }
}
