//! A job's table as its journal: rows are appended and handed to the system batch by batch; after a
//! crash the rows that are complete are kept, a torn last line is cut off, and the job goes on behind
//! them.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The table of one job, open for appending.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    delimiter: u8,
    empty: bool,
}

impl Journal {
    /// Opens the table at `path`, making it and its folder if they are missing. Returns the journal
    /// and the rows it already holds.
    ///
    /// # Errors
    /// If the file cannot be opened or a complete line is not a row.
    pub(super) fn open<R: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<R>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        // Two runs appending to one table would interleave their rows.
        if file.try_lock().is_err() {
            return Err(Error::file(
                path,
                "lock",
                "another run is writing to it",
                "wait for that run, or choose another output folder",
            ));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(Error::io("read", path))?;
        let complete = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let delimiter = if path.extension().is_some_and(|e| e == "tsv") { b'\t' } else { b',' };
        let rows = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .from_reader(&text[..complete])
            .into_deserialize()
            .enumerate()
            .map(|(i, row)| {
                row.map_err(|e: csv::Error| {
                    Error::file(
                        path,
                        format!("row {}", i + 1),
                        e.to_string(),
                        "the file was changed by hand: delete it to compute the job again",
                    )
                })
            })
            .collect::<Result<Vec<R>>>()?;
        file.set_len(complete as u64).map_err(Error::io("truncate", path))?;
        file.seek(SeekFrom::End(0)).map_err(Error::io("seek in", path))?;
        Ok((Self { file, path: path.to_path_buf(), delimiter, empty: complete == 0 }, rows))
    }

    /// Appends rows in one write.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn append<R: Serialize>(&mut self, rows: &[R]) -> Result<()> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(self.empty)
            .from_writer(Vec::new());
        let bad = |e: csv::Error| Error::io("write", &self.path)(e.into());
        for row in rows {
            writer.serialize(row).map_err(bad)?;
        }
        let text = writer.into_inner().map_err(|e| bad(e.into_error().into()))?;
        self.file.write_all(&text).map_err(Error::io("append to", &self.path))?;
        self.file.flush().map_err(Error::io("append to", &self.path))?;
        self.empty = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Row {
        idx: u64,
        distance: f64,
    }

    fn row(idx: u64) -> Row {
        Row { idx, distance: if idx.is_multiple_of(2) { 0.1 * idx as f64 } else { f64::INFINITY } }
    }

    #[test]
    fn a_table_cut_at_any_byte_continues_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/job.csv");
        let (mut journal, none) = Journal::open::<Row>(&path).unwrap();
        assert!(none.is_empty());
        for idx in 0..6 {
            journal.append(&[row(idx)]).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, rows) = Journal::open::<Row>(&path).unwrap();
            let kept = rows.len() as u64;
            assert_eq!(rows, (0..kept).map(row).collect::<Vec<_>>());
            journal.append(&(kept..6).map(row).collect::<Vec<_>>()).unwrap();
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_spoiled_row_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.csv");
        std::fs::write(&path, "idx,distance\n0,0.5\nx,1\n").unwrap();
        let error = Journal::open::<Row>(&path).err().unwrap();
        assert!(error.to_string().contains("row 2"), "{error}");
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.csv");
        let first = Journal::open::<Row>(&path).unwrap();
        assert!(Journal::open::<Row>(&path).is_err());
        drop(first);
        assert!(Journal::open::<Row>(&path).is_ok());
    }
}
