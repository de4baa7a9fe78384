//! The safety checks of one job and their record: looked for once, kept beside the job's table, told
//! again by every run that resumes the job.

use std::path::Path;

use super::row::AttackRow;
use crate::attack::check::{IMAGES, after, before, misleads, wanted};
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
    /// `None` for an attack without checks.
    record: Option<CheckRecord>,
}

impl<'a> JobChecks<'a> {
    /// Looks for what is to be known before the attack. A job that has `rows` already keeps the record
    /// that was made when it began.
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
        if !wanted(attack) {
            return Ok(Self { table, key, attack, record: None });
        }
        let kept = if rows.is_empty() { None } else { CheckRecord::read(table, key)? };
        let record = match kept {
            Some(record) => record,
            None => {
                let first: Vec<usize> = (0..data.info().len.min(IMAGES)).collect();
                let findings = before(attack, model, &data.read(&first)?, request, batch)?;
                let images = first.len();
                let record = CheckRecord { format_version: FORMAT_VERSION, images, findings };
                record.write(table, key)?;
                record
            }
        };
        Ok(Self { table, key, attack, record: Some(record) })
    }

    /// What is known so far.
    pub(super) fn findings(&self) -> &[Finding] {
        self.record.as_ref().map_or(&[], |record| &record.findings)
    }

    /// One of them says that gradients mislead.
    pub(super) fn gradients_mislead(&self) -> bool {
        self.findings().iter().any(|finding| misleads(&finding.check))
    }

    /// Looks at the `rows` of the finished job; returns what was not known before.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn after(&mut self, rows: &[AttackRow]) -> Result<Vec<Finding>> {
        let by: Vec<&str> = rows.iter().map(|row| row.by.as_str()).collect();
        self.add(after(self.attack, &by))
    }

    /// Records findings; returns those that were not known before.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub(super) fn add(&mut self, mut new: Vec<Finding>) -> Result<Vec<Finding>> {
        let Some(record) = &mut self.record else { return Ok(Vec::new()) };
        new.retain(|finding| !record.findings.contains(finding));
        if !new.is_empty() {
            record.findings.extend(new.iter().cloned());
            record.write(self.table, self.key)?;
        }
        Ok(new)
    }
}
