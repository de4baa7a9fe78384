//! Reading a table that may be wrong. [`Log::read`](crate::certify::log::Log::read) refuses a table in
//! which an image comes twice or `correct` contradicts `predict`; here these are findings.

use std::path::{Path, PathBuf};

use super::claim::SAMPLES;
use super::printed::{Precision, Printed};
use crate::certify::log::{Columns, REMEDY, table_error};
use crate::certify::mode::{self, Mode};
use crate::error::{Error, Result};
use crate::regular;

/// A row as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AuditRow {
    pub(super) idx: u64,
    pub(super) label: u32,
    pub(super) predict: i64,
    pub(super) radius: Printed,
    pub(super) correct: bool,
    /// `None` if the table has no column `time`.
    pub(super) seconds: Option<f64>,
    pub(super) own: Own,
}

/// What only our tables say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Own {
    pub(super) sigma: Option<f64>,
    pub(super) n0: Option<u64>,
    pub(super) n: Option<u64>,
    pub(super) alpha: Option<f64>,
    pub(super) n_a: Option<u64>,
    pub(super) selected: Option<i64>,
    pub(super) p_low: Option<f64>,
    /// The level of `p_low`: what its mode spends of alpha on one look; 0 in older tables.
    pub(super) level: Option<f64>,
    /// How its samples were spent; none in older tables.
    pub(super) mode: Option<&'static Mode>,
}

/// A table of certificates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    /// The file's name without the extension.
    pub(super) name: String,
    /// One or more.
    pub(super) rows: Vec<AuditRow>,
    /// The last line ends before its last column; it is left out.
    pub(super) torn: bool,
}

impl Table {
    /// Reads a table of either kind.
    ///
    /// # Errors
    /// With the file and line: if it cannot be read, a column is missing, a value is not what its column
    /// holds, or there is no row.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = regular::read(path).map_err(Error::io("read", path))?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b'\t')
            .quoting(false)
            .flexible(true)
            .from_reader(bytes.as_slice());
        let header = reader.headers().map_err(|e| table_error(path, &[], e))?.clone();
        let columns = Columns::find(path, &header)?;
        if header.iter().any(|column| column == "margin") {
            let problem = "it holds deterministic bounds: no number of votes limits their radii";
            return Err(Error::file(path, "table", problem, "audit a table of smoothing"));
        }
        let records: Vec<csv::StringRecord> = reader
            .records()
            .collect::<Result<_, csv::Error>>()
            .map_err(|e| table_error(path, &[], e))?;
        let whole = |record: &csv::StringRecord| record.len() == header.len();
        let torn = records.last().is_some_and(|r| !whole(r)) && bytes.last() != Some(&b'\n');
        let records = &records[..records.len() - usize::from(torn)];
        let ours = header.iter().any(|column| column == "p_low");
        let precision = match ours {
            true => Precision::Down(6),
            false => Precision::of(records.iter().map(|record| columns.text(record, "radius"))),
        };
        let mut rows = Vec::new();
        for record in records {
            let line = record.position().map_or(0, csv::Position::line);
            let at = |column: &str| format!("line {line}, {column}");
            if !whole(record) {
                let problem =
                    format!("it has {} columns, the header has {}", record.len(), header.len());
                return Err(Error::file(path, format!("line {line}"), problem, REMEDY));
            }
            let row = columns.parse(path, line, record)?;
            if !(row.radius >= 0.0 && row.radius.is_finite()) {
                let problem = format!("{} is not a radius", row.radius);
                return Err(Error::file(path, at("radius"), problem, REMEDY));
            }
            rows.push(AuditRow {
                idx: row.idx,
                label: row.label,
                predict: row.predict,
                radius: precision.read(row.radius),
                correct: row.correct,
                seconds: row.seconds,
                own: own(path, line, &header, record)?,
            });
        }
        if rows.is_empty() {
            let remedy = "certify at least one image";
            return Err(Error::file(path, "table", "it holds no certificate", remedy));
        }
        let name = path.file_name().map_or_else(String::new, |s| s.to_string_lossy().into());
        // `sigma_0.25` has no extension.
        let name = name.strip_suffix(".tsv").unwrap_or(&name).to_owned();
        Ok(Self { path: path.to_owned(), name, rows, torn })
    }
}

/// The mode of a row, if there is such a column.
fn named_mode(
    (path, line): (&Path, u64),
    header: &csv::StringRecord,
    record: &csv::StringRecord,
) -> Result<Option<&'static Mode>> {
    let at = header.iter().position(|column| column == "mode");
    let Some(name) = at.and_then(|at| record.get(at)).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    mode::ALL.into_iter().find(|mode| mode.name == name).map(Some).ok_or_else(|| {
        let problem = format!("`{name}` is not a mode that this version knows");
        Error::file(path, format!("line {line}, mode"), problem, REMEDY)
    })
}

/// The columns of ours that are there.
fn own(
    path: &Path,
    line: u64,
    header: &csv::StringRecord,
    record: &csv::StringRecord,
) -> Result<Own> {
    fn value<T: std::str::FromStr>(
        (path, line): (&Path, u64),
        header: &csv::StringRecord,
        record: &csv::StringRecord,
        name: &str,
    ) -> Result<Option<T>> {
        let Some(at) = header.iter().position(|column| column == name) else { return Ok(None) };
        let text = record.get(at).unwrap_or("");
        text.parse().map(Some).map_err(|_| {
            let problem = format!("`{text}` is not a number that can stand there");
            Error::file(path, format!("line {line}, {name}"), problem, REMEDY)
        })
    }
    let place = (path, line);
    let n = value(place, header, record, "n")?;
    if let Some(n) = n.filter(|n| *n >= SAMPLES) {
        let problem = format!("{n} samples cannot have been drawn");
        return Err(Error::file(path, format!("line {line}, n"), problem, REMEDY));
    }
    Ok(Own {
        sigma: value(place, header, record, "sigma")?,
        n0: value(place, header, record, "n0")?,
        n,
        alpha: value(place, header, record, "alpha")?,
        n_a: value(place, header, record, "nA")?,
        selected: value(place, header, record, "selected")?,
        p_low: value(place, header, record, "p_low")?,
        level: value(place, header, record, "level")?,
        mode: named_mode(place, header, record)?,
    })
}
