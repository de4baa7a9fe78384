//! The lines of a job's table as they stand in the file, whatever kind their rows are of. Processes that share a
//! job hand lines on to each other; a line proves by its checksum which job it is of, so nothing else is asked.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::table::parse;
use crate::error::{Error, Result};
use crate::regular;

/// A complete line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLine {
    /// Index of its image.
    pub idx: u64,
    /// Digest of the image.
    pub image: String,
    /// The line with its checksum, without the line feed.
    pub text: String,
}

/// The complete lines of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableLines {
    /// The first line, without the line feed; empty if the table has none.
    pub header: String,
    /// The others, in the order of the file.
    pub lines: Vec<TableLine>,
}

impl TableLines {
    /// Reads the table at `path` of the job `key`. A missing file is a table without lines, and a torn last line
    /// is none.
    ///
    /// # Errors
    /// If the file cannot be read, or a complete line does not fit its checksum.
    pub fn read(path: &Path, key: &str) -> Result<Self> {
        match regular::record(path) {
            Ok(bytes) => Ok(Self::parse(path, key, &bytes)?.0),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::io("read", path)(e)),
        }
    }

    /// The lines in the bytes of a file, and how many bytes are complete.
    fn parse(path: &Path, key: &str, bytes: &[u8]) -> Result<(Self, usize)> {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Image {
            idx: u64,
            image: String,
        }
        let table = parse::<Image>(path, key, bytes)?;
        let text = String::from_utf8_lossy(&bytes[..table.complete]).into_owned();
        let mut texts = text.lines();
        let header = texts.next().unwrap_or_default().to_owned();
        let line = |(row, text): (Image, &str)| TableLine {
            idx: row.idx,
            image: row.image,
            text: text.to_owned(),
        };
        let lines = table.rows.into_iter().zip(texts).map(line).collect();
        Ok((Self { header, lines }, table.complete))
    }

    /// Appends those lines of `others` to the table at `path` of the job `key` that are of images which it has
    /// none of, and cuts off a torn last line. Nothing is written if `still` says no when the file is open: who
    /// has given it another name meanwhile is not disturbed. Returns what the table has then.
    ///
    /// # Errors
    /// If the file cannot be read or written, or a complete line does not fit its checksum.
    pub fn append(path: &Path, key: &str, others: Self, still: &dyn Fn() -> bool) -> Result<Self> {
        regular::check(path).map_err(Error::io("open", path))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(Error::io("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let (mut table, complete) = Self::parse(path, key, &bytes)?;
        let before = table.lines.len();
        if table.take_up(others) == 0 || !still() {
            table.lines.truncate(before);
            return Ok(table);
        }
        let text = match before {
            0 => table.bytes(),
            _ => {
                let new = table.lines[before..].iter();
                new.map(|line| format!("{}\n", line.text)).collect::<String>().into_bytes()
            }
        };
        let at = if before == 0 { 0 } else { complete as u64 };
        let written = (|| {
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&text)
        })();
        written.map_err(Error::io("append to", path))?;
        Ok(table)
    }

    /// Indices of the images that it has lines of.
    pub fn indices(&self) -> HashSet<u64> {
        self.lines.iter().map(|line| line.idx).collect()
    }

    /// The bytes of a file with these lines.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        if !self.header.is_empty() {
            text += &format!("{}\n", self.header);
            self.lines.iter().for_each(|line| text += &format!("{}\n", line.text));
        }
        text.into_bytes()
    }

    /// Takes the lines of `others` that are of images which it has none of; returns how many these were.
    pub fn take_up(&mut self, others: Self) -> usize {
        let before = self.lines.len();
        let mut known = self.indices();
        if self.header.is_empty() {
            self.header = others.header;
        } else if !others.lines.is_empty() && self.header != others.header {
            // A checksum covers the header: lines under another one are those of another version.
            return 0;
        }
        self.lines.extend(others.lines.into_iter().filter(|line| known.insert(line.idx)));
        self.lines.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode_table;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Row {
        idx: u64,
        image: String,
        seconds: f64,
    }

    fn rows(indices: impl IntoIterator<Item = u64>) -> Vec<Row> {
        let row = |idx| Row { idx, image: format!("image-{idx}"), seconds: 0.5 };
        indices.into_iter().map(row).collect()
    }

    #[test]
    fn lines_are_kept_byte_by_byte_and_each_image_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.csv");
        let bytes = encode_table(&path, "key", &rows([4, 1]), true).unwrap();
        std::fs::write(&path, [&bytes[..], b"7,torn"].concat()).unwrap();
        let mut lines = TableLines::read(&path, "key").unwrap();
        assert_eq!(lines.bytes(), bytes);
        assert_eq!(lines.indices(), HashSet::from([1, 4]));
        assert_eq!(lines.lines[0].image, "image-4");
        let all = encode_table(&path, "key", &rows([4, 1, 2]), true).unwrap();
        std::fs::write(&path, encode_table(&path, "key", &rows([1, 2]), true).unwrap()).unwrap();
        assert_eq!(lines.take_up(TableLines::read(&path, "key").unwrap()), 1);
        assert_eq!(lines.bytes(), all);
        assert!(TableLines::read(&path, "other").is_err());
        std::fs::write(&path, [&bytes[..], b"2,torn"].concat()).unwrap();
        let append = |still: bool| {
            let whole = TableLines { lines: lines.lines.clone(), header: lines.header.clone() };
            TableLines::append(&path, "key", whole, &|| still).unwrap()
        };
        assert_eq!(append(false).bytes(), bytes);
        assert!(std::fs::read(&path).unwrap().ends_with(b"2,torn"));
        assert_eq!(append(true).bytes(), all);
        assert_eq!(std::fs::read(&path).unwrap(), all);
        std::fs::remove_file(&path).unwrap();
        append(true);
        assert_eq!(std::fs::read(&path).unwrap(), all);
        let none = TableLines::read(&folder.path().join("none.csv"), "key").unwrap();
        assert_eq!((none.bytes(), none.lines.len()), (Vec::new(), 0));
    }
}
