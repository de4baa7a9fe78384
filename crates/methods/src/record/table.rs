//! The table of one job: a header, then a line per image, each closed by a checksum that belongs to the
//! line, the header and the job. The table is also the runner's journal, so it may be missing, short, or
//! end in the middle of a line; all of these say that the job is unfinished. Anything else that is not
//! what was written is refused, and never read as a result.

use std::collections::BTreeMap;
use std::path::Path;

use super::checksum;
use super::{Line, Row};
use crate::error::{Error, Result};
use crate::hidden::is_hidden;
use crate::regular;

/// Name of the last column.
const CHECK: &str = "check";

/// The complete lines of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<R> {
    /// In the order of the file. A row that was taken up by one about more images is not among them.
    pub rows: Vec<R>,
    /// Bytes of the file that the rows and the header take up; what follows is a torn line.
    pub complete: usize,
}

/// How the fields of a table are separated, which its name says.
pub(crate) fn delimiter(path: &Path) -> u8 {
    if path.extension().is_some_and(|ending| ending == "tsv") { b'\t' } else { b',' }
}

/// Reads the table at `path` of the job `key`. A missing file is a table without rows.
///
/// # Errors
/// If a complete line does not fit its checksum, is not a row, or says what cannot be, or an image
/// comes twice.
pub fn read_table<R: Row>(path: &Path, key: &str) -> Result<Table<R>> {
    let table = match regular::record(path) {
        Ok(bytes) => parse::<R>(path, key, &bytes)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Table { rows: Vec::new(), complete: 0 }
        }
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut rows: Vec<R> = Vec::with_capacity(table.rows.len());
    for (number, row) in (1..).zip(table.rows) {
        if let Some(problem) = row.problem() {
            return Err(damaged(path, number, problem));
        }
        match places.get(&row.idx()).and_then(|at| rows.get_mut(*at)) {
            Some(known) if row.images() > known.images() => *known = row,
            Some(_) => {
                let problem = format!("image {} comes a second time", row.idx());
                return Err(damaged(path, number, problem));
            }
            None => {
                places.insert(row.idx(), rows.len());
                rows.push(row);
            }
        }
    }
    Ok(Table { rows, complete: table.complete })
}

/// Reads the lines of a table from the bytes of its file.
///
/// # Errors
/// If a complete line does not fit its checksum or is not of this kind.
pub fn parse<L: Line>(path: &Path, key: &str, bytes: &[u8]) -> Result<Table<L>> {
    // A writer that was killed leaves half a line: only what a line feed closes was written whole.
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&bytes[..complete])
        .map_err(|_| damaged(path, 0, "the file is not text".into()))?;
    if text.chars().any(|c| is_hidden(c) && c != '\r') {
        return Err(damaged(
            path,
            0,
            "the file holds control characters, or others that are not seen".into(),
        ));
    }
    let separator = char::from(delimiter(path));
    let mut lines = text.lines();
    let Some(header) = lines.next() else { return Ok(Table { rows: Vec::new(), complete }) };
    let Some((columns, CHECK)) = header.rsplit_once(separator) else {
        return Err(damaged(path, 0, format!("the header does not end in `{CHECK}`")));
    };
    let mut plain = String::with_capacity(text.len());
    plain += columns;
    plain.push('\n');
    for (number, line) in (1..).zip(lines) {
        let (fields, check) = line.rsplit_once(separator).unwrap_or((line, ""));
        // A fuzzer guesses no checksum.
        if !cfg!(fuzzing) && check != checksum::of_line(key, columns, fields) {
            let problem = "its checksum does not fit: it was changed, or belongs to another job";
            return Err(damaged(path, number, problem.into()));
        }
        plain += fields;
        plain.push('\n');
    }
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter(path)).from_reader(plain.as_bytes());
    let rows = (1..)
        .zip(reader.deserialize::<L>())
        .map(|(number, row)| row.map_err(|e| damaged(path, number, e.to_string())))
        .collect::<Result<Vec<L>>>()?;
    Ok(Table { rows, complete })
}

/// The text of `rows` in the table at `path` of the job `key`, after a header if it is the first.
///
/// # Errors
/// If a row cannot be written.
pub fn encode<L: Line>(path: &Path, key: &str, rows: &[L], first: bool) -> Result<Vec<u8>> {
    let bad = |e: csv::Error| Error::io("write", path)(e.into());
    let separator = char::from(delimiter(path));
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut writer =
            csv::WriterBuilder::new().delimiter(delimiter(path)).from_writer(Vec::new());
        writer.serialize(row).map_err(bad)?;
        let text = writer.into_inner().map_err(|e| bad(e.into_error().into()))?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let (header, line) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        if first && number == 0 {
            out += &format!("{header}{separator}{CHECK}\n");
        }
        out += &format!("{line}{separator}{}\n", checksum::of_line(key, header, line));
    }
    Ok(out.into_bytes())
}

/// Index and digest of the images in the table at `path` of the job `key`, of whichever kind its rows
/// are; of several rows with one index, the last.
///
/// # Errors
/// As [`read_table`].
pub fn table_images(path: &Path, key: &str) -> Result<Vec<(u64, String)>> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Image {
        idx: u64,
        image: String,
    }
    let bytes = match regular::record(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let rows = parse::<Image>(path, key, &bytes)?.rows;
    let mut images: Vec<(u64, String)> = Vec::with_capacity(rows.len());
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for Image { idx, image } in rows {
        match places.get(&idx).and_then(|at| images.get_mut(*at)) {
            Some(known) => known.1 = image,
            None => {
                places.insert(idx, images.len());
                images.push((idx, image));
            }
        }
    }
    Ok(images)
}

fn damaged(path: &Path, row: usize, problem: String) -> Error {
    Error::file(
        path,
        if row == 0 { "header".into() } else { format!("row {row}") },
        problem,
        "copy the file from a backup, or delete it: the run computes the job again",
    )
}
