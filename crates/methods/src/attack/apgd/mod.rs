//! Auto-PGD (Croce and Hein, ICML 2020, sections 3 and 4; for L1: ICML 2021): gradient steps with
//! momentum whose length follows the course of the loss, so that there is no step size to choose.
//! Two of the four attacks of AutoAttack are made of it. Parameters have the names of the published
//! code; their defaults are AutoAttack's `standard`.
//!
//! A broken image leaves at once, here as everywhere. The published code lets it run on, which
//! changes neither the other images nor what is broken.

mod control;
mod run;
mod step;

use std::sync::Once;

pub(super) use self::run::choose;
use self::run::{Run, Task};
pub(super) use self::step::start as random_start;
use super::gradient::{ALL_NORMS, ball};
use super::{Attack, Entry, Parameters, Search};
use crate::error::Result;
use crate::loss::{Loss, descending};
use crate::rows::{self, Rows, Twin, twin};
use crate::threat::{Norm, Threat};

/// On the cross-entropy.
pub(super) const APGD_CE: Entry = Entry {
    name: "apgd-ce",
    about: "Auto-PGD on the cross-entropy (Croce and Hein 2020, 2021)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| Ok(Box::new(Apgd::new(parameters, threat, Loss::CrossEntropy, 0)?)),
};

/// On the difference of logits ratio.
pub(super) const APGD_DLR: Entry = Entry {
    name: "apgd-dlr",
    about: "Auto-PGD on the difference of logits ratio (Croce and Hein 2020, 2021)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| Ok(Box::new(Apgd::new(parameters, threat, Loss::Dlr, 0)?)),
};

/// On the targeted difference of logits ratio, towards one class after the other.
pub(super) const APGD_T: Entry = Entry {
    name: "apgd-t",
    about: "Auto-PGD towards the classes with the largest logits (Croce and Hein 2020, 2021)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let default = if ball(threat).0 == Norm::L1 { 5 } else { 9 };
        let classes = parameters.count("n_target_classes", default)?;
        Ok(Box::new(Apgd::new(parameters, threat, Loss::Dlr, classes)?))
    },
};

struct Apgd {
    task: Task,
    n_restarts: usize,
    /// Runs towards that many classes; 0: towards none in particular. A target only steers the
    /// loss, any wrong class is a success.
    n_target_classes: usize,
    /// L1: first runs in balls of 3 and 2 times the radius.
    use_largereps: bool,
    fallback: Once,
}

impl Apgd {
    fn new(
        parameters: &mut Parameters,
        threat: &Threat,
        loss: Loss,
        n_target_classes: usize,
    ) -> Result<Self> {
        let (norm, eps) = ball(threat);
        let l1 = norm == Norm::L1;
        let n_restarts = if l1 && n_target_classes == 0 { 5 } else { 1 };
        Ok(Self {
            task: Task {
                norm,
                eps,
                n_iter: parameters.count("n_iter", 100)?,
                rho: parameters.positive("rho", 0.75)?,
                eot_iter: parameters.count("eot_iter", 1)?,
                loss,
                judged: true,
            },
            n_restarts: parameters.count("n_restarts", n_restarts)?,
            n_target_classes,
            use_largereps: l1 && parameters.take("use_largereps", true)?,
            fallback: Once::new(),
        })
    }
}

/// A run of `n_iter` iterations in the L1 ball on the margin, its restart `number`, in decreasing radii. Returns the
/// largest loss that it reached of each image that is left, `[N]`.
///
/// # Errors
/// If the network fails.
pub(super) fn descend_l1(
    search: &mut Search<'_>,
    (eps, n_iter): (f32, usize),
    number: u32,
    targets: Option<Rows>,
) -> Result<Rows> {
    let task = Task {
        norm: Norm::L1,
        eps,
        n_iter,
        rho: 0.75,
        eot_iter: 1,
        loss: Loss::Margin,
        judged: true,
    };
    let fallback = Once::new();
    let apgd = Apgd { task, n_restarts: 1, n_target_classes: 0, use_largereps: true, fallback };
    apgd.decrease_eps(search, number, targets)
}

