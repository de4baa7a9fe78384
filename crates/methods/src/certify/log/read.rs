//! Reading tables of certificates: every complaint names the file, the line and the column.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::{Log, LogRow};
use crate::certify::CertificateRow;
use crate::certify::{ABSTAIN, parse_time};
use crate::error::{Error, Result};
use crate::regular;

/// What to do about a damaged table.
pub(in crate::certify) const REMEDY: &str = "repair or remove the line, or fetch the file again";

impl Log {
    /// Reads a table of either kind; its name is the file's without the extension. `time` may be
    /// `0:00:13.736080` or bare seconds, and the column may be absent. Other columns are not looked at.
    ///
    /// # Errors
    /// With the file and line: if the file cannot be read, a column other than `time` is missing, a value is not what
    /// its column holds, `correct` contradicts `predict`, or an image comes twice.
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader = open(path)?;
        let header = reader.headers().map_err(|e| table_error(path, &[], e))?.clone();
        let columns = Columns::find(path, &header)?;
        let (mut rows, mut seen) = (Vec::new(), HashMap::new());
        for record in reader.records() {
            let record = record.map_err(|e| table_error(path, &[], e))?;
            let line = record.position().map_or(0, csv::Position::line);
            let row = columns.parse(path, line, &record)?;
            check(path, line, &row, &mut seen)?;
            rows.push(row);
        }
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
        Self::new(name, rows).map_err(|_| {
            Error::file(path, "table", "it holds no certificate", "certify at least one image")
        })
    }
}

/// Reads a table that [`LogWriter`](super::LogWriter) wrote, with every column.
///
/// # Errors
/// As [`Log::read`]; also if a column is missing or unknown.
pub fn read_rows(path: &Path) -> Result<Vec<CertificateRow>> {
    let mut reader = open(path)?;
    let header = reader.headers().map_err(|e| table_error(path, &[], e))?.clone();
    let names: Vec<&str> = header.iter().collect();
    let (mut rows, mut seen) = (Vec::new(), HashMap::new());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| table_error(path, &names, e))? {
        let line = record.position().map_or(0, csv::Position::line);
        let row: CertificateRow =
            record.deserialize(Some(&header)).map_err(|e| table_error(path, &names, e))?;
        check(path, line, &LogRow::from(&row), &mut seen)?;
        rows.push(row);
    }
    Ok(rows)
}

/// Positions of the columns that are read.
pub(in crate::certify) struct Columns {
    positions: [usize; 5],
    /// The position of `time`, if there is such a column.
    time: Option<usize>,
}

impl Columns {
    const NAMES: [&str; 5] = ["idx", "label", "predict", "radius", "correct"];
    const TIME: &str = "time";

    pub(in crate::certify) fn find(path: &Path, header: &csv::StringRecord) -> Result<Self> {
        let find = |name: &str| header.iter().position(|column| column == name);
        let mut positions = [0; 5];
        for (position, name) in positions.iter_mut().zip(Self::NAMES) {
            *position = find(name).ok_or_else(|| {
                let remedy = format!(
                    "name the tab-separated columns of the table {} in its first line; the column {} may \
                     be absent",
                    Self::NAMES.join(", "),
                    Self::TIME,
                );
                Error::file(path, "line 1", format!("there is no column `{name}`"), remedy)
            })?;
        }
        Ok(Self { positions, time: find(Self::TIME) })
    }

    /// The text of one of the columns that every table has.
    pub(in crate::certify) fn text<'a>(
        &self,
        record: &'a csv::StringRecord,
        name: &str,
    ) -> &'a str {
        let column = Self::NAMES.iter().position(|known| *known == name);
        column.and_then(|column| record.get(self.positions[column])).unwrap_or("")
    }

    pub(in crate::certify) fn parse(
        &self,
        path: &Path,
        line: u64,
        record: &csv::StringRecord,
    ) -> Result<LogRow> {
        let text = |column: usize| record.get(self.positions[column]).unwrap_or("");
        let refuse = |name: &str, text: &str, what: &str| {
            let problem = format!("`{text}` is not {what}");
            Error::file(path, format!("line {line}, {name}"), problem, REMEDY)
        };
        let bad = |column: usize, what: &str| refuse(Self::NAMES[column], text(column), what);
        let duration = |at: usize| {
            let text = record.get(at).unwrap_or("");
            parse_time(text).ok_or_else(|| refuse(Self::TIME, text, "a duration"))
        };
        // Adding zero takes the sign off a radius of -0.
        let radius = |text: &str| text.parse().map(|radius: f64| radius + 0.0);
        Ok(LogRow {
            idx: text(0).parse().map_err(|_| bad(0, "an index"))?,
            label: text(1).parse().map_err(|_| bad(1, "a class"))?,
            predict: text(2).parse().map_err(|_| bad(2, "a class or -1"))?,
            radius: radius(text(3)).map_err(|_| bad(3, "a radius"))?,
            correct: match text(4) {
                "0" => false,
                "1" => true,
                _ => return Err(bad(4, "0 or 1")),
            },
            seconds: self.time.map(duration).transpose()?,
        })
    }
}

