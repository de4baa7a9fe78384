//! Auto-PGD (Croce and Hein, ICML 2020, sections 3 and 4; for L1: ICML 2021): gradient steps with
//! momentum whose length follows the course of the loss, so that there is no step size to choose.
//! Two of the four attacks of AutoAttack are made of it. Parameters have the names of the published
//! code; their defaults are AutoAttack's `standard`.
//!
//! A broken image leaves at once, here as everywhere. The published code lets it run on, which
//! changes neither the other images nor what is broken.

mod run;
mod step;
mod step_schedule;

use std::sync::Once;

pub(super) use self::run::choose;
use self::run::{Run, Task};
pub(super) use self::step::start as random_start;
use super::gradient::{CONVEX, ball};
use super::{Attack, Entry, HyperParameters, Search};
use crate::error::Result;
use crate::loss::{Loss, descending};
use crate::parameters::{Documented, Parameters, documented};
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::{Norm, Threat};

pub(super) const APGD_CE: Entry = Entry {
    name: "apgd-ce",
    about: "Auto-PGD on the cross-entropy (Croce and Hein 2020, 2021)",
    threats: CONVEX,
    is_control: false,
    fields: &[Apgd::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Apgd::ce(norm, eps).build(parameters)
    },
};

pub(super) const APGD_DLR: Entry = Entry {
    name: "apgd-dlr",
    about: "Auto-PGD on the difference of logits ratio (Croce and Hein 2020, 2021)",
    threats: CONVEX,
    is_control: false,
    fields: &[Apgd::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Apgd::dlr(norm, eps).build(parameters)
    },
};

pub(super) const APGD_T: Entry = Entry {
    name: "apgd-t",
    about: "Auto-PGD towards the classes with the largest logits (Croce and Hein 2020, 2021)",
    threats: CONVEX,
    is_control: false,
    fields: &[TARGETS, Apgd::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Apgd::targeted(norm, eps).build(parameters)
    },
};

/// What `apgd-t` takes beside the others, in [`ApgdLoss::Targeted`].
const TARGETS: &[Documented] = &[(
    "n_target_classes",
    &["Number of classes, those with the largest clean logits first; at least 1."],
)];

/// What a run of Auto-PGD climbs, and so which attack it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApgdLoss {
    /// `apgd-ce`: the cross-entropy.
    CrossEntropy,
    /// `apgd-dlr`: the difference of logits ratio.
    Dlr,
    /// `apgd-t`: the targeted difference of logits ratio, towards one class after the other. A target only steers
    /// the loss, any wrong class is a success.
    Targeted {
        /// Number of classes, those with the largest clean logits first; at least 1.
        n_target_classes: usize,
    },
}

documented! {
    /// `apgd-ce`, `apgd-dlr` and `apgd-t`: Auto-PGD (Croce and Hein, ICML 2020, sections 3 and 4; for L1: ICML 2021).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Apgd {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// The loss that is maximised.
        pub loss: ApgdLoss,
        /// Iterations of a restart, at least 1.
        pub n_iter: usize,
        /// Number of restarts, for each target class; at least 1.
        pub n_restarts: usize,
        /// Share of the steps since a checkpoint that have to raise the loss, or the step size is halved; above 0.
        pub rho: f64,
        /// Evaluations of the network per gradient, at least 1; more than one for randomised networks.
        pub eot_iter: usize,
        /// Under L1, a restart first runs in balls of 3 and 2 times the radius; no other norm reads it.
        pub use_largereps: bool,
    }
}

impl Apgd {
    /// On the cross-entropy: 100 iterations; one restart, under L1 five.
    pub fn ce(norm: Norm, eps: f32) -> Self {
        Self::new(norm, eps, ApgdLoss::CrossEntropy)
    }

    /// On the difference of logits ratio: as [`Apgd::ce`].
    pub fn dlr(norm: Norm, eps: f32) -> Self {
        Self::new(norm, eps, ApgdLoss::Dlr)
    }

    /// Towards nine classes, under L1 five, one restart of 100 iterations for each.
    pub fn targeted(norm: Norm, eps: f32) -> Self {
        let n_target_classes = if norm == Norm::L1 { 5 } else { 9 };
        Self::new(norm, eps, ApgdLoss::Targeted { n_target_classes })
    }

    fn new(norm: Norm, eps: f32, loss: ApgdLoss) -> Self {
        let targeted = matches!(loss, ApgdLoss::Targeted { .. });
        let n_restarts = if norm == Norm::L1 && !targeted { 5 } else { 1 };
        Self {
            norm,
            eps,
            loss,
            n_iter: 100,
            n_restarts,
            rho: 0.75,
            eot_iter: 1,
            use_largereps: true,
        }
    }

    fn restarts(&self) -> Restarts {
        let Self { norm, eps, n_iter, rho, eot_iter, n_restarts, .. } = *self;
        let (loss, n_target_classes) = match self.loss {
            ApgdLoss::CrossEntropy => (Loss::CrossEntropy, 0),
            ApgdLoss::Dlr => (Loss::Dlr, 0),
            ApgdLoss::Targeted { n_target_classes } => (Loss::Dlr, n_target_classes),
        };
        Restarts {
            task: Task { norm, eps, n_iter, rho, eot_iter, loss, judged: true },
            n_restarts,
            n_target_classes,
            use_largereps: norm == Norm::L1 && self.use_largereps,
            fallback: Once::new(),
        }
    }
}

