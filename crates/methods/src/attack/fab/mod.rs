//! FAB, the fast adaptive boundary attack (Croce and Hein, ICML 2020), in the form AutoAttack uses
//! it: from the clean image to the closest adversarial one, by projections on the hyperplane at
//! which the network, linearised, changes its mind. Two entries: `fab` looks at every class and
//! takes the nearest hyperplane, `fab-t` runs once towards each of the likeliest wrong classes.

mod boundary;
mod course;
mod projection;
mod start;

use self::course::Course;
pub(super) use self::projection::{dual, length};
use super::apgd::other_classes;
use super::gradient::{ALL_NORMS, ball};
use super::search::per_image;
use super::{Attack, Entry, Objective, Parameters, Search};
use crate::error::Result;
use crate::rows::Rows;
use crate::threat::{Norm, Threat};

/// Every class at once: one backward pass per class and iteration.
pub(super) const FAB: Entry = Entry {
    name: "fab",
    about: "smallest perturbation by projections on linearised boundaries (Croce and Hein 2020)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| Ok(Box::new(Fab::new(parameters, threat, None)?)),
};

/// One class at a time, as in AutoAttack (Croce and Hein, ICML 2020, section 5).
pub(super) const FAB_T: Entry = Entry {
    name: "fab-t",
    about: "FAB towards one likely class after the other (Croce and Hein 2020, in AutoAttack)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let targets = parameters.count("n_target_classes", 9)?;
        Ok(Box::new(Fab::new(parameters, threat, Some(targets))?))
    },
};

/// What becomes of an image for which an adversarial image within eps was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
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

struct Fab {
    norm: Norm,
    eps: f32,
    /// Number of classes to run towards one by one; none for all at once.
    n_target_classes: Option<usize>,
    n_restarts: usize,
    n_iter: usize,
    alpha_max: f64,
    eta: f32,
    beta: f32,
    keep: Keep,
}

/// What outlives a run, of the active images.
struct Images {
    /// The wrong classes to run towards, the likeliest first; none to look at all of them.
    classes: Vec<Vec<u32>>,
    /// Distance of the closest adversarial image of all runs, `[N]`.
    closest: Rows,
}
per_image!(Images { classes, closest });

impl Fab {
    fn new(
        parameters: &mut Parameters,
        threat: &Threat,
        n_target_classes: Option<usize>,
    ) -> Result<Self> {
        let (norm, eps) = ball(threat);
        Ok(Self {
            norm,
            eps,
            n_target_classes,
            n_restarts: parameters.count("n_restarts", 1)?,
            n_iter: parameters.count("n_iter", 100)?,
            alpha_max: parameters.positive("alpha_max", 0.1)?,
            eta: parameters.positive("eta", 1.05)? as f32,
            beta: parameters.positive("beta", 0.9)? as f32,
            keep: parameters.take("keep", Keep::First)?,
        })
    }

    /// The classes each image runs towards: the target where there is one, otherwise the wrong ones
    /// by their clean logits.
    fn images(&self, search: &mut Search<'_>) -> Result<Images> {
        let classes = match (search.targets(), self.n_target_classes) {
            (Some(targets), _) => targets.iter().map(|target| vec![*target]).collect(),
            (None, None) => vec![vec![]; search.len()],
            (None, Some(most)) => other_classes(search, most)?,
        };
        let closest = Rows::numbers(search.place(), vec![f32::INFINITY; search.len()])?;
        Ok(Images { classes, closest })
    }
}

impl Attack for Fab {
    fn objective(&self) -> Objective {
        if self.keep == Keep::Closest { Objective::Minimal } else { Objective::Budget }
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
            Course::new(self, search, &mut images, rank, x)?.run(search)?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
