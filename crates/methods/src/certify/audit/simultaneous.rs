//! Certified accuracy that holds for all images of a table at once. A certificate is wrong with
//! probability at most alpha, so among many some are; here alpha is the chance that *any* certificate
//! that is counted is wrong. That an image's radius is smaller than r is a hypothesis, its votes give a
//! p-value, and Bonferroni or Holm say how many can be rejected together.

use serde::Serialize;

use super::subject::Subject;
use super::table::AuditRow;
use super::votes;
use crate::certify::mode::Mode;
use crate::stats::holm;

/// Certified accuracy at one radius, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Simultaneous {
    /// Where every image is certified at alpha over the number of images.
    pub bonferroni: f64,
    /// By Holm's procedure, which never counts fewer.
    pub holm: f64,
}

/// The shares at each of `radii`.
pub(super) fn shares(subject: &Subject, radii: &[f64]) -> Vec<Simultaneous> {
    let votes = votes::fewest(subject);
    let at = |radius: &f64| share(subject, *radius, &votes);
    radii.iter().map(at).collect()
}

fn share(subject: &Subject, radius: f64, votes: &dyn Fn(&AuditRow) -> Option<u64>) -> Simultaneous {
    let rows = &subject.table.rows;
    let target = subject.theory.probability(radius);
    let p_values: Vec<f64> = rows
        .iter()
        .map(|row| votes(row).map_or(1.0, |n_a| p_value(subject, row, n_a, target)))
        .collect();
    let images = rows.len() as f64;
    let counted = |adjusted: &[f64]| {
        let holds = |(row, p): &(&AuditRow, &f64)| {
            row.predict == i64::from(row.label) && **p <= subject.claim.alpha
        };
        rows.iter().zip(adjusted).filter(holds).count() as f64 / images
    };
    let bonferroni: Vec<f64> = p_values.iter().map(|p| p * images).collect();
    Simultaneous { bonferroni: counted(&bonferroni), holm: counted(&holm::adjust(&p_values)) }
}

/// The smallest alpha at which the row's mode would have proved `target` by these votes: the level of
/// the look at which the image ended, times alpha's share in it.
fn p_value(subject: &Subject, row: &AuditRow, n_a: u64, target: f64) -> f64 {
    let mode = row.own.mode.unwrap_or(Mode::COHEN);
    let alpha = row.own.alpha.unwrap_or(subject.claim.alpha);
    let looks = row.own.level.filter(|level| *level > 0.0).map_or(1.0, |level| alpha / level);
    (looks.max(1.0) * mode.p_value(n_a, subject.n(row), target)).min(1.0)
}
