//! One attack on one network: the rows of its jobs, in however many runs, and at which budgets they are
//! reported.

use std::collections::BTreeSet;

use super::coverage::Images;
use super::evidence::Targets;
use super::goal::UNTARGETED;
use super::method::{Method, counts};
use super::pool::Pool;
use super::table::Table;
use crate::record::{AttackRow, CheckRecord, Work};

/// An attack on a network.
#[derive(Debug)]
pub(super) struct Attacked<'a> {
    pub(super) method: &'a Method<'a>,
    pub(super) pool: Pool<'a, AttackRow>,
    /// What the safety checks of its jobs found; `None` if they have none.
    pub(super) checks: Option<CheckRecord>,
}

impl<'a> Attacked<'a> {
    /// The attack `method` on the network `model`; `None` if it is no attack or was not run on it.
    pub(super) fn new(method: &'a Method<'a>, model: usize) -> Option<Self> {
        let pool = Pool::of(&method.jobs, model, |table| match table {
            Table::Attack(rows) => Some(rows),
            _ => None,
        })?;
        let own = method.jobs.iter().filter(|job| job.model == model);
        let checks = merged(own.filter_map(|job| job.checks.as_ref()));
        Some(Self { method, pool, checks })
    }

    /// Threat model in words.
    pub(super) fn threat(&self) -> &'a str {
        match &self.method.work {
            Work::Attack { threat, .. } => threat,
            _ => "",
        }
    }

    /// What it wants.
    pub(super) fn goal(&self) -> &'a str {
        match &self.method.work {
            Work::Attack { goal, .. } => goal,
            _ => UNTARGETED,
        }
    }

    /// A control, which is in no worst case.
    pub(super) fn control(&self) -> bool {
        matches!(self.method.work, Work::Attack { control: true, .. })
    }

    /// It is part of the overall worst case: neither a control nor targeted, and with a budget.
    pub(super) fn counts(&self) -> bool {
        counts(&self.method.work) && !self.budgets().is_empty()
    }

    /// The budgets of its columns, ascending; a minimal attack without budgets has none.
    pub(super) fn budgets(&self) -> Vec<Option<f64>> {
        match &self.method.work {
            Work::Attack { eps, minimal, .. } => budgets(eps, *minimal),
            _ => vec![],
        }
    }

    /// The images of a finished job.
    pub(super) fn covered(&self) -> &Images<'a> {
        &self.pool.covered
    }

    /// The classes that it aims at; `None` if it is untargeted.
    pub(super) fn targets(&self) -> Option<Targets<'a>> {
        let aims = |rows: &Vec<&AttackRow>| -> BTreeSet<u32> {
            rows.iter().filter_map(|row| row.target).collect()
        };
        let all = || self.pool.rows.iter().map(|(key, rows)| (*key, aims(rows))).collect();
        (self.goal() != UNTARGETED).then(all)
    }

    /// The images that it does not attack because their label is the target.
    pub(super) fn left_out(&self) -> Images<'a> {
        let own = |rows: &[&AttackRow]| rows.iter().all(|row| row.target == Some(row.label));
        self.pool.rows.iter().filter(|(_, rows)| own(rows)).map(|(key, _)| *key).collect()
    }
}

/// Budgets of an attack's columns; a minimal attack without budgets has none.
pub(super) fn budgets(eps: &[f64], minimal: bool) -> Vec<Option<f64>> {
    match eps {
        [] if minimal => vec![],
        [] => vec![None],
        eps => eps.iter().copied().map(Some).collect(),
    }
}

/// All findings of several jobs, each once.
fn merged<'a>(records: impl Iterator<Item = &'a CheckRecord>) -> Option<CheckRecord> {
    records.cloned().reduce(|mut all, other| {
        if all != other {
            all.images = all.images.max(other.images);
            all.findings.extend(other.findings);
            all.findings.sort_by(|a, b| (&a.check, &a.seen).cmp(&(&b.check, &b.seen)));
            all.findings.dedup();
        }
        all
    })
}
