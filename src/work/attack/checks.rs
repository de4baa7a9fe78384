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
        let kept = if rows.is_empty() { None } else { CheckRecord::read(table, key)? };
        let first: Vec<usize> = (0..data.info().len.min(IMAGES)).collect();
        let images = first.len();
        let record = match kept {
            Some(record) if record.images >= images => record,
            kept => {
                let mut findings = before(attack, model, &data.read(&first)?, request, batch)?;
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
        // An image whose label is the target was not attacked.
        let aimed = rows.iter().filter(|row| row.target != Some(row.label));
        let by: Vec<&str> = aimed.map(|row| row.by.as_str()).collect();
        let found = after(self.attack, &by);
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
