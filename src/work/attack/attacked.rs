//! One attack on one network: the rows of its jobs, in however many runs, and at which budgets they are
//! reported.

use std::collections::BTreeSet;

use super::evidence::Targets;
use super::goal::UNTARGETED;
use super::row::AttackRow;
use crate::record::{CheckRecord, Work};
use crate::results::Images;
use crate::work::method::Method;
use crate::work::pool::Pool;

/// An attack on a network.
#[derive(Debug)]
pub(crate) struct Attacked<'a> {
    pub(crate) method: &'a Method<'a>,
    pub(crate) pool: Pool<'a, AttackRow>,
    /// What the safety checks of its jobs found; `None` if they have none.
    pub(crate) checks: Option<CheckRecord>,
}

impl<'a> Attacked<'a> {
    /// The attack `method` on the network `model`; `None` if it is no attack or was not run on it.
    pub(crate) fn new(method: &'a Method<'a>, model: usize) -> Option<Self> {
        let pool = Pool::of(&method.jobs, model)?;
        let own = method.jobs.iter().filter(|job| job.model == model);
        let checks = merged(own.filter_map(|job| job.checks.as_ref()));
        Some(Self { method, pool, checks })
    }

    /// Threat model in words.
    pub(crate) fn threat(&self) -> &'a str {
        &self.method.work.threat
    }

    /// The goal of the attacker.
    pub(crate) fn goal(&self) -> &'a str {
        self.method.work.fact("goal")
    }

    /// A control, which is in no worst case.
    pub(crate) fn is_control(&self) -> bool {
        self.method.work.is("control")
    }

    /// It is part of the overall worst case: neither a control nor targeted, and with a budget.
    pub(crate) fn counts(&self) -> bool {
        counts(&self.method.work) && !self.budgets().is_empty()
    }

    /// The budgets of its columns, ascending; a minimal attack without budgets has none.
    pub(crate) fn budgets(&self) -> Vec<Option<f64>> {
        budgets(&self.method.work)
    }

    /// The images of a finished job.
    pub(crate) fn covered(&self) -> &Images<'a> {
        &self.pool.covered
    }

    /// The classes that it aims at; `None` if it is untargeted.
    pub(crate) fn targets(&self) -> Option<Targets<'a>> {
        let aims = |rows: &Vec<&AttackRow>| -> BTreeSet<u32> {
            rows.iter().filter_map(|row| row.target).collect()
        };
        let all = || self.pool.rows.iter().map(|(key, rows)| (*key, aims(rows))).collect();
        (self.goal() != UNTARGETED).then(all)
    }

    /// The images that it does not attack because their label is the target.
    pub(crate) fn left_out(&self) -> Images<'a> {
        let own = |rows: &[&AttackRow]| rows.iter().all(|row| row.target == Some(row.label));
        self.pool.rows.iter().filter(|(_, rows)| own(rows)).map(|(key, _)| *key).collect()
    }
}

/// The work is an attack that a worst case is taken over: neither a control nor targeted.
pub(crate) fn counts(work: &Work) -> bool {
    work.kind == super::NAME && !work.is("control") && work.fact("goal") == UNTARGETED
}

/// Budgets of an attack's columns; a minimal attack without budgets has none.
pub(crate) fn budgets(work: &Work) -> Vec<Option<f64>> {
    match work.eps.as_slice() {
        [] if work.is("minimal") => vec![],
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
