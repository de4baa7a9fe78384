//! What the checks look at.

use super::claim::Claim;
use super::labels::Labels;
use super::source::Source;
use super::table::{AuditRow, Table};
use super::theory::Theory;
use crate::certify::ABSTAIN;
use crate::error::Result;

/// A table, what it claims, and what there is to hold against it.
pub(super) struct Subject {
    pub(super) table: Table,
    pub(super) claim: Claim,
    pub(super) theory: Theory,
    /// Images that the run was to certify, if there is a run.
    pub(super) images: Option<usize>,
    /// Radii that the run reports.
    pub(super) radii: Vec<f64>,
    pub(super) labels: Option<Labels>,
}

impl Subject {
    pub(super) fn new(
        table: Table,
        claim: Claim,
        source: Option<&Source>,
        labels: Option<Labels>,
    ) -> Result<Self> {
        // Only a run can be about a norm that asks for the shape.
        let shape = source.map_or([1, 1, 1], |source| source.shape);
        Ok(Self {
            theory: Theory::new(claim.family, claim.of, claim.sigma, shape)?,
            images: source.map(|source| source.images),
            radii: source.map(|source| source.radii.clone()).unwrap_or_default(),
            table,
            claim,
            labels,
        })
    }

    /// Rows with a certificate.
    pub(super) fn certified(&self) -> impl Iterator<Item = &AuditRow> {
        self.table.rows.iter().filter(|row| row.predict != ABSTAIN)
    }

    /// N of a row: what it says it drew, or the claim.
    pub(super) fn n(&self, row: &AuditRow) -> u64 {
        row.own.n.unwrap_or(self.claim.n)
    }

    /// The largest printed radius, 0 if there is none.
    pub(super) fn largest(&self) -> f64 {
        self.table.rows.iter().map(|row| row.radius.value).fold(0.0, f64::max)
    }
}
