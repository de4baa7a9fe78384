//! Tables of certificates on disk, tab separated with a header line. Two kinds share their first six
//! columns, `idx label predict radius correct time`: the logs of Cohen et al.'s scripts and of the
//! papers after them, which end there, and ours, which go on with what [`CertificateRow`] adds.
//! A log may lack the column `time`.
//! [`Log`] reads the six columns of either, [`read_rows`] ours in full; [`LogWriter`] writes ours and
//! [`write_cohen`] theirs.

mod read;
mod write;

use super::parse_time;
use crate::certify::CertificateRow;
use crate::error::{Error, Result};

pub use read::read_rows;
pub(super) use read::{Columns, REMEDY, table_error};
pub use write::{LogWriter, write_cohen};

/// The columns that all tables of certificates have, and `time`, which some logs lack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the smoothed classifier, [`ABSTAIN`](super::ABSTAIN) if none.
    pub predict: i64,
    /// Certified radius as the file has it, finite and at least 0. Published logs round it to three
    /// digits, up as often as down.
    pub radius: f64,
    /// `predict` is `label`.
    pub correct: bool,
    /// Wall time of the image; `None` if the table has no column `time`.
    pub seconds: Option<f64>,
}

impl From<&CertificateRow> for LogRow {
    fn from(row: &CertificateRow) -> Self {
        Self {
            idx: row.idx,
            label: row.label,
            predict: row.predict,
            radius: row.radius,
            correct: row.correct == 1,
            seconds: parse_time(&row.time),
        }
    }
}

/// A table of certificates under one network, sigma, N and alpha; never empty. What is computed from
/// it is in [`super::analysis`].
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    name: String,
    rows: Vec<LogRow>,
}

impl Log {
    /// A log from rows; `name` is what tables call it.
    ///
    /// # Errors
    /// If there are no rows.
    pub fn new(name: impl Into<String>, rows: impl IntoIterator<Item = LogRow>) -> Result<Self> {
        let (name, rows) = (name.into(), Vec::from_iter(rows));
        if rows.is_empty() {
            return Err(Error::setting(
                format!("log `{name}`"),
                "it holds no certificate",
                "certify at least one image",
            ));
        }
        Ok(Self { name, rows })
    }

    /// The name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rows, one or more.
    pub fn rows(&self) -> &[LogRow] {
        &self.rows
    }
}

/// A row and a temporary file, for the tests of reading and of writing.
#[cfg(test)]
mod samples {
    use std::io::Write;

    use super::*;

    pub(super) fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".tsv").tempfile().unwrap();
        file.write_all(content.as_ref()).unwrap();
        file
    }

    pub(super) fn row(idx: u64, predict: i64, radius: f64) -> CertificateRow {
        CertificateRow {
            idx,
            label: 3,
            predict,
            radius,
            correct: u8::from(predict == 3),
            time: "0:00:13.736080".into(),
            sigma: 0.25,
            n0: 100,
            n: 100_000,
            alpha: 0.001,
            n_a: 99_999,
            selected: 3,
            p_low: 0.999_907_669_666_265_4,
            seed: 18_446_744_073_709_551_615,
            model: "0123456789abcdef".into(),
            mode: "cohen".into(),
            level: 0.001,
            image: "fedcba9876543210".into(),
        }
    }
}
