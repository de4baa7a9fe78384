//! What a corruption benchmark leaves on disk: `corruptions.toml`, which says what was measured, and
//! `corruptions.csv` with a row per corruption and severity, which is also its journal.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ModelRecord;
use super::table;
use super::toml_file::{self, Versioned};
use crate::digest::sha256;
use crate::error::{Error, Result};

/// Severities run from 1 to this.
pub const SEVERITIES: usize = 5;

/// The file `corruptions.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionRecord {
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION) at the time of writing.
    pub format_version: u32,
    /// Version of epsball.
    pub epsball: String,
    /// Data specification with `CORRUPTION` and `SEVERITY` in their places.
    pub data: String,
    /// Images of each corruption and severity, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
    /// The corruptions, in the order of the table.
    pub corruptions: Vec<String>,
    /// Device: `cpu`, `cuda:0`.
    pub device: String,
    /// The network.
    pub model: ModelRecord,
}

/// A row of `corruptions.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionRow {
    /// Name of the corruption, as in its file: `fog`.
    pub corruption: String,
    /// 1 to 5.
    pub severity: usize,
    /// Correctly classified images.
    pub correct: usize,
    /// Images looked at.
    pub images: usize,
    /// First 16 hex digits of the SHA-256 of the list of images: of their digests, in order.
    pub data: String,
    /// First 16 hex digits of the identity of the network.
    pub model: String,
}

impl Versioned for CorruptionRecord {
    const WHAT: &'static str = "corruption record";
    const REMEDY: &'static str = "name a folder that `epsball corruptions` has written";
}

impl CorruptionRecord {
    /// The file of the folder `folder`.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("corruptions.toml")
    }

    /// The table of the folder `folder`.
    pub fn table(folder: &Path) -> PathBuf {
        folder.join("corruptions.csv")
    }

    /// Identity of the measurement: what a row depends on but the images, whose digest is in the row.
    /// More corruptions may be measured under the same key.
    pub fn key(&self) -> String {
        let Self { first, device, model, .. } = self;
        sha256(format!("{} {first:?} {device}", model.identity).as_bytes())
    }

    /// Puts the record into `folder`, in one step.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        toml_file::write(&Self::path(folder), "", self)
    }

    /// Reads the record of `folder`; `None` if there is none.
    ///
    /// # Errors
    /// If it is not of this format or was changed.
    pub fn read_if_there(folder: &Path) -> Result<Option<Self>> {
        toml_file::read_if_there(&Self::path(folder), "")
    }

    /// Reads `corruptions.toml` and the rows of `corruptions.csv` that are complete in `folder`.
    ///
    /// # Errors
    /// If one of them is missing, is not of this format or was changed.
    pub fn read(folder: &Path) -> Result<(Self, Vec<CorruptionRow>)> {
        let record: Self = toml_file::read(&Self::path(folder), "")?;
        let path = Self::table(folder);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let rows = table::parse(&path, &record.key(), &bytes)?.rows;
        Ok((record, rows))
    }
}
