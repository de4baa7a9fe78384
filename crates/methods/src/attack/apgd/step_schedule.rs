//! When an image's step size changes and when its run goes back to the best point so far: at
//! checkpoints, by the course of the loss (Linf, L2) or by the number of changed pixels (L1).

use crate::threat::Norm;

/// The iterations at which a run takes stock: after a period that gets shorter.
#[derive(Debug, Clone)]
pub(super) struct Checkpoints {
    period: usize,
    shorter_by: usize,
    shortest: usize,
    since: usize,
}

impl Checkpoints {
    /// Croce and Hein (ICML 2020, section 3.1): w_1 = 0.22 N, then periods shorter by 0.03 N, none
    /// shorter than 0.06 N. Under L1 every 0.04 N.
    pub(super) fn new(norm: Norm, n_iter: usize) -> Self {
        // Rounded as the published code does: truncated.
        let share = |share: f64| ((share * n_iter as f64) as usize).max(1);
        let (period, shorter_by, shortest) = match norm {
            Norm::Linf | Norm::L2 => (share(0.22), share(0.03), share(0.06)),
            Norm::L1 | Norm::L0 | Norm::L0Pixels => (share(0.04), 0, share(0.04)),
        };
        Self { period, shorter_by, shortest, since: 0 }
    }

    /// Counts an iteration. At a checkpoint: the number of iterations since the last one.
    pub(super) fn pass(&mut self) -> Option<usize> {
        self.since += 1;
        if self.since < self.period {
            return None;
        }
        let passed = std::mem::take(&mut self.since);
        self.period = self.period.saturating_sub(self.shorter_by).max(self.shortest);
        Some(passed)
    }
}

/// What is decided about one image at checkpoints.
#[derive(Debug, Clone)]
pub(super) enum StepSchedule {
    /// Linf and L2.
    Halving(Halving),
    /// L1.
    Sparse(Sparse),
}

impl StepSchedule {
    /// Share of the elements that the next step changes.
    pub(super) fn share(&self) -> f32 {
        match self {
            Self::Halving(_) => 1.0,
            Self::Sparse(schedule) => schedule.share,
        }
    }

    /// Length of the next step.
    pub(super) fn step_size(&self) -> f32 {
        match self {
            Self::Halving(schedule) => schedule.step_size,
            Self::Sparse(schedule) => schedule.step_size,
        }
    }
}

/// Conditions 1 and 2 of section 3.1: the step size is halved when too few of the last steps raised
/// the loss, or when the best loss stands still.
#[derive(Debug, Clone)]
pub(super) struct Halving {
    step_size: f32,
    /// The step size was halved at the last checkpoint; at the start, as if it had been.
    halved: bool,
    /// Best loss at the last checkpoint.
    best_then: f32,
}

impl Halving {
    /// At a start with this loss.
    pub(super) fn new(eps: f32, loss: f32) -> Self {
        Self { step_size: 2.0 * eps, halved: true, best_then: loss }
    }

    /// A checkpoint after iteration `iteration`, `passed` iterations after the last one: whether to
    /// go back to the best point, with half the step size. `losses` are those after each iteration, 0
    /// where the run has not been yet.
    pub(super) fn check(
        &mut self,
        iteration: usize,
        passed: usize,
        rho: f64,
        losses: &[f32],
        best_loss: f32,
    ) -> bool {
        // Before iteration 0 the published code finds the loss of the last iteration, which is 0
        // at the first checkpoint: the loss of the start is in no record.
        let before = |i: usize| if i == 0 { losses.len() - 1 } else { i - 1 };
        let raised = (iteration + 1 - passed..=iteration)
            .filter(|i| losses[*i] > losses[before(*i)])
            .count();
        let oscillates = raised as f32 <= (passed as f64 * rho) as f32;
        let stands_still = !self.halved && self.best_then >= best_loss;
        self.halved = oscillates || stands_still;
        self.best_then = best_loss;
        if self.halved {
            self.step_size /= 2.0;
        }
        self.halved
    }
}

/// Croce and Hein (ICML 2021, section 3.1): a step changes a share of the pixels that follows the
/// number of pixels the best point has changed; while that number falls the step stays long.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    step_size: f32,
    eps: f32,
    /// Share of the elements that a step changes.
    share: f32,
    /// Changed elements of the best point at the last checkpoint.
    changed: usize,
}

/// The next step changes this much less than the best point has changed.
const SPARSER_BY: f32 = 1.5;

impl Sparse {
    /// At a random start in an image of `elements` elements.
    pub(super) fn new(eps: f32, elements: usize) -> Self {
        Self { step_size: eps, eps, share: 0.2, changed: elements }
    }

