//! Reads the table of one job. The table is also the runner's journal, so it may be missing, short,
//! or end in the middle of a line; all of these say that the job is unfinished, nothing else does.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::record::{AttackRow, BoundRow, CertificateRow, JobRecord, PatchRow, Row, Work};

/// The rows of a job by image index.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Table {
    /// Of an attack.
    Attack(BTreeMap<u64, AttackRow>),
    /// Of a certificate.
    Certificate(BTreeMap<u64, CertificateRow>),
    /// Of a certificate against patches.
    Patch(BTreeMap<u64, PatchRow>),
    /// Of bounds.
    Bound(BTreeMap<u64, BoundRow>),
}

impl Table {
    /// Reads the table of `job` in the run folder `folder`; `sha256` is of the job's model. A missing
    /// file is a table without rows.
    ///
    /// # Errors
    /// If a complete line is not a row of this kind of job, an image appears twice, there are more
    /// rows than the job has images, or the rows belong to another model.
    pub(super) fn read(folder: &Path, job: &JobRecord, sha256: &str) -> Result<Self> {
        let path = folder.join(&job.file);
        let table = match &job.work {
            Work::Attack { .. } => Self::Attack(rows::<AttackRow>(&path, b',')?),
            Work::Certificate { .. } => {
                let rows = rows::<CertificateRow>(&path, b'\t')?;
                of_model(&path, sha256, rows.values().map(|r| (r.idx, r.model.as_str())))?;
                Self::Certificate(rows)
            }
            Work::PatchCertificate { .. } => {
                let rows = rows::<PatchRow>(&path, b'\t')?;
                of_model(&path, sha256, rows.values().map(|r| (r.idx, r.model.as_str())))?;
                Self::Patch(rows)
            }
            Work::Bound { .. } => {
                let rows = rows::<BoundRow>(&path, b'\t')?;
                of_model(&path, sha256, rows.values().map(|r| (r.idx, r.model.as_str())))?;
                Self::Bound(rows)
            }
        };
        if table.len() > job.images {
            return Err(Error::file(
                &path,
                "rows",
                format!("{} for a job of {} images", table.len(), job.images),
                "run.toml and the table are of different runs: run the job again",
            ));
        }
        Ok(table)
    }

    /// Number of rows: images done.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Attack(rows) => rows.len(),
            Self::Certificate(rows) => rows.len(),
            Self::Patch(rows) => rows.len(),
            Self::Bound(rows) => rows.len(),
        }
    }
}

/// Makes sure that every row, an image and the start of a hash, is of the model.
fn of_model<'a>(
    path: &Path,
    sha256: &str,
    mut rows: impl Iterator<Item = (u64, &'a str)>,
) -> Result<()> {
    match rows.find(|(_, model)| !sha256.starts_with(model)) {
        None => Ok(()),
        Some((image, model)) => Err(Error::file(
            path,
            format!("image {image}: model"),
            format!("{model} is not the start of {sha256}"),
            "the table is of another weight file: delete it and run the job again",
        )),
    }
}

/// The complete lines of the delimited file `path`, by image.
fn rows<T: Row>(path: &Path, delimiter: u8) -> Result<BTreeMap<u64, T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    // A writer that was killed leaves half a line: only what a line feed closes was written whole.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(&bytes[..whole]);
    let mut rows = BTreeMap::new();
    for (number, row) in reader.deserialize::<T>().enumerate() {
        let field = || format!("row {}", number + 1);
        let remedy = "delete the line: the run computes it again";
        let row = row.map_err(|e| Error::file(path, field(), e.to_string(), remedy))?;
        let index = row.idx();
        if rows.insert(index, row).is_some() {
            let problem = format!("image {index} appears a second time");
            return Err(Error::file(path, field(), problem, remedy));
        }
    }
    Ok(rows)
}
