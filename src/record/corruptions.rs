//! What a corruption benchmark leaves on disk: `corruptions.toml`, which says what was measured, and
//! `corruptions.csv` with a row per corruption and severity, which is also its journal.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ModelRecord;
use super::toml_file::{self, Versioned};
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
    #[serde(default = "cpu")]
    pub device: String,
    /// The network.
    pub model: ModelRecord,
}

/// What records from before there was a choice are of.
fn cpu() -> String {
    "cpu".into()
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
    /// First 16 hex digits of the SHA-256 of the data.
    pub data: String,
    /// First 16 hex digits of the SHA-256 of the weight file.
    pub model: String,
}

impl Versioned for CorruptionRecord {
    const WHAT: &'static str = "corruption record";
    const REMEDY: &'static str = "name a folder that `epsball corruptions` has written";

    fn format_version(&self) -> u32 {
        self.format_version
    }
}

impl CorruptionRecord {
    /// Reads `corruptions.toml` and the rows of `corruptions.csv` that are complete in `folder`.
    ///
    /// # Errors
    /// If one of them is missing or is not of this format.
    pub fn read(folder: &Path) -> Result<(Self, Vec<CorruptionRow>)> {
        let record = toml_file::read(&folder.join("corruptions.toml"))?;
        Ok((record, rows(&folder.join("corruptions.csv"))?))
    }
}

fn rows<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let complete = text.rfind('\n').map_or(0, |end| end + 1);
    csv::Reader::from_reader(&text.as_bytes()[..complete])
        .into_deserialize()
        .collect::<Result<_, _>>()
        .map_err(|e: csv::Error| {
            let remedy = "the file was changed by hand: measure again";
            Error::file(path, "row", e.to_string(), remedy)
        })
}