    /// At a start that has changed `changed` of `elements` elements.
    pub(super) fn resume(eps: f32, elements: usize, changed: usize) -> Self {
        Self { step_size: eps, eps, share: share(changed, elements), changed }
    }

    /// A checkpoint at which the best point has changed `changed` of `elements` elements: whether to
    /// go back to it, with the full step size.
    pub(super) fn check(&mut self, changed: usize, elements: usize) -> bool {
        let sparser = (changed as f32 / self.changed as f32) < 0.95;
        self.share = share(changed, elements);
        self.changed = changed;
        let step_size = if sparser { self.eps } else { self.step_size / 1.5 };
        self.step_size = step_size.max(self.eps / 10.0).min(self.eps);
        sparser
    }
}

fn share(changed: usize, elements: usize) -> f32 {
    changed as f32 / elements as f32 / SPARSER_BY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(norm: Norm, n_iter: usize) -> Vec<usize> {
        let mut checkpoints = Checkpoints::new(norm, n_iter);
        (1..=n_iter).filter(|_| checkpoints.pass().is_some()).collect()
    }

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        assert_eq!(checks(Norm::Linf, 100), [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(checks(Norm::L2, 10), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(checks(Norm::L1, 100).len(), 25);
        assert_eq!(checks(Norm::L1, 30).len(), 30);
    }

    /// A run whose loss takes these values; whether each iteration's check halves the step size.
    fn halvings(n_iter: usize, start: f32, losses: &[f32]) -> Vec<(usize, bool)> {
        let mut schedule = Halving::new(1.0, start);
        let mut record = vec![0.0; n_iter];
        let mut checkpoints = Checkpoints::new(Norm::Linf, n_iter);
        let (mut best, mut seen) = (start, Vec::new());
        for (i, loss) in losses.iter().enumerate() {
            record[i] = *loss;
            best = best.max(*loss);
            if let Some(passed) = checkpoints.pass() {
                seen.push((i + 1, schedule.check(i, passed, 0.75, &record, best)));
            }
        }
        let halved = seen.iter().filter(|(_, halved)| *halved).count();
        assert_eq!(schedule.step_size, 2.0 / (1 << halved) as f32);
        seen
    }

    #[test]
    fn the_step_is_halved_when_the_loss_rises_in_three_quarters_of_the_steps_or_less() {
        let rising: Vec<f32> = (0..100).map(|i| 1.0 + i as f32).collect();
        assert!(halvings(100, 0.5, &rising).iter().all(|(_, halved)| !halved));
        let falling: Vec<f32> = rising.iter().map(|v| -v).collect();
        assert!(halvings(100, 0.5, &falling).iter().all(|(_, halved)| *halved));
        // 16 of 22 steps up are too few, 17 are enough; the first counts against 0.
        for (downs, first, want) in [(5, 1.0, false), (6, 1.0, true), (5, -9.0, true)] {
            let mut loss = first;
            let losses: Vec<f32> = (0..22)
                .map(|i| {
                    let before = loss;
                    loss += if i < downs { -0.01 } else { 0.5 };
                    before
                })
                .collect();
            assert_eq!(halvings(100, 0.0, &losses), [(22, want)], "{downs} {first}");
        }
    }

    #[test]
    fn a_best_loss_that_stands_still_halves_the_step_every_other_time_at_least() {
        // Condition 1 is satisfied by a sawtooth that never reaches the start's loss.
        let losses: Vec<f32> = (0..100).map(|i| 1.0 + (i % 10) as f32).collect();
        let seen = halvings(100, 100.0, &losses);
        assert_eq!(seen[..3], [(22, false), (41, true), (57, false)]);
    }

    #[test]
    fn sparse_steps_follow_the_best_point() {
        let mut schedule = Sparse::new(3.0, 100);
        assert_eq!((schedule.step_size, schedule.share), (3.0, 0.2));
        assert!(schedule.check(60, 100), "60 of 100 is sparser");
        assert_eq!((schedule.step_size, schedule.share), (3.0, 0.4));
        assert!(!schedule.check(59, 100));
        assert_eq!(schedule.step_size, 2.0);
        for _ in 0..20 {
            assert!(!schedule.check(59, 100));
        }
        assert_eq!(schedule.step_size, 0.3, "no shorter than a tenth of eps");
        assert!(schedule.check(30, 100));
        assert_eq!(schedule.step_size, 3.0);
        assert_eq!(Sparse::resume(3.0, 100, 30).share, 0.2);
    }
}
