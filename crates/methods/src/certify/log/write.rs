//! Writing tables of certificates, radii rounded down.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::LogRow;
use crate::certify::CertificateRow;
use crate::certify::format_time;
use crate::error::{Error, Result};
use crate::stats::rounding;

/// Writes our table, a row at a time; each row is handed to the system before the next.
pub struct LogWriter<W: Write> {
    csv: csv::Writer<W>,
    path: PathBuf,
}

impl LogWriter<File> {
    /// Creates the table at `path`, replacing what was there.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        Ok(Self::new(file, path, true))
    }
}

impl<W: Write> LogWriter<W> {
    /// Writes to `out`; `path` is for messages. `header`: the first row is preceded by the header
    /// line, as it has to be unless the table already has one.
    pub fn new(out: W, path: &Path, header: bool) -> Self {
        let csv = csv::WriterBuilder::new().delimiter(b'\t').has_headers(header).from_writer(out);
        Self { csv, path: path.to_path_buf() }
    }

    /// Appends a row, its radius rounded down to six decimals.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, row: &CertificateRow) -> Result<()> {
        let row = CertificateRow { radius: rounding::floor_decimals(row.radius, 6), ..row.clone() };
        self.csv.serialize(row).map_err(|e| Error::io("write", &self.path)(e.into()))?;
        self.csv.flush().map_err(Error::io("write", &self.path))
    }
}

/// Writes a table as Cohen et al.'s scripts do, for tools that take exactly that; radii are rounded
/// down to six decimals. The column `time` is left out unless every row has a time.
///
/// # Errors
/// If the file cannot be written.
pub fn write_cohen(path: &Path, rows: &[LogRow]) -> Result<()> {
    #[derive(Serialize)]
    struct CohenRow {
        idx: u64,
        label: u32,
        predict: i64,
        radius: f64,
        correct: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<String>,
    }
    let timed = rows.iter().all(|row| row.seconds.is_some());
    let file = File::create(path).map_err(Error::io("create", path))?;
    let mut csv = csv::WriterBuilder::new().delimiter(b'\t').from_writer(file);
    for row in rows {
        let row = CohenRow {
            idx: row.idx,
            label: row.label,
            predict: row.predict,
            radius: rounding::floor_decimals(row.radius, 6),
            correct: u8::from(row.correct),
            time: row.seconds.filter(|_| timed).map(format_time),
        };
        csv.serialize(row).map_err(|e| Error::io("write", path)(e.into()))?;
    }
    csv.flush().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{file, row};
    use super::super::{Log, read_rows};
    use super::*;
    use crate::certify::ABSTAIN;

    #[test]
    fn our_table_reads_back_and_its_radii_are_rounded_down() {
        let file = file("");
        let mut writer = LogWriter::create(file.path()).unwrap();
        let rows = [row(0, 3, 0.934_781_667_1), row(20, ABSTAIN, 0.0), row(40, 5, 0.000_001_9)];
        rows.iter().for_each(|row| writer.write(row).unwrap());
        // Complete on disk before the writer is gone.
        let read = read_rows(file.path()).unwrap();
        let floored = [row(0, 3, 0.934_781), row(20, ABSTAIN, 0.0), row(40, 5, 0.000_001)];
        assert_eq!(read, floored);
        let text = std::fs::read_to_string(file.path()).unwrap();
        let header = "idx\tlabel\tpredict\tradius\tcorrect\ttime\tsigma\tn0\tn\talpha\tnA\tselected\tp_low\tseed\tmodel\tmode\tlevel\timage";
        assert_eq!(text.lines().next(), Some(header));
        let log = Log::read(file.path()).unwrap();
        assert_eq!(log.rows(), floored.each_ref().map(LogRow::from));
        assert_eq!(log.rows()[0].seconds, Some(13.736_08));
    }

    #[test]
    fn a_table_is_continued_without_a_second_header() {
        let file = file("");
        LogWriter::create(file.path()).unwrap().write(&row(0, 3, 0.5)).unwrap();
        let more = std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        LogWriter::new(more, file.path(), false).write(&row(1, 3, 0.5)).unwrap();
        assert_eq!(read_rows(file.path()).unwrap(), [row(0, 3, 0.5), row(1, 3, 0.5)]);
    }

    #[test]
    fn cohens_table_reads_back() {
        let file = file("");
        let rows = [row(0, 3, 0.25), row(20, ABSTAIN, 0.0)].map(|row| LogRow::from(&row));
        write_cohen(file.path(), &rows).unwrap();
        assert_eq!(Log::read(file.path()).unwrap().rows(), rows);
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().nth(1), Some("0\t3\t3\t0.25\t1\t0:00:13.736080"));
    }

    #[test]
    fn cohens_table_has_no_time_that_was_not_measured() {
        let file = file("");
        let [first, second] =
            [row(0, 3, 0.25), row(20, ABSTAIN, 0.0)].map(|row| LogRow::from(&row));
        write_cohen(file.path(), &[first, LogRow { seconds: None, ..second }]).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let expected =
            "idx\tlabel\tpredict\tradius\tcorrect\n0\t3\t3\t0.25\t1\n20\t3\t-1\t0.0\t0\n";
        assert_eq!(text, expected);
        assert!(Log::read(file.path()).unwrap().rows().iter().all(|row| row.seconds.is_none()));
    }
}
