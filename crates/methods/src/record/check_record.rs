//! What the safety checks of a job found, in a file beside the job's table: it outlives the process,
//! so a resumed run and a leaderboard still say it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::toml_file::{self, Versioned};
use crate::error::Result;

/// The file `JOB.checks.toml` beside the table of an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRecord {
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION) at the time of writing.
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

impl Versioned for CheckRecord {
    const WHAT: &'static str = "record of the checks";
}

impl CheckRecord {
    /// The file that belongs to the table at `table`.
    pub fn path(table: &Path) -> PathBuf {
        table.with_extension("checks.toml")
    }

    /// Reads the record beside the table at `table` of the job `key`; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, does not fit its checksum, or is of another version.
    pub fn read(table: &Path, key: &str) -> Result<Option<Self>> {
        toml_file::read_if_there(&Self::path(table), key)
    }

    /// Puts the record beside the table at `table` of the job `key`, in one step.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, table: &Path, key: &str) -> Result<()> {
        toml_file::write(&Self::path(table), key, self)
    }
}
