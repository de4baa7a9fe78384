//! Our tables say sigma, N and alpha on every row: the same ones, and those that are claimed.

use super::subject::Subject;
use super::table::AuditRow;
use super::{Check, Seen, short, some};

pub(super) const CHECK: Check = Check {
    name: "columns",
    about: "sigma, N and alpha of the rows are those that are claimed",
    run: check,
};

fn check(subject: &Subject) -> Vec<Seen> {
    let claim = &subject.claim;
    let mut seen = Vec::new();
    let mut differs =
        |name: &str, claimed: f64, of: &dyn Fn(&AuditRow) -> Option<f64>, bad: Bad| {
            let rows = subject.table.rows.iter();
            let others: Vec<(u64, f64)> = rows
                .filter_map(|row| Some((row.idx, of(row)?)))
                .filter(|(_, value)| bad(*value, claimed))
                .collect();
            if let Some((_, value)) = others.first() {
                let images: Vec<u64> = others.iter().map(|(idx, _)| *idx).collect();
                seen.push(Seen::contradiction(format!(
                    "{name} is {} on {} of {} rows ({}), {} is claimed",
                    short(*value),
                    others.len(),
                    subject.table.rows.len(),
                    some(&images),
                    short(claimed),
                )));
            }
        };
    differs("sigma", claim.sigma, &|row| row.own.sigma, |a, b| a != b);
    differs("alpha", claim.alpha, &|row| row.own.alpha, |a, b| a != b);
    differs("the level", claim.alpha, &|row| row.own.level, |a, b| a > b);
    differs("N", claim.n as f64, &|row| row.own.n.map(|n| n as f64), |a, b| a > b);
    let fewer = subject.table.rows.iter().filter(|r| r.own.n.is_some_and(|n| n < claim.n)).count();
    if fewer > 0 {
        let least = subject.table.rows.iter().filter_map(|row| row.own.n).min().unwrap_or(0);
        seen.push(Seen::note(format!(
            "{fewer} of {} rows rest on fewer samples than the {} claimed, down to {least}",
            subject.table.rows.len(),
            claim.n,
        )));
    }
    seen
}

/// Whether a row's value contradicts the claimed one.
type Bad = fn(f64, f64) -> bool;
