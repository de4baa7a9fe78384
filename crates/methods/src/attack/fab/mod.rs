//! FAB, the fast adaptive boundary attack (Croce and Hein, ICML 2020), in the form AutoAttack uses
//! it: from the clean image to the closest adversarial one, by projections on the hyperplane at
//! which the network, linearised, changes its mind. Two entries: `fab` looks at every class and
//! takes the nearest hyperplane, `fab-t` runs once towards each of the likeliest wrong classes.

mod boundary;
mod projection;
mod run_state;
mod start;

pub(super) use self::projection::{dual, length};
use self::run_state::RunState;
use super::apgd::other_classes;
use super::gradient::{CONVEX, ball};
use super::search::image_state;
use super::{Attack, Entry, HyperParameters, Objective, Search};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::Rows;
use crate::threat::{Norm, Threat};

pub(super) const FAB: Entry = Entry {
    name: "fab",
    about: "smallest perturbation by projections on linearised boundaries (Croce and Hein 2020)",
    threats: CONVEX,
    is_control: false,
    fields: &[Fab::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Fab::new(norm, eps).build(parameters)
    },
};

pub(super) const FAB_T: Entry = Entry {
    name: "fab-t",
    about: "FAB towards one likely class after the other (Croce and Hein 2020, in AutoAttack)",
    threats: CONVEX,
    is_control: false,
    fields: &[Fab::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Fab::targeted(norm, eps).build(parameters)
    },
};

/// What becomes of an image for which an adversarial image within eps was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// It is done at once.
    First,
    /// It is done at the end of the run, with the closest of the run, as in the published code. The
    /// same images are broken.
    Run,
    /// The closest of all runs counts, at any distance.
    Closest,
}

impl std::str::FromStr for Keep {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "first" => Ok(Self::First),
            "run" => Ok(Self::Run),
            "closest" => Ok(Self::Closest),
            _ => Err("one of first, run, closest"),
        }
    }
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Run => "run",
            Self::Closest => "closest",
        })
    }
}

documented! {
    /// `fab` and `fab-t` (Croce and Hein, ICML 2020), in the form that AutoAttack uses.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fab {
        /// Norm of the ball, and of the perturbation that is to be small.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// `fab-t`: number of classes to run towards, one by one, at least 1. `fab`: none, all classes at once, with a
        /// backward pass for each class and iteration.
        pub n_target_classes: Option<usize>,
        /// Number of restarts, for each target class; at least 1. All but the first begin at random.
        pub n_restarts: usize,
        /// Iterations of a restart, at least 1.
        pub n_iter: usize,
        /// Largest weight of the way back to the clean image, above 0.
        pub alpha_max: f64,
        /// Overshoot of a step beyond the linearised boundary, above 0; 1 for none.
        pub eta: f32,
        /// Share of the perturbation that is left when an adversarial image is pulled towards the clean one, above 0.
        pub beta: f32,
        /// What becomes of an image that was broken.
        pub keep: Keep,
    }
}

/// What outlives a run, of the active images.
struct Images {
    /// The wrong classes to run towards, the likeliest first; none to look at all of them.
    classes: Vec<Vec<u32>>,
    /// Distance of the closest adversarial image of all runs, `[N]`.
    closest: Rows,
}
image_state!(Images { classes, closest });

impl Fab {
    /// Every class at once, with AutoAttack's values: one restart of 100 iterations.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self {
            norm,
            eps,
            n_target_classes: None,
            n_restarts: 1,
            n_iter: 100,
            alpha_max: 0.1,
            eta: 1.05,
            beta: 0.9,
            keep: Keep::First,
        }
    }

    /// Towards nine classes, one by one, as in AutoAttack (Croce and Hein, ICML 2020, section 5).
    pub fn targeted(norm: Norm, eps: f32) -> Self {
        Self { n_target_classes: Some(9), ..Self::new(norm, eps) }
    }

    /// The classes each image runs towards: the target where there is one, otherwise the wrong ones
    /// by their clean logits.
    fn images(&self, search: &mut Search<'_>) -> Result<Images> {
        let classes = match (search.targets(), self.n_target_classes) {
            (Some(targets), _) => targets.iter().map(|target| vec![*target]).collect(),
            (None, None) => vec![vec![]; search.len()],
            (None, Some(most)) => other_classes(search, most)?,
        };
        let closest = Rows::numbers(search.location(), vec![f32::INFINITY; search.len()])?;
        Ok(Images { classes, closest })
    }
}

impl HyperParameters for Fab {
    fn entry(&self) -> &'static Entry {
        if self.n_target_classes.is_none() { &FAB } else { &FAB_T }
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        if let Some(classes) = &mut self.n_target_classes {
            *classes = parameters.count("n_target_classes", *classes)?;
        }
        self.n_restarts = parameters.count("n_restarts", self.n_restarts)?;
        self.n_iter = parameters.count("n_iter", self.n_iter)?;
        self.alpha_max = parameters.positive("alpha_max", self.alpha_max)?;
        self.eta = parameters.positive("eta", f64::from(self.eta))? as f32;
        self.beta = parameters.positive("beta", f64::from(self.beta))? as f32;
        self.keep = parameters.take("keep", self.keep)?;
        Ok(Box::new(self))
    }
}

impl Attack for Fab {
    fn objective(&self) -> Objective {
        if self.keep == Keep::Closest { Objective::Minimal } else { Objective::Budget }
    }

    fn losses(&self) -> Vec<Loss> {
        // Differences of two logits.
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], classes: usize) -> Option<f64> {
        let others = classes.saturating_sub(1);
        // Towards a class the difference of two logits is pulled back, and otherwise each of them.
        let (runs, pulls) = match self.n_target_classes {
            Some(targets) => (targets.min(others), 1),
            None => (1, others),
        };
        let run = self.n_iter as f64 * (2 + pulls) as f64 + 1.0;
        Some(self.n_restarts as f64 * runs as f64 * run + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut images = self.images(search)?;
        let runs = images.classes[0].len().max(1);
        for run in 0..runs * self.n_restarts {
            let (rank, restart) = (run / self.n_restarts, run % self.n_restarts);
            let x = if restart == 0 {
                search.clean().clone()
            } else {
                start::random(search, self.norm, run as u32, &images.closest, self.eps)?
            };
            RunState::new(self, search, &mut images, rank, x)?.run(search)?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