impl Attack for Apgd {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        self.warn_of_fallback(search);
        // Under a targeted goal there is one target, the goal's.
        let ranked = match (self.n_target_classes, search.targets()) {
            (0, _) | (_, Some(_)) => None,
            (n, None) => Some(other_classes(search, n)?),
        };
        let targets = ranked.as_ref().and_then(|of| of.first()).map_or(1, Vec::len);
        for target in 0..targets {
            for restart in 0..self.n_restarts {
                let class = |of: &Vec<Vec<u32>>| -> Vec<u32> {
                    search.places().iter().map(|place| of[*place][target]).collect()
                };
                let towards = ranked.as_ref().map(class);
                let towards = towards.map(|of| Rows::classes(search.place(), &of)).transpose()?;
                let number = (target * self.n_restarts + restart) as u32;
                if self.use_largereps {
                    let _ = self.decrease_eps(search, number, towards)?;
                } else {
                    let x = self.start(search, number)?;
                    Run::start(search, self.task, towards, x, true)?.finish(search)?;
                }
                if search.is_empty() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Apgd {
    fn start(&self, search: &mut Search<'_>, number: u32) -> Result<Rows> {
        let Task { norm, eps, .. } = self.task;
        let shape = search.shape();
        let noise = match norm {
            Norm::Linf => search.uniform_batch(number, 0, &shape)?,
            Norm::L2 | Norm::L1 => search.normal_batch(number, 0, &shape)?,
        };
        let twin = twin!("apgd_start", norm.number(), eps);
        rows::map(twin, [search.clean(), &noise], |_, [x0, t], x| step::start(norm, x0, t, eps, x))
    }

    /// Three runs in balls of 3, 2 and 1 times the radius, each from the best point of the one
    /// before (Croce and Hein, ICML 2021, section 3.2). Only the last one can break an image. Returns the
    /// largest loss that it reached of each image that is left, `[N]`.
    fn decrease_eps(
        &self,
        search: &mut Search<'_>,
        number: u32,
        mut targets: Option<Rows>,
    ) -> Result<Rows> {
        let shape = search.shape();
        let noise = search.normal_batch(number, 0, &shape)?;
        let mut reached = Rows::none(search.place())?;
        let mut x = rows::map(Twin::NONE, [search.clean(), &noise], |_, [x0, t], x| {
            x.iter_mut().zip(x0).zip(t).for_each(|((x, x0), t)| *x = x0 + t);
            step::pull_l1(x0, &step::difference(x, x0), 3.0 * self.task.eps, x);
        })?;
        let n_iter = self.task.n_iter;
        let long = (0.3 * n_iter as f64).ceil() as usize;
        let stages = [(3.0, long), (2.0, long), (1.0, n_iter.saturating_sub(2 * long))];
        for (factor, n_iter) in stages {
            let eps = factor * self.task.eps;
            x = rows::map(twin!("apgd_pull_l1", eps), [search.clean(), &x], |_, [x0, x], out| {
                out.copy_from_slice(x);
                step::pull_l1(x0, &step::difference(x, x0), eps, out);
            })?;
            // The published run draws a random start even when it is given another one.
            search.skip_normal_batch(&shape);
            let task = Task { eps, n_iter, judged: factor == 1.0, ..self.task };
            let mut run = Run::start(search, task, targets, x, false)?;
            run.finish(search)?;
            (x, targets, reached) = (run.x_best, run.targets, run.loss_best);
        }
        Ok(reached)
    }

    fn warn_of_fallback(&self, search: &Search<'_>) {
        let needed = if self.n_target_classes > 0 || search.targets().is_some() { 4 } else { 3 };
        if self.task.loss == Loss::Dlr && search.classes() < needed {
            self.fallback.call_once(|| {
                tracing::warn!(
                    classes = search.classes(),
                    needed,
                    "too few classes for the difference of logits ratio: {}",
                    if search.classes() == 2 {
                        "the plain difference of logits takes its place"
                    } else {
                        "its denominator is that of the untargeted form"
                    }
                );
            });
        }
    }
}

/// For each image the `n` classes other than its own with the largest clean logits, in that order;
/// fewer if there are not so many.
pub(super) fn other_classes(search: &mut Search<'_>, n: usize) -> Result<Vec<Vec<u32>>> {
    let clean = search.clean().clone();
    let logits = search.logits(&clean)?;
    let others = |(z, label): (&[f32], &u32)| {
        let order = descending(z).into_iter().map(|class| class as u32);
        order.filter(|class| class != label).take(n).collect()
    };
    let logits = logits.values()?;
    Ok(logits.chunks_exact(search.classes()).zip(search.labels()).map(others).collect())
}

#[cfg(test)]
mod tests;
