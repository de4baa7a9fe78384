//! What one attack did to one network: robust accuracy at every budget of the job, success rate,
//! distance and cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::proportion::Proportion;
use crate::record::{AttackRow, CheckRecord};

/// One attack job, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackResult {
    /// Column title without the budget.
    pub label: String,
    /// Name of the attack.
    pub attack: String,
    /// Threat model in words.
    pub threat: String,
    /// The attack minimises the distance.
    pub minimal: bool,
    /// A control, kept out of every worst case.
    pub control: bool,
    /// Hyper-parameters by their names in the paper.
    pub parameters: BTreeMap<String, String>,
    /// What the safety checks found; `None` if the attack has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<CheckRecord>,
    /// Images of the job.
    pub images: usize,
    /// Images finished. All numbers below are over these.
    pub done: usize,
    /// One entry per budget, ascending; a single entry without `eps` if the threat has none.
    pub budgets: Vec<Budget>,
    /// Median distance over the images, 0 for misclassified ones, for an attack that minimises it;
    /// `None` if it is infinite: more than half of the images resisted.
    pub median_distance: Option<f64>,
    /// Candidates that succeeded in the precision of the search and not in f32; `None` if it searched in
    /// f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<u64>,
    /// Mean cost of an image.
    pub cost: Cost,
}

/// The result at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Budget in the threat's unit.
    pub eps: Option<f64>,
    /// Column title: label and budget.
    pub title: String,
    /// Robust accuracy: share of all images that are classified correctly and were not broken.
    pub robust: Option<Proportion>,
    /// Attack success rate: share of the correctly classified images that were broken.
    pub success: Option<Proportion>,
    /// The same, where the adversarial image must survive rounding to 8 bits.
    pub success_8bit: Option<Proportion>,
}

/// Mean effort per image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Forward passes of the search.
    pub forwards: f64,
    /// Backward passes of the search.
    pub backwards: f64,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.forwards += other.forwards;
        self.backwards += other.backwards;
        self.seconds += other.seconds;
    }
}

impl AttackResult {
    /// All images of the job are done.
    pub fn finished(&self) -> bool {
        self.done == self.images
    }
}

impl Budget {
    /// The budget `eps` of the table `rows`.
    pub(super) fn of(rows: &BTreeMap<u64, AttackRow>, eps: Option<f64>, title: String) -> Self {
        let correct = || rows.values().filter(|row| row.clean_correct());
        Self {
            eps,
            title,
            robust: Proportion::of(rows.values().map(|row| row.robust(eps))),
            success: Proportion::of(correct().map(|row| !row.robust(eps))),
            success_8bit: Proportion::of(
                correct().map(|row| !row.robust(eps) && row.found_8bit == 1),
            ),
        }
    }
}

impl Cost {
    /// Means over `rows`; zeros without rows.
    pub(super) fn of(rows: &BTreeMap<u64, AttackRow>) -> Self {
        let n = rows.len().max(1) as f64;
        let mean = |value: fn(&AttackRow) -> f64| rows.values().map(value).sum::<f64>() / n;
        Self {
            forwards: mean(|row| row.forwards as f64),
            backwards: mean(|row| row.backwards as f64),
            seconds: mean(|row| row.seconds),
        }
    }
}

/// Candidates of all `rows` that f32 did not confirm; `None` if none of them was searched otherwise.
pub(super) fn unconfirmed(rows: &BTreeMap<u64, AttackRow>) -> Option<u64> {
    rows.values().filter_map(|row| row.unconfirmed).reduce(|a, b| a + b)
}

/// Median of the distances, infinite ones included; `None` if it is infinite or there are no rows.
pub(super) fn median_distance(rows: &BTreeMap<u64, AttackRow>) -> Option<f64> {
    let mut distances: Vec<f64> = rows.values().map(|row| row.distance).collect();
    distances.sort_by(f64::total_cmp);
    let upper = *distances.get(distances.len() / 2)?;
    let lower = distances[(distances.len() - 1) / 2];
    let median = if lower == upper { lower } else { f64::midpoint(lower, upper) };
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::attack_row;

    fn table(rows: &[AttackRow]) -> BTreeMap<u64, AttackRow> {
        rows.iter().map(|row| (row.idx, row.clone())).collect()
    }

    #[test]
    fn success_is_of_the_correctly_classified() {
        let mut barely = attack_row(2, true, Some(0.1));
        barely.found_8bit = 0;
        let rows = table(&[
            attack_row(0, false, None),
            attack_row(1, true, Some(0.1)),
            barely,
            attack_row(3, true, None),
        ]);
        let budget = Budget::of(&rows, Some(0.1), "pgd 0.1".into());
        let counts = |p: Option<Proportion>| p.map(|p| (p.count, p.total));
        assert_eq!(counts(budget.robust), Some((1, 4)));
        assert_eq!(counts(budget.success), Some((2, 3)));
        assert_eq!(counts(budget.success_8bit), Some((1, 3)));
        let smaller = Budget::of(&rows, Some(0.05), "pgd 0.05".into());
        assert_eq!(counts(smaller.robust), Some((3, 4)));
    }

    #[test]
    fn all_misclassified_has_no_success_rate() {
        let budget = Budget::of(&table(&[attack_row(0, false, None)]), None, "patch".into());
        assert_eq!(budget.robust.unwrap().count, 0);
        assert_eq!(budget.success, None);
    }

    #[test]
    fn medians() {
        let of = |distances: &[Option<f64>]| {
            let rows =
                (0..).zip(distances).map(|(i, d)| attack_row(i, true, *d)).collect::<Vec<_>>();
            median_distance(&table(&rows))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Some(3.0), Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(of(&[Some(1.0), Some(2.0)]), Some(1.5));
        assert_eq!(of(&[Some(1.0), None]), None);
        assert_eq!(of(&[Some(1.0), Some(2.0), None]), Some(2.0));
    }
}
