//! An abstention proves nothing, and what proves nothing abstains.

use super::subject::Subject;
use super::table::AuditRow;
use super::{Check, Seen, some};
use crate::certify::ABSTAIN;

pub(super) const CHECK: Check =
    Check { name: "abstentions", about: "abstentions have radius 0, and only they", run: check };

fn check(subject: &Subject) -> Vec<Seen> {
    let images = |bad: &dyn Fn(&&AuditRow) -> bool| -> Vec<u64> {
        subject.table.rows.iter().filter(bad).map(|row| row.idx).collect()
    };
    let mut seen = Vec::new();
    let radius = images(&|row| row.predict == ABSTAIN && row.radius.value > 0.0);
    if !radius.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} abstentions have a radius ({})",
            radius.len(),
            some(&radius)
        )));
    }
    let unknown = images(&|row| row.predict < ABSTAIN);
    if !unknown.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} predictions are neither a class nor -1 ({})",
            unknown.len(),
            some(&unknown)
        )));
    }
    // Half of the votes and a little more prove a radius that may be printed as 0; half do not.
    let zero = images(&|row| {
        row.predict > ABSTAIN
            && row.radius.value == 0.0
            && subject.theory.votes(row.radius, subject.n(row), subject.claim.alpha).is_none()
    });
    if !zero.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} predictions have radius 0, where no number of votes does anything but abstain ({})",
            zero.len(),
            some(&zero)
        )));
    }
    seen
}
