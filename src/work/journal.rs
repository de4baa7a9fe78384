//! A job's table as its journal: rows are appended and handed to the system batch by batch, and are on the
//! disk before the job counts as finished. After a crash the rows that are complete are kept, a torn last
//! line is cut off, and the job goes on behind them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::persist;
use crate::record::{Line, encode_table, parse_table};
use crate::regular;

/// The table of one job, open for appending.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    key: String,
    empty: bool,
}

impl Journal {
    /// Opens the table at `path` of the job `key`, making it and its folder if they are missing. Returns
    /// the journal and the rows it already holds.
    ///
    /// # Errors
    /// If the file cannot be opened, or a complete line is not a row that this job has written.
    pub(crate) fn open<L: Line>(path: &Path, key: &str) -> Result<(Self, Vec<L>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        regular::check(path).map_err(Error::io("open", path))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        // Two runs appending to one table would interleave their rows.
        // Where a file system has no locks, leases alone keep them apart.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::file(
                path,
                "lock",
                "another run is writing to it",
                "wait for that run, or choose another output folder",
            ));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(Error::io("read", path))?;
        let table = parse_table::<L>(path, key, &text)?;
        file.set_len(table.complete as u64).map_err(Error::io("truncate", path))?;
        file.seek(SeekFrom::End(0)).map_err(Error::io("seek in", path))?;
        let journal = Self { file, path: path.into(), key: key.into(), empty: table.complete == 0 };
        Ok((journal, table.rows))
    }

    /// Appends rows in one write.
    ///
    /// # Errors
    /// If the file cannot be written, or is no longer there under its name: its rows would be lost with it.
    pub(crate) fn append<L: Line>(&mut self, rows: &[L]) -> Result<()> {
        self.refuse_deleted()?;
        let text = encode_table(&self.path, &self.key, rows, self.empty)?;
        self.file.write_all(&text).map_err(Error::io("append to", &self.path))?;
        self.empty &= rows.is_empty();
        Ok(())
    }

    /// Waits until every row is on the disk.
    ///
    /// # Errors
    /// If the system cannot say so, or the file is no longer there.
    pub(crate) fn sync(&self) -> Result<()> {
        self.refuse_deleted()?;
        self.file.sync_all().map_err(Error::io("write", &self.path))?;
        persist::sync_folder(&self.path)
    }

    /// Refuses to go on with a file that has lost its name to another one, or to none.
    fn refuse_deleted(&self) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let own = self.file.metadata().map_err(Error::io("look at", &self.path))?;
            let there = std::fs::metadata(&self.path);
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
                return Err(Error::file(
                    &self.path,
                    "table",
                    "it was deleted or replaced while the job was running",
                    "run the same command again: it computes the rows that are missing",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "job";

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
        let (mut journal, none) = Journal::open::<Row>(&path, KEY).unwrap();
        assert!(none.is_empty());
        for idx in 0..6 {
            journal.append(&[row(idx)]).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, rows) = Journal::open::<Row>(&path, KEY).unwrap();
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
        Journal::open::<Row>(&path, KEY).unwrap().0.append(&[row(0), row(1)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("1,inf", "1,0.5")).unwrap();
        let error = Journal::open::<Row>(&path, KEY).err().unwrap();
        assert!(error.to_string().contains("row 2: its checksum"), "{error}");
        std::fs::write(&path, &text).unwrap();
        assert!(Journal::open::<Row>(&path, KEY).is_ok());
        let error = Journal::open::<Row>(&path, "other").err().unwrap();
        assert!(error.to_string().contains("row 1: its checksum"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_table_that_is_deleted_while_it_is_written_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.csv");
        for replaced in [false, true] {
            let (mut journal, _) = Journal::open::<Row>(&path, KEY).unwrap();
            journal.append(&[row(0)]).unwrap();
            let text = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            if replaced {
                std::fs::write(&path, text).unwrap();
            }
            for error in [journal.append(&[row(1)]).unwrap_err(), journal.sync().unwrap_err()] {
                assert!(error.to_string().contains("deleted or replaced"), "{error}");
            }
        }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.csv");
        let first = Journal::open::<Row>(&path, KEY).unwrap();
        assert!(Journal::open::<Row>(&path, KEY).is_err());
        drop(first);
        assert!(Journal::open::<Row>(&path, KEY).is_ok());
    }
}
