//! The table of one job, by image: what [`crate::record`] reads, checked against the job it belongs to.

use std::path::Path;

use super::image_key::{ImageKey, Rows, keyed};
use crate::error::{Error, Result};
use crate::record::{
    AttackRow, BoundRow, CertificateRow, CheckRecord, JobRecord, PatchRow, Row, Work, read_table,
};

/// The rows of a job by image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Table {
    /// Of an attack.
    Attack(Rows<AttackRow>),
    /// Of a certificate.
    Certificate(Rows<CertificateRow>),
    /// Of a certificate against patches.
    Patch(Rows<PatchRow>),
    /// Of bounds.
    Bound(Rows<BoundRow>),
}

impl Table {
    /// Reads the table of `job` in the run folder `folder`; `identity` is of the job's model. A missing
    /// file is a table without rows.
    ///
    /// # Errors
    /// If the table was changed, cut, or is of another job or another model.
    pub(super) fn read(folder: &Path, job: &JobRecord, identity: &str) -> Result<Self> {
        let path = folder.join(&job.file);
        let table = match &job.work {
            Work::Attack { .. } => Self::Attack(keyed(read_table(&path, &job.key)?.rows)),
            Work::Certificate { .. } => {
                let rows = read_table::<CertificateRow>(&path, &job.key)?.rows;
                of_model(&path, identity, rows.iter().map(|r| (r.idx, r.model.as_str())))?;
                Self::Certificate(keyed(rows))
            }
            Work::PatchCertificate { .. } => {
                let rows = read_table::<PatchRow>(&path, &job.key)?.rows;
                of_model(&path, identity, rows.iter().map(|r| (r.idx, r.model.as_str())))?;
                Self::Patch(keyed(rows))
            }
            Work::Bound { .. } => {
                let rows = read_table::<BoundRow>(&path, &job.key)?.rows;
                of_model(&path, identity, rows.iter().map(|r| (r.idx, r.model.as_str())))?;
                Self::Bound(keyed(rows))
            }
        };
        let (rows, images) = (table.len(), job.images);
        if rows > images {
            return Err(Error::file(
                &path,
                "rows",
                format!("{rows} for a job of {images} images"),
                "run.toml and the table are of different runs: run the job again",
            ));
        }
        if job.finished && rows < images {
            return Err(Error::file(
                &path,
                "rows",
                format!("{rows} of {images}, and the job had finished: the table was cut"),
                "copy the table from a backup, or delete it and run the suite again",
            ));
        }
        Ok(table)
    }

    /// Reads what the safety checks of `job` found, whose table this is; `None` if it has none.
    ///
    /// # Errors
    /// If the record was changed, or is missing beside the rows of a job that was checked.
    pub(super) fn checks(&self, folder: &Path, job: &JobRecord) -> Result<Option<CheckRecord>> {
        let table = folder.join(&job.file);
        let checks = CheckRecord::read(&table, &job.key)?;
        if checks.is_none() && job.checked && self.len() > 0 {
            return Err(Error::file(
                CheckRecord::path(&table),
                "record of the checks",
                "it is missing, and the table beside it has rows",
                "copy the file from a backup, or delete the table and run the suite again",
            ));
        }
        Ok(checks)
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

    /// The images with their indices.
    pub(super) fn images(&self) -> Vec<(&ImageKey, u64)> {
        fn all<R: Row>(rows: &Rows<R>) -> Vec<(&ImageKey, u64)> {
            rows.iter().map(|(key, row)| (key, row.idx())).collect()
        }
        match self {
            Self::Attack(rows) => all(rows),
            Self::Certificate(rows) => all(rows),
            Self::Patch(rows) => all(rows),
            Self::Bound(rows) => all(rows),
        }
    }
}

/// Makes sure that every row, an image and the start of an identity, is of the model.
fn of_model<'a>(
    path: &Path,
    identity: &str,
    mut rows: impl Iterator<Item = (u64, &'a str)>,
) -> Result<()> {
    match rows.find(|(_, model)| !identity.starts_with(model)) {
        None => Ok(()),
        Some((image, model)) => Err(Error::file(
            path,
            format!("image {image}: model"),
            format!("{model} is not the start of {identity}"),
            "the table is of another network: delete it and run the job again",
        )),
    }
}
