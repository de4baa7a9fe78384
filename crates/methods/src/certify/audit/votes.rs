//! A radius comes from a number of votes: nA of N. Asked backwards, it has to be a whole number. Near the
//! ceiling, where radii are far apart, few decimals pass that.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::subject::Subject;
use super::table::AuditRow;
use super::{Check, Seen, counted, some};
use crate::certify::ABSTAIN;
use crate::stats::binomial;

pub(super) const CHECK: Check =
    Check { name: "votes", about: "radii come from whole numbers of votes", run: check };

/// How far a probability bound in f64 may be from the one that a row's other columns give, relative.
const SLACK: f64 = 1e-6;

fn check(subject: &Subject) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut tell = |bad: &dyn Fn(&AuditRow) -> bool, what: &str| {
        let rows = subject.table.rows.iter().filter(|row| bad(row));
        let images: Vec<u64> = rows.map(|row| row.idx).collect();
        if !images.is_empty() {
            let count = counted(images.len(), "row", "rows");
            seen.push(Seen::contradiction(format!("on {count} {what} ({})", some(&images))));
        }
    };
    let inverse = inverse(subject, subject.claim.alpha);
    let certified = |row: &AuditRow| row.predict != ABSTAIN && row.radius.value > 0.0;
    let low_of = |row: &AuditRow| row.own.p_low.filter(|_| row.predict != ABSTAIN);
    tell(
        &|row| certified(row) && row.own.p_low.is_none() && inverse(row).is_none(),
        "no whole number of votes gives the radius",
    );
    tell(&|row| row.own.n_a.is_some_and(|n_a| n_a > subject.n(row)), "nA is more than N");
    tell(
        &|row| {
            let (Some(n_a), Some(p_low)) = (row.own.n_a, row.own.p_low) else { return false };
            let alpha = row.own.alpha.unwrap_or(subject.claim.alpha);
            let level = row.own.level.filter(|level| *level > 0.0).unwrap_or(alpha);
            p_low > 0.0 && binomial::at_least(n_a, subject.n(row), p_low) > level * (1.0 + SLACK)
        },
        "p_low is more than nA of N prove",
    );
    tell(
        &|row| {
            let Some(p_low) = low_of(row) else { return false };
            let proven = subject.theory.radius(p_low).unwrap_or(0.0);
            row.radius.value > proven * (1.0 + SLACK * SLACK)
        },
        "the radius is larger than p_low proves",
    );
    tell(
        &|row| row.predict != ABSTAIN && row.own.selected.is_some_and(|c| c != row.predict),
        "the predicted class is not the selected one",
    );
    let modest = subject.table.rows.iter().filter(|row| {
        let proven = low_of(row).and_then(|p_low| subject.theory.radius(p_low)).unwrap_or(0.0);
        row.radius.high < proven * (1.0 - SLACK * SLACK)
    });
    match modest.count() {
        0 => {}
        count => seen.push(Seen::note(format!(
            "{} smaller than p_low proves",
            counted(count, "radius is", "radii are")
        ))),
    }
    seen
}

/// Rows with a certificate whose radius is a whole number of votes under `alpha`.
pub(super) fn whole(subject: &Subject, alpha: f64) -> usize {
    let inverse = inverse(subject, alpha);
    subject.certified().filter(|row| inverse(row).is_some()).count()
}

/// The votes of a row for its class: those it tells, or the fewest that give its radius.
pub(super) fn fewest(subject: &Subject) -> impl Fn(&AuditRow) -> Option<u64> {
    let inverse = inverse(subject, subject.claim.alpha);
    move |row| match row.own.n_a {
        Some(n_a) => Some(n_a),
        None if row.predict == ABSTAIN => None,
        None => inverse(row).map(|votes| *votes.start()),
    }
}

/// Votes behind the radius of a row. A table repeats its few radii often, and each is asked once.
fn inverse(subject: &Subject, alpha: f64) -> impl Fn(&AuditRow) -> Option<RangeInclusive<u64>> {
    let mut known = HashMap::new();
    for row in subject.certified() {
        let n = subject.n(row);
        known
            .entry((row.radius.value.to_bits(), n))
            .or_insert_with(|| subject.theory.votes(row.radius, n, alpha));
    }
    let claimed = subject.claim.n;
    move |row| {
        known.get(&(row.radius.value.to_bits(), row.own.n.unwrap_or(claimed))).cloned().flatten()
    }
}
