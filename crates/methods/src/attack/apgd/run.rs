//! One run of APGD: from a start, `n_iter` steps that remember the best point and go back to it at
//! checkpoints. The state holds one row per active image and follows the active set.

use super::step::{self, Point};
use super::step_schedule::{Checkpoints, Halving, Sparse, StepSchedule};
use crate::attack::search::image_state;
use crate::attack::{Evaluation, Search};
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Kernel, Rows, kernel};
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
    pub(super) targets: Option<Rows>,
    checkpoints: Checkpoints,
    iteration: usize,
    x: Rows,
    /// Where the last step began. Going back to the best point leaves it alone, so the momentum
    /// after that points from there.
    x_old: Rows,
    gradient: Rows,
    /// The point of the largest loss.
    pub(super) x_best: Rows,
    gradient_best: Rows,
    /// Largest loss of each row.
    pub(super) loss_best: Rows,
    /// Loss of each row after each iteration; 0 where the run has not been yet.
    losses: Rows,
    schedules: Vec<StepSchedule>,
    /// What the schedules say of the next step: its length, and the share of elements it changes.
    lengths: Rows,
    shares: Rows,
}

image_state!(Run {
    targets,
    x,
    x_old,
    gradient,
    x_best,
    gradient_best,
    loss_best,
    losses,
    schedules,
    lengths,
    shares;
    task,
    checkpoints,
    iteration,
});

impl Run {
    /// A run from `x`; `random` says that the start is noise, not the end of an earlier run.
    pub(super) fn start(
        search: &mut Search<'_>,
        task: Task,
        targets: Option<Rows>,
        x: Rows,
        random: bool,
    ) -> Result<Self> {
        let (elements, n) = (x.width(), x.len());
        let place = search.location().clone();
        let schedules: Vec<StepSchedule> = match (task.norm, random) {
            (Norm::Linf | Norm::L2, _) => {
                vec![StepSchedule::Halving(Halving::new(task.eps, 0.0)); n]
            }
            (Norm::L1 | Norm::L0 | Norm::L0Pixels, true) => {
                vec![StepSchedule::Sparse(Sparse::new(task.eps, elements)); n]
            }
            (Norm::L1 | Norm::L0 | Norm::L0Pixels, false) => {
                let resume = |changed: usize| Sparse::resume(task.eps, elements, changed);
                let changed = changed(&x, search.clean())?;
                changed.into_iter().map(resume).map(StepSchedule::Sparse).collect()
            }
        };
        let mut run = Self {
            task,
            targets,
            checkpoints: Checkpoints::new(task.norm, task.n_iter),
            iteration: 0,
            x_old: x.clone(),
            gradient: x.clone(),
            x_best: x.clone(),
            gradient_best: x.clone(),
            loss_best: Rows::numbers(&place, vec![f32::NEG_INFINITY; n])?,
            losses: Rows::new(&place, [n, task.n_iter], vec![0.0; n * task.n_iter])?,
            schedules,
            lengths: Rows::none(&place)?,
            shares: Rows::none(&place)?,
            x,
        };
        run.follow_controls()?;
        run.loss_best = run.evaluate(search)?;
        run.gradient_best = run.gradient.clone();
        if task.norm != Norm::L1 {
            let schedule = |loss: &f32| StepSchedule::Halving(Halving::new(task.eps, *loss));
            run.schedules = run.loss_best.values()?.iter().map(schedule).collect();
        }
        Ok(run)
    }

    /// Takes over what the schedules say.
    fn follow_controls(&mut self) -> Result<()> {
        let place = self.x.location();
        let of = |say: fn(&StepSchedule) -> f32| self.schedules.iter().map(say).collect();
        self.lengths = Rows::numbers(&place, of(StepSchedule::step_size))?;
        self.shares = Rows::numbers(&place, of(StepSchedule::share))?;
        Ok(())
    }

