//! The worst case over several attacks, image by image: an image is robust if no attack broke it. A
//! single attack's robust accuracy is an upper bound; the worst case is the tightest bound a set of
//! attacks gives, and what the board is ranked by.

use std::collections::BTreeMap;

use serde::Serialize;

use super::proportion::Proportion;
use crate::record::AttackRow;

/// Robust accuracy under several attacks at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstCase {
    /// Columns of the attacks it is taken over.
    pub attacks: Vec<String>,
    /// Columns that other models of the board have and this model lacks. If there are any, the worst
    /// case is not comparable with theirs and may be too high.
    pub missing: Vec<String>,
    /// Images that no attack broke, of the images that all of the attacks have finished.
    pub robust: Option<Proportion>,
    /// Images that all of the attacks have finished.
    pub done: usize,
    /// Images of the shortest of the attacks' jobs.
    pub images: usize,
    /// Every job has finished.
    pub finished: bool,
}

impl WorstCase {
    /// Finished, and over every attack of the board: comparable with other models.
    pub fn comparable(&self) -> bool {
        self.finished && self.missing.is_empty() && self.robust.is_some()
    }
}

/// One job's part in a worst case.
pub(super) struct Trial<'a> {
    /// Title of its column.
    pub(super) title: String,
    pub(super) rows: &'a BTreeMap<u64, AttackRow>,
    /// Distance within which an adversarial image counts; `None`: it always does.
    pub(super) eps: Option<f64>,
    /// Images of the job.
    pub(super) images: usize,
}

/// Worst case over `trials`, on the images that all of them have finished; `None` without trials.
///
/// `further` attacks have run at other budgets of the same threat. An adversarial image that one of
/// them happened to find within the trials' budget proves as much as any, so it counts; without it
/// robust accuracy could rise with the budget.
pub(super) fn worst_case(
    trials: &[Trial<'_>],
    further: &[Trial<'_>],
    missing: Vec<String>,
) -> Option<WorstCase> {
    let (first, rest) = trials.split_first()?;
    let robust = first.rows.iter().filter_map(|(idx, row)| {
        let mut robust = row.robust(first.eps);
        for trial in rest {
            robust &= trial.rows.get(idx)?.robust(trial.eps);
        }
        for trial in further {
            robust &= trial.rows.get(idx).is_none_or(|row| row.robust(trial.eps));
        }
        Some(robust)
    });
    let robust = Proportion::of(robust);
    Some(WorstCase {
        attacks: trials.iter().map(|t| t.title.clone()).collect(),
        missing,
        robust,
        done: robust.map_or(0, |r| r.total),
        images: trials.iter().map(|t| t.images).min().unwrap_or(0),
        finished: trials.iter().all(|t| t.rows.len() == t.images),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::attack_row;

    /// Rows of images 0, 1, …: `None` is robust, a number the distance of the adversarial image.
    fn rows(distances: &[Option<f64>]) -> BTreeMap<u64, AttackRow> {
        let row = |(idx, distance): (usize, &Option<f64>)| {
            (idx as u64, attack_row(idx as u64, true, *distance))
        };
        distances.iter().enumerate().map(row).collect()
    }

    fn trial(rows: &BTreeMap<u64, AttackRow>, eps: Option<f64>) -> Trial<'_> {
        Trial { title: "a".into(), rows, eps, images: rows.len() }
    }

    fn counts(worst: Option<WorstCase>) -> (usize, usize) {
        let robust = worst.unwrap().robust.unwrap();
        (robust.count, robust.total)
    }

    #[test]
    fn an_image_is_robust_only_against_all() {
        let a = rows(&[Some(0.1), None, None, None]);
        let b = rows(&[None, Some(0.1), None, None]);
        let trials = [trial(&a, Some(0.1)), trial(&b, Some(0.1))];
        assert_eq!(counts(worst_case(&trials, &[], vec![])), (2, 4));
        assert!(worst_case(&[], &[], vec![]).is_none());
    }

    #[test]
    fn the_budget_bounds_a_minimal_attack() {
        let minimal = rows(&[Some(0.2), Some(0.3), Some(0.5), Some(f64::INFINITY)]);
        let at = |eps| counts(worst_case(&[trial(&minimal, eps)], &[], vec![]));
        assert_eq!(at(Some(0.25)), (3, 4));
        assert_eq!(at(Some(0.3)), (2, 4));
        assert_eq!(at(Some(1.0)), (1, 4));
    }

    #[test]
    fn misclassified_clean_images_are_not_robust() {
        let mut table = rows(&[None, None]);
        table.insert(1, attack_row(1, false, None));
        assert_eq!(counts(worst_case(&[trial(&table, Some(0.1))], &[], vec![])), (1, 2));
    }

    #[test]
    fn smaller_examples_of_further_attacks_count() {
        let here = rows(&[None, None, None]);
        let there = rows(&[Some(0.1), Some(0.2), None]);
        let worst = worst_case(&[trial(&here, Some(0.1))], &[trial(&there, Some(0.1))], vec![]);
        assert_eq!(counts(worst), (2, 3));
    }

    #[test]
    fn unfinished_jobs_leave_the_shared_images() {
        let long = rows(&[Some(0.1), None, None, None]);
        let short = rows(&[None, Some(0.1)]);
        let trials = [trial(&long, Some(0.1)), Trial { images: 4, ..trial(&short, Some(0.1)) }];
        let worst = worst_case(&trials, &[], vec![]).unwrap();
        assert_eq!((worst.done, worst.images, worst.finished), (2, 4, false));
        assert_eq!(worst.robust.unwrap().count, 0);
        assert!(!worst.comparable());
    }
}
