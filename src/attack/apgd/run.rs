//! One run of APGD: from a start, `n_iter` steps that remember the best point and go back to it at
//! checkpoints. The state holds one row per active image and follows the active set.

use candle_core::Tensor;

use super::control::{Checkpoints, Control, Halving, Sparse};
use super::step::{self, Point};
use crate::attack::{Kept, Search};
use crate::error::Result;
use crate::loss::Loss;
use crate::ops::rows;
use crate::threat::Norm;

/// What one run is asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) norm: Norm,
    /// Radius of the ball.
    pub(super) eps: f32,
    /// Iterations.
    pub(super) n_iter: usize,
    /// Share of steps that have to raise the loss.
    pub(super) rho: f64,
    /// Evaluations of the network per gradient.
    pub(super) eot_iter: usize,
    pub(super) loss: Loss,
    /// Iterates are proposed. Off in a ball that is larger than the threat model's.
    pub(super) judged: bool,
}

/// A run in progress.
pub(super) struct Run {
    task: Task,
    /// Target class of each row, if the attack chose some.
    targets: Option<Vec<u32>>,
    checkpoints: Checkpoints,
    iteration: usize,
    x: Tensor,
    /// Where the last step began. Going back to the best point leaves it alone, so the momentum
    /// after that points from there.
    x_old: Tensor,
    gradient: Tensor,
    /// The point of the largest loss.
    pub(super) x_best: Tensor,
    gradient_best: Tensor,
    /// Largest loss of each row.
    pub(super) loss_best: Vec<f32>,
    controls: Vec<Control>,
}

impl Run {
    /// A run from `x`; `random` says that the start is noise, not the end of an earlier run.
    pub(super) fn start(
        search: &mut Search<'_>,
        task: Task,
        targets: Option<Vec<u32>>,
        x: Tensor,
        random: bool,
    ) -> Result<Self> {
        let elements = search.shape().iter().product();
        let changed = changed(&x, search.clean())?;
        let mut run = Self {
            task,
            targets,
            checkpoints: Checkpoints::new(task.norm, task.n_iter),
            iteration: 0,
            x_old: x.clone(),
            gradient: x.clone(),
            x_best: x.clone(),
            gradient_best: x.clone(),
            loss_best: vec![f32::NEG_INFINITY; search.len()],
            controls: (changed.into_iter())
                .map(|changed| {
                    Control::Sparse(match random {
                        true => Sparse::new(task.eps, elements),
                        false => Sparse::resume(task.eps, elements, changed),
                    })
                })
                .collect(),
            x,
        };
        run.loss_best = run.evaluate(search)?;
        run.gradient_best = run.gradient.clone();
        if task.norm != Norm::L1 {
            let control = |loss: &f32| Halving::new(task.eps, task.n_iter, *loss);
            run.controls = run.loss_best.iter().map(control).map(Control::Halving).collect();
        }
        Ok(run)
    }