/// Refuses rows that would make a table of accuracies silently wrong.
fn check(path: &Path, line: u64, row: &LogRow, seen: &mut HashMap<u64, u64>) -> Result<()> {
    let problem = if !(row.radius >= 0.0 && row.radius.is_finite()) {
        ("radius", format!("{} is not a radius", row.radius))
    } else if row.predict < ABSTAIN {
        ("predict", format!("{} is neither a class nor -1", row.predict))
    } else if row.correct != (row.predict == i64::from(row.label)) {
        let (correct, predict, label) = (u8::from(row.correct), row.predict, row.label);
        ("correct", format!("it is {correct} for a prediction of {predict} and a label of {label}"))
    } else if let Some(first) = seen.insert(row.idx, line) {
        ("idx", format!("image {} is already on line {first}", row.idx))
    } else {
        return Ok(());
    };
    Err(Error::file(path, format!("line {line}, {}", problem.0), problem.1, REMEDY))
}

fn open(path: &Path) -> Result<csv::Reader<File>> {
    let file = regular::open(path).map_err(Error::io("read", path))?;
    Ok(csv::ReaderBuilder::new().delimiter(b'\t').quoting(false).from_reader(file))
}

/// The csv crate's complaint in terms of file, line and column.
pub(in crate::certify) fn table_error(path: &Path, names: &[&str], error: csv::Error) -> Error {
    let line = error.position().map_or_else(|| "table".into(), |p| format!("line {}", p.line()));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::io("read", path)(source),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => Error::file(
            path,
            line,
            format!("it has {len} columns, the header has {expected_len}"),
            REMEDY,
        ),
        csv::ErrorKind::Utf8 { .. } => Error::file(path, line, "it is not UTF-8 text", REMEDY),
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|f| names.get(f as usize));
            let place = column.map_or(line.clone(), |name| format!("{line}, {name}"));
            Error::file(path, place, err.kind().to_string(), REMEDY)
        }
        other => Error::file(path, line, format!("{other:?}"), REMEDY),
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogWriter;
    use super::super::samples::{file, row};
    use super::*;

    const HEADER: &str = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n";

    #[test]
    fn published_logs_of_both_ages_are_read() {
        let file =
            file(format!("{HEADER}0\t3\t-1\t0.0\t0\t0:00:14.114881\n20\t7\t7\t1.91\t1\t15.4\n"));
        let log = Log::read(file.path()).unwrap();
        let expected = [
            LogRow {
                idx: 0,
                label: 3,
                predict: -1,
                radius: 0.0,
                correct: false,
                seconds: Some(14.114_881),
            },
            LogRow {
                idx: 20,
                label: 7,
                predict: 7,
                radius: 1.91,
                correct: true,
                seconds: Some(15.4),
            },
        ];
        assert_eq!(log.rows(), expected);
        assert_eq!(log.name(), file.path().file_stem().unwrap().to_str().unwrap());
    }

    #[test]
    fn the_column_time_may_be_absent() {
        let header = HEADER.replace("\ttime", "");
        let good = file(format!("{header}0\t3\t-1\t0.0\t0\n20\t7\t7\t1.91\t1\n"));
        let log = Log::read(good.path()).unwrap();
        let rows: Vec<_> = log.rows().iter().map(|r| (r.idx, r.radius, r.seconds)).collect();
        assert_eq!(rows, [(0, 0.0, None), (20, 1.91, None)]);
        // The column is found by its name, so the other columns may follow it.
        let first = file("time\tidx\tlabel\tpredict\tradius\tcorrect\n2.5\t0\t3\t3\t0.5\t1\n");
        assert_eq!(Log::read(first.path()).unwrap().rows()[0].seconds, Some(2.5));
        // A column that is there has to hold durations.
        let empty = file(format!("{HEADER}0\t3\t3\t0.5\t1\t\n"));
        let error = Log::read(empty.path()).unwrap_err().to_string();
        assert!(error.ends_with("line 2, time: `` is not a duration"), "{error}");
        let short = file(format!("{header}0\t3\t3\t0.5\n"));
        let error = Log::read(short.path()).unwrap_err().to_string();
        assert!(error.ends_with("line 2: it has 4 columns, the header has 5"), "{error}");
    }

    #[test]
    fn a_zero_has_no_sign() {
        let file = file(format!("{HEADER}0\t3\t3\t-0.0\t1\t-0.0\n"));
        let log = Log::read(file.path()).unwrap();
        let LogRow { radius, seconds, .. } = log.rows()[0];
        assert_eq!((radius, seconds), (0.0, Some(0.0)));
        assert!(radius.is_sign_positive() && seconds.unwrap().is_sign_positive());
    }

    #[test]
    fn damaged_tables_are_refused_by_line_and_column() {
        let good = "0\t3\t3\t0.5\t1\t1.0\n";
        for (lines, place) in [
            ("x\t3\t3\t0.5\t1\t1.0\n", "line 3, idx: `x` is not an index"),
            ("1\t-3\t3\t0.5\t1\t1.0\n", "line 3, label: `-3` is not a class"),
            ("1\t3\tcat\t0.5\t1\t1.0\n", "line 3, predict: `cat` is not a class or -1"),
            ("1\t3\t-2\t0.5\t0\t1.0\n", "line 3, predict: -2 is neither a class nor -1"),
            ("1\t3\t3\t0,5\t1\t1.0\n", "line 3, radius: `0,5` is not a radius"),
            ("1\t3\t3\t-0.5\t1\t1.0\n", "line 3, radius: -0.5 is not a radius"),
            ("1\t3\t3\tNaN\t1\t1.0\n", "line 3, radius: NaN is not a radius"),
            ("1\t3\t3\tinf\t1\t1.0\n", "line 3, radius: inf is not a radius"),
            ("1\t3\t3\t0.5\t2\t1.0\n", "line 3, correct: `2` is not 0 or 1"),
            (
                "1\t3\t3\t0.5\t0\t1.0\n",
                "line 3, correct: it is 0 for a prediction of 3 and a label of 3",
            ),
            ("1\t3\t3\t0.5\t1\tlong\n", "line 3, time: `long` is not a duration"),
            ("1\t3\t3\t0.5\t1\n", "line 3: it has 5 columns, the header has 6"),
            (
                "1\t3\t3\t0.5\t1\t1.0\n0\t3\t3\t0.5\t1\t1.0\n",
                "line 4, idx: image 0 is already on line 2",
            ),
        ] {
            let file = file(format!("{HEADER}{good}{lines}"));
            let error = Log::read(file.path()).unwrap_err();
            assert_eq!(error.to_string(), format!("{}: {place}", file.path().display()));
            assert_eq!(error.hint().as_deref(), Some(REMEDY));
        }
    }

    #[test]
    fn files_that_are_no_tables_are_refused() {
        for (content, problem) in [
            (&b""[..], "line 1: there is no column `idx`"),
            (b"idx\tlabel\tpredict\tcorrect\ttime\n", "line 1: there is no column `radius`"),
            (b"idx,label,predict,radius,correct,time\n", "line 1: there is no column `idx`"),
            (HEADER.as_bytes(), "table: it holds no certificate"),
            (
                b"idx\tlabel\tpredict\tradius\tcorrect\ttime\n\xff\t3\t3\t0.5\t1\t1\n",
                "line 2: it is not UTF-8 text",
            ),
        ] {
            let file = file(content);
            let error = Log::read(file.path()).unwrap_err();
            assert_eq!(error.to_string(), format!("{}: {problem}", file.path().display()));
        }
        let missing = Log::read(Path::new("no such folder/table.tsv")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read no such folder"), "{missing}");
    }

    #[test]
    fn our_columns_are_checked_in_full() {
        let file = file("");
        LogWriter::create(file.path()).unwrap().write(&row(0, 3, 0.5)).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        for (from, to, place) in [
            ("0.001", "little", "line 2, alpha: "),
            ("99999\t", "-1\t", "line 2, nA: "),
            ("\t0.5\t", "\tNaN\t", "line 2, radius: "),
            ("p_low", "plow", "line 2"),
        ] {
            std::fs::write(file.path(), text.replace(from, to)).unwrap();
            let error = read_rows(file.path()).unwrap_err().to_string();
            let expected = format!("{}: {place}", file.path().display());
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
