//! Rows that were computed by another caller than a run, as those of a job: they go through the same journal, with
//! the same record of safety checks and the same file of adversarial images beside it.

use std::collections::HashMap;
use std::path::Path;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::row::AttackRow;
use crate::attack::{Configured, Outcome};
use crate::error::{Error, Result};
use crate::record::{Finding, JobRecord};
use crate::work::journal::Journal;

/// What an attack left of its images, for `keep`.
pub struct AttackedImages<'a> {
    /// A row per image.
    pub rows: &'a [AttackRow],
    /// The adversarial images, row by row and without gaps; `None` if they are not to be kept.
    pub images: Option<&'a [f32]>,
    /// `[C, H, W]` of an image.
    pub shape: [usize; 3],
    /// The attack that left it.
    pub attack: &'a Configured,
    /// How many images the safety checks before the attack have looked at; 0 if none were made.
    pub looked: usize,
    /// What they have seen. Those after the attack look at the rows of the table.
    pub findings: &'a [Finding],
}

/// Adds to the table of `job` in `folder` the rows that it does not have.
///
/// # Errors
/// If a file cannot be written, or the table has a row of another image, or one that says something else.
pub(crate) fn keep(folder: &Path, job: &JobRecord, kept: &AttackedImages<'_>) -> Result<()> {
    let path = folder.join(&job.file);
    let (mut journal, mut rows) = Journal::open::<AttackRow>(&path, &job.key)?;
    let known: HashMap<u64, &AttackRow> = rows.iter().map(|row| (row.idx, row)).collect();
    let other = |row: &&AttackRow| {
        known.get(&row.idx).is_some_and(|known| {
            (&known.image, &known.adversarial) != (&row.image, &row.adversarial)
        })
    };
    if let Some(row) = kept.rows.iter().find(other) {
        return Err(Error::file(
            path,
            format!("image {}", row.idx),
            "the row that is there is about other pixels, or has another adversarial image",
            "choose another folder, or give the data or the model another name",
        ));
    }
    let is_new: Vec<bool> = kept.rows.iter().map(|row| !known.contains_key(&row.idx)).collect();
    let place = (path.as_path(), job.key.as_str());
    let mut checks = JobChecks::elsewhere(place, kept.attack, &rows, kept.looked, kept.findings)?;
    let new: Vec<AttackRow> = kept
        .rows
        .iter()
        .zip(&is_new)
        .filter(|(_, new)| **new)
        .map(|(row, _)| row.clone().in_table_of(&rows))
        .collect();
    let mut file = match kept.images {
        Some(_) => AdversarialImages::open(&path, job, kept.shape, &rows)?,
        None => None,
    };
    if let Some(file) = &file
        && file.len() < rows.len()
    {
        return Err(Error::file(
            path,
            "adversarial images",
            "those of the rows that are there already were not kept",
            "choose another folder, or leave the images out",
        ));
    }
    rows.extend(new.iter().cloned());
    if let (Some(file), Some(images)) = (&mut file, kept.images) {
        let size = kept.shape.iter().product::<usize>().max(1);
        let own = kept.rows.iter().zip(images.chunks_exact(size)).zip(&is_new);
        let outcomes: Vec<Outcome> = own
            .filter(|(_, new)| **new)
            .map(|((row, image), _)| {
                Outcome::untouched(row.idx, row.label, row.clean, image.to_vec())
            })
            .collect();
        file.append(&outcomes, &rows)?;
    }
    journal.append(&new)?;
    journal.sync()?;
    if let Some(file) = file {
        file.finish(&rows)?;
    }
    checks.after(&rows)?;
    Ok(())
}