    /// All iterations, or fewer if no image is left.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) -> Result<()> {
        while self.iteration < self.task.n_iter && !search.is_empty() {
            self.step(search)?;
        }
        Ok(())
    }

    fn step(&mut self, search: &mut Search<'_>) -> Result<()> {
        let Task { norm, eps, n_iter, .. } = self.task;
        let a = if self.iteration == 0 { 1.0 } else { 0.75 };
        let inputs =
            [&self.x, &self.x_old, &self.gradient, search.clean(), &self.lengths, &self.shares];
        let next = rows::map(
            kernel!("apgd_step", norm.number(), eps, a),
            inputs,
            |_, [x, x_old, gradient, x0, length, share], next| {
                let point = Point { x0, x, x_old, gradient };
                match norm {
                    Norm::Linf => point.step_linf(eps, length[0], a, next),
                    Norm::L2 => point.step_l2(eps, length[0], a, next),
                    Norm::L1 | Norm::L0 | Norm::L0Pixels => {
                        point.step_l1(eps, length[0], share[0], next)
                    }
                }
            },
        )?;
        self.x_old = std::mem::replace(&mut self.x, next);

        let losses = self.evaluate(search)?;
        let iteration = self.iteration;
        rows::update(
            kernel!("apgd_record", n_iter, iteration),
            [&mut self.x_best, &mut self.gradient_best, &mut self.loss_best, &mut self.losses],
            [&self.x, &self.gradient, &losses],
            |_, [x_best, gradient_best, loss_best, losses], [x, gradient, loss]| {
                losses[iteration] = loss[0];
                if loss[0] > loss_best[0] {
                    loss_best[0] = loss[0];
                    x_best.copy_from_slice(x);
                    gradient_best.copy_from_slice(gradient);
                }
            },
        )?;
        if let Some(passed) = self.checkpoints.pass() {
            self.take_stock(search, passed)?;
        }
        self.iteration += 1;
        Ok(())
    }

    /// A checkpoint, `passed` iterations after the last one.
    fn take_stock(&mut self, search: &mut Search<'_>, passed: usize) -> Result<()> {
        let Task { norm, rho, n_iter, .. } = self.task;
        search.sync(&mut *self)?;
        if search.is_empty() {
            return Ok(());
        }
        let changed = match norm {
            Norm::L1 | Norm::L0 | Norm::L0Pixels => changed(&self.x_best, search.clean())?,
            Norm::Linf | Norm::L2 => Vec::new(),
        };
        let (best, losses) = (self.loss_best.values()?, self.losses.values()?);
        let elements = self.x.width();
        let back = (self.schedules.iter_mut().enumerate())
            .map(|(row, schedule)| match schedule {
                StepSchedule::Halving(c) => {
                    let losses = &losses[row * n_iter..][..n_iter];
                    c.check(self.iteration, passed, rho, losses, best[row])
                }
                StepSchedule::Sparse(c) => c.check(changed[row], elements),
            })
            .map(|back| f32::from(u8::from(back)))
            .collect();
        let back = Rows::numbers(search.location(), back)?;
        self.x = choose(&back, &self.x_best, &self.x)?;
        self.gradient = choose(&back, &self.gradient_best, &self.gradient)?;
        self.follow_controls()
    }

    /// Gradient and losses at `x`, which is proposed; the state loses the rows that this breaks.
    fn evaluate(&mut self, search: &mut Search<'_>) -> Result<Rows> {
        let mut at = search.gradient_toward(&self.x, self.task.loss, self.targets.as_ref())?;
        let n = self.task.eot_iter;
        for i in 1..n {
            let sum = at.gradient;
            at = search.gradient_toward(&self.x, self.task.loss, self.targets.as_ref())?;
            let factor = if i + 1 == n { (1.0 / n as f64) as f32 } else { 1.0 };
            at.gradient =
                rows::map(kernel!("add_rows", factor), [&sum, &at.gradient], |_, [a, b], mean| {
                    for ((mean, a), b) in mean.iter_mut().zip(a).zip(b) {
                        *mean = (a + b) * factor;
                    }
                })?;
        }
        let Evaluation { mut logits, mut losses, gradient } = at;
        self.gradient = gradient;
        if self.task.judged {
            // As published, the last of several evaluations is the one that is judged.
            let columns = (&mut *self, &mut losses, &mut logits);
            search.propose(&columns.0.x.clone(), &columns.2.clone(), columns)?;
            if self.task.norm == Norm::L1 {
                // What the proposal broke is not to be proposed again.
                search.sync((&mut *self, &mut losses, &mut logits))?;
                self.propose_tidy(search, &logits, &mut losses)?;
            }
        }
        Ok(losses)
    }

    /// L1 iterates that succeed and are still active are outside the ball, by rounding. They are
    /// proposed once more in tidy form, which has to succeed itself.
    fn propose_tidy(
        &mut self,
        search: &mut Search<'_>,
        logits: &Rows,
        losses: &mut Rows,
    ) -> Result<()> {
        let success = search.succeeded(logits)?.values()?;
        let outside: Vec<usize> = (0..search.len()).filter(|row| success[*row] != 0.0).collect();
        if outside.is_empty() {
            return Ok(());
        }
        let (x, clean) = (self.x.select(&outside)?, search.clean().select(&outside)?);
        let x = rows::map(Kernel::NONE, [&x, &clean], |_, [x, x0], out| {
            out.copy_from_slice(x);
            step::tidy_l1(x0, self.task.eps, out);
        })?;
        let logits = search.logits_of(&outside, &x)?;
        search.propose_for(&outside, &x, &logits, (self, losses))
    }
}

/// The rows of `yes` where `which` is not 0, of `no` elsewhere.
pub(in crate::attack) fn choose(which: &Rows, yes: &Rows, no: &Rows) -> Result<Rows> {
    rows::map(kernel!("choose"), [yes, no, which], |_, [yes, no, which], out| {
        out.copy_from_slice(if which[0] == 0.0 { no } else { yes });
    })
}

/// Number of elements in which each row differs from the clean image.
fn changed(x: &Rows, clean: &Rows) -> Result<Vec<usize>> {
    let count = |_, [x, x0]: [&[f32]; 2], count: &mut [f32]| {
        count[0] = x.iter().zip(x0).filter(|(x, x0)| x != x0).count() as f32;
    };
    let counts = rows::map_to(kernel!("changed_elements", x.width()), &[], [x, clean], count)?;
    Ok(counts.values()?.iter().map(|count| *count as usize).collect())
}
