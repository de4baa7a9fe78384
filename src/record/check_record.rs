//! What the safety checks of a job found, in a file beside the job's table: it outlives the process,
//! so a resumed run and a leaderboard still say it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FORMAT_VERSION;
use crate::error::{Error, Result};

/// The file `JOB.checks.toml`. A job whose attack has no safety checks has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRecord {
    /// [`FORMAT_VERSION`] at the time of writing.
    pub format_version: u32,
    /// Number of images that the checks before the attack looked at: the job's first ones.
    pub images: usize,
    /// One entry per check that fired; empty if all is well.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// A safety check that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Name of the check: `zero-gradients`.
    pub check: String,
    /// What was seen, in the few words that stand on a leaderboard: `zero gradients on 12 of 100
    /// images`.
    pub seen: String,
    /// What that means for the numbers, as a sentence.
    pub meaning: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
}

impl CheckRecord {
    /// The file that belongs to the table at `table`.
    pub fn path(table: &Path) -> PathBuf {
        table.with_extension("checks.toml")
    }

    /// Reads the record beside the table at `table`; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML of this format, or is of a newer version.
    pub fn read(table: &Path) -> Result<Option<Self>> {
        let path = Self::path(table);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path)(e)),
        };
        let record: Self = toml::from_str(&text).map_err(|e| {
            let remedy = "the file was changed by hand: delete it and run the job again";
            Error::file(&path, "record of the checks", e.message(), remedy)
        })?;
        if record.format_version > FORMAT_VERSION {
            return Err(Error::file(
                &path,
                "format_version",
                format!("{} is newer than {FORMAT_VERSION}", record.format_version),
                "read it with the epsball version that wrote it",
            ));
        }
        Ok(Some(record))
    }

    /// Puts the record beside the table at `table`, in one step.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, table: &Path) -> Result<()> {
        let path = Self::path(table);
        let text = toml::to_string(self).map_err(|e| {
            Error::file(&path, "record of the checks", e.to_string(), "report this as a bug")
        })?;
        crate::persist::replace(&path, text.as_bytes())
    }
}
