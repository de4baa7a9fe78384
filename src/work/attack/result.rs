//! What one attack did to one network: robust accuracy at every budget of the job, success rate,
//! distance and cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attacked::Attacked;
use super::columns::AttackColumn;
use super::curves::left;
use super::distances::Distances;
use super::row::AttackRow;
use super::spared::Spared;
use crate::record::CheckRecord;
use crate::results::{ImageSet, Proportion, Region};
use crate::work::method::Method;
use crate::work::outcome::{Cost, KindResult};
use crate::work::pool::Pool;

/// One attack on one network, summed up over its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackResult {
    /// Column title without the budget.
    pub label: String,
    /// Name of the attack.
    pub attack: String,
    /// Threat model in words.
    pub threat: String,
    /// The goal of the attacker: `untargeted`, or the rule or class of its targets.
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
    /// Quartiles, area and optimality of an untargeted attack that minimises the distance; else `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distances: Option<Distances>,
    /// Candidates that succeeded in the precision of the search and not in f32; `None` if it searched in
    /// f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<u64>,
    /// The passes that the attack has spent, and the images that it may have missed, beside the attack that it stands in for;
    /// `None` if it stands in for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spared: Option<Spared>,
    /// Share of the images that are classified correctly and not broken: against the distance for an attack that
    /// minimises it, else against the passes of an image.
    #[serde(skip)]
    pub(crate) left: Vec<(f64, f64)>,
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

impl AttackResult {
    /// The attack `of` on the network `model`, summed up, beside those that it stands in for and that were run as well,
    /// and beside all methods.
    pub(crate) fn of(
        of: &Attacked<'_>,
        stood_for: &[Attacked<'_>],
        all: &[Method<'_>],
        model: usize,
    ) -> Self {
        let work = &of.method.work;
        let minimal = work.is("minimal");
        let (done, images) = of.pool.progress;
        let budget = |eps| Budget::of(of, eps, of.method.title(eps));
        Self {
            label: work.label.clone(),
            attack: work.method.clone(),
            threat: work.threat.clone(),
            goal: of.goal().to_owned(),
            minimal,
            control: of.is_control(),
            parameters: work.parameters.clone(),
            checks: of.checks.clone(),
            images,
            done,
            image_set: of.pool.images(),
            budgets: of.budgets().into_iter().map(budget).collect(),
            median_distance: minimal.then(|| median_distance(&of.pool)).flatten(),
            distances: Distances::of(of, all, model),
            unconfirmed: rows(&of.pool).filter_map(|row| row.unconfirmed).reduce(|a, b| a + b),
            spared: Spared::of(&of.pool, stood_for),
            left: match minimal {
                true => left(&of.pool, 0.0, |row| row.distance),
                // The axis of passes is logarithmic.
                false => left(&of.pool, 1.0, |row| (row.forwards + row.backwards) as f64),
            },
            cost: cost(&of.pool),
        }
    }

    /// The result in a column of the board, at its budget; `None` if it is another attack's.
    pub fn at(&self, column: &AttackColumn) -> Option<&Budget> {
        let same = self.threat == column.threat && self.goal == column.goal;
        self.budgets.iter().find(|budget| same && budget.title == column.title)
    }
}

impl Budget {
    /// The attack `of` at the budget `eps`: its own result, whatever others found.
    fn of(of: &Attacked<'_>, eps: Option<f64>, title: String) -> Self {
        let region = Region::new(of.threat(), eps);
        let breaks = |row: &AttackRow| row.breaks(&region);
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

impl KindResult for AttackResult {
    fn label(&self) -> &str {
        &self.label
    }

    fn progress(&self) -> (usize, usize) {
        (self.done, self.images)
    }

    fn image_set(&self) -> Option<&ImageSet> {
        self.image_set.as_ref()
    }

    fn cost(&self) -> Option<Cost> {
        Some(self.cost)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// All that was spent on the images, over their number; zeros without rows.
fn cost(pool: &Pool<'_, AttackRow>) -> Cost {
    let n = pool.rows.len().max(1) as f64;
    let mean = |value: fn(&AttackRow) -> f64| rows(pool).map(value).sum::<f64>() / n;
    Cost {
        forwards: mean(|row| row.forwards as f64),
        backwards: mean(|row| row.backwards as f64),
        seconds: mean(|row| row.seconds),
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
