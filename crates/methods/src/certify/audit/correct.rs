//! The column `correct` says what `label` and `predict` say.

use super::subject::Subject;
use super::{Check, Seen, some};

pub(super) const CHECK: Check =
    Check { name: "correct", about: "`correct` is whether `predict` is `label`", run: check };

fn check(subject: &Subject) -> Vec<Seen> {
    let rows = subject.table.rows.iter();
    let wrong: Vec<u64> = rows
        .filter(|row| row.correct != (row.predict == i64::from(row.label)))
        .map(|row| row.idx)
        .collect();
    match wrong.len() {
        0 => vec![],
        count => vec![Seen::contradiction(format!(
            "`correct` contradicts `predict` and `label` on {count} rows ({})",
            some(&wrong)
        ))],
    }
}