    /// All iterations, or fewer if no image is left.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) -> Result<()> {
        while self.iteration < self.task.n_iter && !search.is_empty() {
            self.step(search)?;
        }
        Ok(())
    }

    fn step(&mut self, search: &mut Search<'_>) -> Result<()> {
        let Task { norm, eps, rho, .. } = self.task;
        let a = if self.iteration == 0 { 1.0 } else { 0.75 };
        let controls = &self.controls;
        let next = rows::map(
            [&self.x, &self.x_old, &self.gradient, search.clean()],
            |row, [x, x_old, gradient, x0], next| {
                let point = Point { x0, x, x_old, gradient };
                let step_size = controls[row].step_size();
                match (norm, &controls[row]) {
                    (_, Control::Sparse(c)) => point.step_l1(eps, step_size, c.share, next),
                    (Norm::L2, _) => point.step_l2(eps, step_size, a, next),
                    _ => point.step_linf(eps, step_size, a, next),
                }
            },
        )?;
        self.x_old = std::mem::replace(&mut self.x, next);

        let losses = self.evaluate(search)?;
        let better: Vec<bool> = losses.iter().zip(&self.loss_best).map(|(l, b)| l > b).collect();
        self.x_best = choose(&better, &self.x, &self.x_best)?;
        self.gradient_best = choose(&better, &self.gradient, &self.gradient_best)?;
        for (row, loss) in losses.into_iter().enumerate() {
            if better[row] {
                self.loss_best[row] = loss;
            }
            if let Control::Halving(control) = &mut self.controls[row] {
                control.record(self.iteration, loss);
            }
        }
        if let Some(passed) = self.checkpoints.pass() {
            let changed = match norm {
                Norm::L1 => changed(&self.x_best, search.clean())?,
                Norm::Linf | Norm::L2 => vec![0; search.len()],
            };
            let elements = search.shape().iter().product();
            let back: Vec<bool> = (self.controls.iter_mut().zip(&self.loss_best).zip(changed))
                .map(|((control, best), changed)| match control {
                    Control::Halving(c) => c.check(self.iteration, passed, rho, *best),
                    Control::Sparse(c) => c.check(changed, elements),
                })
                .collect();
            self.x = choose(&back, &self.x_best, &self.x)?;
            self.gradient = choose(&back, &self.gradient_best, &self.gradient)?;
        }
        self.iteration += 1;
        Ok(())
    }

    /// Gradient and losses at `x`, which is proposed; the state loses the rows that this breaks.
    fn evaluate(&mut self, search: &mut Search<'_>) -> Result<Vec<f32>> {
        let all: Vec<usize> = (0..search.len()).collect();
        let targets = self.targets.clone().or_else(|| search.targets().map(<[u32]>::to_vec));
        let mut at = search.gradient_toward(&all, &self.x, self.task.loss, targets.as_deref())?;
        for _ in 1..self.task.eot_iter {
            let sum = at.gradient;
            at = search.gradient_toward(&all, &self.x, self.task.loss, targets.as_deref())?;
            at.gradient = (sum + at.gradient)?;
        }
        self.gradient = at.gradient;
        if self.task.eot_iter > 1 {
            self.gradient = (&self.gradient / self.task.eot_iter as f64)?;
        }
        if self.task.judged {
            // As published, the last of several evaluations is the one that is judged.
            let kept = search.propose(&self.x, &at.logits)?;
            kept.shrink(&mut at.logits)?;
            self.shrink(&kept, &mut at.losses)?;
            if self.task.norm == Norm::L1 {
                let kept = self.propose_tidy(search, &at.logits)?;
                self.shrink(&kept, &mut at.losses)?;
            }
        }
        Ok(at.losses)
    }

    /// L1 iterates that succeed and are still active are outside the ball, by rounding. They are
    /// proposed once more in tidy form, which has to succeed itself.
    fn propose_tidy(&self, search: &mut Search<'_>, logits: &Tensor) -> Result<Kept> {
        let all: Vec<usize> = (0..search.len()).collect();
        let success = search.successes(&all, logits)?;
        let outside: Vec<usize> = all.into_iter().filter(|row| success[*row]).collect();
        if outside.is_empty() {
            return Ok(Kept::all());
        }
        let x = rows::select(&self.x, &outside)?;
        let clean = rows::select(search.clean(), &outside)?;
        let x = rows::map([&x, &clean], |_, [x, x0], out| {
            out.copy_from_slice(x);
            step::tidy_l1(x0, self.task.eps, out);
        })?;
        let logits = search.logits_of(&outside, &x)?;
        search.propose_for(&outside, &x, &logits)
    }

    fn shrink(&mut self, kept: &Kept, losses: &mut Vec<f32>) -> Result<()> {
        for x in [
            &mut self.x,
            &mut self.x_old,
            &mut self.gradient,
            &mut self.x_best,
            &mut self.gradient_best,
        ] {
            kept.shrink(x)?;
        }
        kept.shrink_values(&mut self.loss_best);
        kept.shrink_values(&mut self.controls);
        kept.shrink_values(losses);
        if let Some(targets) = &mut self.targets {
            kept.shrink_values(targets);
        }
        Ok(())
    }
}

/// The rows of `yes` where `which` says so, of `no` elsewhere.
fn choose(which: &[bool], yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    if !which.contains(&true) {
        return Ok(no.clone());
    }
    rows::map([yes, no], |row, [yes, no], out| {
        out.copy_from_slice(if which[row] { yes } else { no });
    })
}

/// Number of elements in which each row differs from the clean image.
fn changed(x: &Tensor, clean: &Tensor) -> Result<Vec<usize>> {
    rows::reduce([x, clean], |_, [x, x0]| x.iter().zip(x0).filter(|(x, x0)| x != x0).count())
}
