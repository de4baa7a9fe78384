//! Radii rounded to nearest are rounded up half of the time, and then more is printed than was proven.
//! It shows at the ceiling.

use super::subject::Subject;
use super::{Check, Seen, counted, down};

pub(super) const CHECK: Check =
    Check { name: "rounding", about: "no radius is rounded above the ceiling", run: check };

fn check(subject: &Subject) -> Vec<Seen> {
    let claim = &subject.claim;
    let Some(ceiling) = subject.theory.ceiling(claim.n, claim.alpha) else { return vec![] };
    let (mut rows, mut largest) = (0, 0.0f64);
    for row in subject.certified() {
        if row.radius.value > ceiling * (1.0 + 1e-9) && row.radius.low <= ceiling {
            rows += 1;
            largest = largest.max(row.radius.value);
        }
    }
    match rows {
        0 => vec![],
        rows => vec![Seen::note(format!(
            "{} printed as {largest}, though at most {} was proven: the table rounds to nearest, not down",
            counted(rows, "radius is", "radii are"),
            down(ceiling),
        ))],
    }
}