impl HyperParameters for Apgd {
    fn entry(&self) -> &'static Entry {
        match self.loss {
            ApgdLoss::CrossEntropy => &APGD_CE,
            ApgdLoss::Dlr => &APGD_DLR,
            ApgdLoss::Targeted { .. } => &APGD_T,
        }
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        if let ApgdLoss::Targeted { n_target_classes } = &mut self.loss {
            *n_target_classes = parameters.count("n_target_classes", *n_target_classes)?;
        }
        self.n_iter = parameters.count("n_iter", self.n_iter)?;
        self.rho = parameters.positive("rho", self.rho)?;
        self.eot_iter = parameters.count("eot_iter", self.eot_iter)?;
        self.n_restarts = parameters.count("n_restarts", self.n_restarts)?;
        if self.norm == Norm::L1 {
            self.use_largereps = parameters.take("use_largereps", self.use_largereps)?;
        }
        Ok(Box::new(self.restarts()))
    }
}

/// The attack while it runs.
struct Restarts {
    task: Task,
    n_restarts: usize,
    /// Runs towards that many classes; 0: towards none in particular.
    n_target_classes: usize,
    /// First runs in balls of 3 and 2 times the radius.
    use_largereps: bool,
    fallback: Once,
}

/// A run of `n_iter` iterations in the L1 ball on the margin, its restart `number`, with `larger` in balls of 3 and 2
/// times the radius first. Returns the largest loss that it reached of each image that is left, `[N]`.
///
/// # Errors
/// If the network fails.
pub(super) fn descend_l1(
    search: &mut Search<'_>,
    (eps, n_iter, larger): (f32, usize, bool),
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
    let apgd =
        Restarts { task, n_restarts: 1, n_target_classes: 0, use_largereps: larger, fallback };
    if larger {
        return apgd.decrease_eps(search, number, targets);
    }
    let x = apgd.start(search, number)?;
    let mut run = Run::start(search, task, targets, x, true)?;
    run.finish(search)?;
    Ok(run.loss_best)
}

impl Attack for Restarts {
    fn losses(&self) -> Vec<Loss> {
        vec![self.task.loss]
    }

    fn most_passes(&self, _: [usize; 3], classes: usize) -> Option<f64> {
        let Task { norm, n_iter, eot_iter, .. } = self.task;
        let targets = self.n_target_classes.min(classes.saturating_sub(1)).max(1);
        let runs = self.n_restarts as f64 * targets as f64;
        // Under L1 a success is looked at again without its smallest changes, and a run may have three parts.
        let (starts, each) = if norm == Norm::L1 { (3.0, 3.0) } else { (1.0, 2.0) };
        Some(runs * (n_iter as f64 + starts) * each * eot_iter as f64 + 1.0)
    }

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
                let towards =
                    towards.map(|of| Rows::classes(search.location(), &of)).transpose()?;
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

impl Restarts {
    fn start(&self, search: &mut Search<'_>, number: u32) -> Result<Rows> {
        let Task { norm, eps, .. } = self.task;
        let shape = search.shape();
        let noise = match norm {
            Norm::Linf => search.uniform_batch(number, 0, &shape)?,
            _ => search.normal_batch(number, 0, &shape)?,
        };
        let kernel = kernel!("apgd_start", norm.number(), eps);
        rows::map(kernel, [search.clean(), &noise], |_, [x0, t], x| {
            step::start(norm, x0, t, eps, x)
        })
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
        let mut reached = Rows::none(search.location())?;
        let mut x = rows::map(Kernel::NONE, [search.clean(), &noise], |_, [x0, t], x| {
            x.iter_mut().zip(x0).zip(t).for_each(|((x, x0), t)| *x = x0 + t);
            step::pull_l1(x0, &step::difference(x, x0), 3.0 * self.task.eps, x);
        })?;
        let n_iter = self.task.n_iter;
        let long = (0.3 * n_iter as f64).ceil() as usize;
        let stages = [(3.0, long), (2.0, long), (1.0, n_iter.saturating_sub(2 * long))];
        for (factor, n_iter) in stages {
            let eps = factor * self.task.eps;
            x = rows::map(
                kernel!("apgd_pull_l1", eps),
                [search.clean(), &x],
                |_, [x0, x], out| {
                    out.copy_from_slice(x);
                    step::pull_l1(x0, &step::difference(x, x0), eps, out);
                },
            )?;
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
    likeliest(search, &logits, n)
}

/// [`other_classes`] by logits `[N, K]` that are known, of all active images.
pub(super) fn likeliest(search: &Search<'_>, logits: &Rows, n: usize) -> Result<Vec<Vec<u32>>> {
    let others = |(z, label): (&[f32], &u32)| {
        let order = descending(z).into_iter().map(|class| class as u32);
        order.filter(|class| class != label).take(n).collect()
    };
    let logits = logits.values()?;
    Ok(logits.chunks_exact(search.classes()).zip(search.labels()).map(others).collect())
}

#[cfg(test)]
mod tests;
