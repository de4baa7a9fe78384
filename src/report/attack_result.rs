//! What one attack did to one network: robust accuracy at every budget of the job, success rate,
//! distance and cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attacked::Attacked;
use super::coverage::ImageSet;
use super::pool::Pool;
use super::proportion::Proportion;
use super::region::Region;
use crate::record::{AttackRow, CheckRecord, Work};

/// One attack on one network, summed up over its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackResult {
    /// Column title without the budget.
    pub label: String,
    /// Name of the attack.
    pub attack: String,
    /// Threat model in words.
    pub threat: String,
    /// What it wants: `untargeted`, or the rule or class of its targets.
    pub goal: String,
    /// The attack minimises the distance.
    pub minimal: bool,
    /// A control, kept out of every worst case.
    pub control: bool,
    /// Hyper-parameters by their names in the paper.
    pub parameters: BTreeMap<String, String>,
    /// What the safety checks found; `None` if the attack has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<CheckRecord>,
    /// Images of its finished jobs, or of the one that is furthest.
    pub images: usize,
    /// Images finished.
    pub done: usize,
    /// The images that all numbers below are over; a targeted attack leaves out those of its targets.
    pub image_set: Option<ImageSet>,
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
    /// The attack `of` on one network, summed up; `None` if it is none.
    pub(super) fn of(of: &Attacked<'_>) -> Option<Self> {
        let Work::Attack { label, attack, threat, minimal, control, goal, parameters, .. } =
            &of.method.work
        else {
            return None;
        };
        let (done, images) = of.pool.progress;
        let budget = |eps| Budget::of(of, eps, of.method.title(eps));
        Some(Self {
            label: label.clone(),
            attack: attack.clone(),
            threat: threat.clone(),
            goal: goal.clone(),
            minimal: *minimal,
            control: *control,
            parameters: parameters.clone(),
            checks: of.checks.clone(),
            images,
            done,
            image_set: of.pool.images(),
            budgets: of.budgets().into_iter().map(budget).collect(),
            median_distance: minimal.then(|| median_distance(&of.pool)).flatten(),
            unconfirmed: rows(&of.pool).filter_map(|row| row.unconfirmed).reduce(|a, b| a + b),
            cost: Cost::of(&of.pool),
        })
    }

    /// All images are done.
    pub fn finished(&self) -> bool {
        self.done >= self.images
    }
}

impl Budget {
    /// The attack `of` at the budget `eps`: its own result, whatever others found.
    fn of(of: &Attacked<'_>, eps: Option<f64>, title: String) -> Self {
        let region = Region::new(of.threat(), eps);
        let breaks = |row: &AttackRow| {
            let wanted = row.target.is_none_or(|target| row.prediction == target);
            row.adversarial() && wanted && region.holds(row)
        };
        let left_out = of.left_out();
        let images: Vec<&[&AttackRow]> = of
            .covered()
            .difference(&left_out)
            .filter_map(|key| of.pool.rows.get(key))
            .map(Vec::as_slice)
            .collect();
        let is_correct = |rows: &[&AttackRow]| rows.iter().all(|row| row.clean_correct());
        let correct = || images.iter().filter(|rows| is_correct(rows));
        let broken = |rows: &[&AttackRow]| rows.iter().any(|row| breaks(row));
        let rounded =
            |rows: &[&AttackRow]| rows.iter().any(|row| breaks(row) && row.found_8bit == 1);
        Self {
            eps,
            title,
            robust: Proportion::of(images.iter().map(|rows| is_correct(rows) && !broken(rows))),
            success: Proportion::of(correct().map(|rows| broken(rows))),
            success_8bit: Proportion::of(correct().map(|rows| rounded(rows))),
        }
    }
}

impl Cost {
    /// All that was spent on the images, over their number; zeros without rows.
    fn of(pool: &Pool<'_, AttackRow>) -> Self {
        let n = pool.rows.len().max(1) as f64;
        let mean = |value: fn(&AttackRow) -> f64| rows(pool).map(value).sum::<f64>() / n;
        Self {
            forwards: mean(|row| row.forwards as f64),
            backwards: mean(|row| row.backwards as f64),
            seconds: mean(|row| row.seconds),
        }
    }
}

fn rows<'b>(pool: &'b Pool<'_, AttackRow>) -> impl Iterator<Item = &'b AttackRow> {
    pool.rows.values().flatten().copied()
}

/// Median over the covered images of the smallest distance, infinite ones included; `None` if it is
/// infinite or there are no rows.
fn median_distance(pool: &Pool<'_, AttackRow>) -> Option<f64> {
    let of = |rows: &Vec<&AttackRow>| rows.iter().map(|row| row.distance).min_by(f64::total_cmp);
    let covered = pool.covered.iter().filter_map(|key| pool.rows.get(key));
    let mut distances: Vec<f64> = covered.filter_map(of).collect();
    distances.sort_by(f64::total_cmp);
    let upper = *distances.get(distances.len() / 2)?;
    let lower = distances[(distances.len() - 1) / 2];
    let median = if lower == upper { lower } else { f64::midpoint(lower, upper) };
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use crate::report::fixture::{Fixture, attack, attack_row};
    use crate::report::{AttackResult, Leaderboard, Proportion};

    /// The only attack of a run of these rows.
    fn result(
        label: &str,
        threat: &str,
        eps: &[f64],
        rows: &[crate::record::AttackRow],
    ) -> AttackResult {
        let run = Fixture::new("run", rows.len()).model("net", "aa", "");
        let folder = tempfile::tempdir().unwrap();
        run.attack("net", attack(label, threat, eps), rows).write(folder.path());
        let board = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
        board.boards[0].standings[0].attacks[0].clone()
    }

    #[test]
    fn success_is_of_the_correctly_classified() {
        let mut barely = attack_row(2, true, Some(0.1));
        barely.found_8bit = 0;
        let rows = [
            attack_row(0, false, None),
            attack_row(1, true, Some(0.1)),
            barely,
            attack_row(3, true, None),
        ];
        let counts = |p: Option<Proportion>| p.map(|p| (p.count, p.total));
        let attack = result("cw", "Linf", &[0.05, 0.1], &rows);
        let [smaller, budget] = &attack.budgets[..] else { panic!() };
        assert_eq!(counts(budget.robust), Some((1, 4)));
        assert_eq!(counts(budget.success), Some((2, 3)));
        assert_eq!(counts(budget.success_8bit), Some((1, 3)));
        assert_eq!(counts(smaller.robust), Some((3, 4)));
    }

    #[test]
    fn all_misclassified_has_no_success_rate() {
        let attack = result("patch-rs", "patch 2x2", &[], &[attack_row(0, false, None)]);
        assert_eq!(attack.budgets[0].robust.unwrap().count, 0);
        assert_eq!(attack.budgets[0].success, None);
    }

    #[test]
    fn medians() {
        let of = |distances: &[Option<f64>]| {
            let rows: Vec<_> = (0..).zip(distances).map(|(i, d)| attack_row(i, true, *d)).collect();
            result("cw", "L2", &[0.1, 0.2], &rows).median_distance
        };
        assert_eq!(of(&[Some(3.0), Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(of(&[Some(1.0), Some(2.0)]), Some(1.5));
        assert_eq!(of(&[Some(1.0), None]), None);
        assert_eq!(of(&[Some(1.0), Some(2.0), None]), Some(2.0));
    }
}
