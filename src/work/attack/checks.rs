//! The safety checks of one job and their record: looked for once, kept beside the job's table, told
//! again by every run that resumes the job.

use std::path::Path;

use super::row::AttackRow;
use crate::attack::check::{IMAGES, after, before, looks_after, looks_before, misleads};
use crate::attack::{Configured, Request};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::Classifier;
use crate::record::{CheckRecord, FORMAT_VERSION, Finding};

/// What the checks after `attack` see in the `rows` of all its images.
pub fn seen_after(attack: &Configured, rows: &[AttackRow]) -> Vec<Finding> {
    // An image whose label is the target was not attacked.
    let aimed = rows.iter().filter(|row| row.target != Some(row.label));
    let by: Vec<&str> = aimed.map(|row| row.by.as_str()).collect();
    after(attack, &by)
}

/// The checks of one attack job.
pub(super) struct JobChecks<'a> {
    table: &'a Path,
    key: &'a str,
    attack: &'a Configured,
    record: CheckRecord,
}

impl<'a> JobChecks<'a> {
    /// Looks for what is to be known before the attack. A job that has `rows` already keeps the record
    /// that was made when it began, unless it has become one of more images to look at.
    ///
    /// # Errors
    /// If the data, the network or the record fails.
    pub(super) fn before(
        (table, key): (&'a Path, &'a str),
        (attack, request): (&'a Configured, &Request),
        model: &dyn Classifier,
        data: &dyn Dataset,
        rows: &[AttackRow],
        batch: usize,
    ) -> Result<Self> {
        let first: Vec<usize> = (0..data.info().len.min(IMAGES)).collect();
        Self::begin((table, key), attack, rows, first.len(), || {
            before(attack, model, &data.read(&first)?, request, batch)
        })
    }

    /// As [`Self::before`] for an attack that was run elsewhere, where `images` images were looked at and `seen` is what
    /// was seen of them.
    ///
    /// # Errors
    /// If the record fails.
    pub(super) fn elsewhere(
        place: (&'a Path, &'a str),
        attack: &'a Configured,
        rows: &[AttackRow],
        images: usize,
        seen: &[Finding],
    ) -> Result<Self> {
        Self::begin(place, attack, rows, images, || {
            Ok(seen.iter().filter(|finding| looks_before(&finding.check)).cloned().collect())
        })
    }

    /// The record of a job with these `rows`, `images` of whose images `look` looks at if no more were looked at
    /// already.
    fn begin(
        (table, key): (&'a Path, &'a str),
        attack: &'a Configured,
        rows: &[AttackRow],
        images: usize,
        look: impl FnOnce() -> Result<Vec<Finding>>,
    ) -> Result<Self> {
        let kept = if rows.is_empty() { None } else { CheckRecord::read(table, key)? };
        let record = match kept {
            Some(record) if record.images >= images => record,
            kept => {
                let mut findings = look()?;
                let others = kept.into_iter().flat_map(|record| record.findings);
                findings.extend(others.filter(|finding| !looks_before(&finding.check)));
                let record = CheckRecord { format_version: FORMAT_VERSION, images, findings };
                record.write(table, key)?;
                record
            }
        };
        Ok(Self { table, key, attack, record })
    }

    /// What is known so far.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.record.findings
    }

    /// One of them says that gradients mislead.
    pub(super) fn gradients_mislead(&self) -> bool {
        self.findings().iter().any(|finding| misleads(&finding.check))
    }

    /// Looks at the `rows` of the finished job; returns what was not known before. What was seen when it had fewer
    /// rows is forgotten.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn after(&mut self, rows: &[AttackRow]) -> Result<Vec<Finding>> {
        let found = seen_after(self.attack, rows);
        let outdated = |f: &Finding| looks_after(&f.check) && !found.contains(f);
        if self.record.findings.iter().any(outdated) {
            self.record.findings.retain(|finding| !outdated(finding));
            self.record.write(self.table, self.key)?;
        }
        self.add(found)
    }

    /// Records findings; returns those that were not known before.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn add(&mut self, mut new: Vec<Finding>) -> Result<Vec<Finding>> {
        let record = &mut self.record;
        new.retain(|finding| !record.findings.contains(finding));
        if !new.is_empty() {
            record.findings.extend(new.iter().cloned());
            record.write(self.table, self.key)?;
        }
        Ok(new)
    }
}
