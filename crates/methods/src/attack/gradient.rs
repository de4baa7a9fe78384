//! FGSM, BIM and PGD: steps along the gradient, each projected back into the ball. They differ in the
//! number of steps and in where they start.

use super::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Twin, twin};
use crate::threat::{Norm, Threat};

pub(super) const ALL_NORMS: Threats = Threats::Balls(&[Norm::Linf, Norm::L2, Norm::L1]);

/// One step of length eps (Goodfellow, Shlens and Szegedy, ICLR 2015, section 4).
pub(super) const FGSM: Entry = Entry {
    name: "fgsm",
    about: "one gradient step of length eps (Goodfellow et al. 2015)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Ok(Box::new(Pgd {
            norm,
            eps,
            alpha: eps,
            steps: 1,
            restarts: 1,
            random_start: false,
            loss: parameters.take("loss", Loss::CrossEntropy)?,
            iterate: Iterate::Last,
        }))
    },
};

/// PGD without a random start (Kurakin, Goodfellow and Bengio, ICLR 2017 workshop).
pub(super) const BIM: Entry = Entry {
    name: "bim",
    about: "gradient steps from the clean image (Kurakin et al. 2017)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Ok(Box::new(Pgd {
            norm,
            eps,
            alpha: parameters.positive("alpha", f64::from(eps) / 5.0)? as f32,
            steps: parameters.count("steps", 10)?,
            restarts: 1,
            random_start: false,
            loss: parameters.take("loss", Loss::CrossEntropy)?,
            iterate: parameters.take("iterate", Iterate::Any)?,
        }))
    },
};

/// Projected gradient descent (Madry et al., ICLR 2018). The defaults are the paper's for MNIST under
/// Linf (40 steps of eps / 30), and 100 steps of 2.5 eps / 100, its rule for L2, for the others.
pub(super) const PGD: Entry = Entry {
    name: "pgd",
    about: "projected gradient steps with random starts (Madry et al. 2018)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        let (steps, alpha) = match norm {
            Norm::Linf => (40, f64::from(eps) / 30.0),
            Norm::L2 | Norm::L1 => (100, f64::from(eps) / 40.0),
        };
        Ok(Box::new(Pgd {
            norm,
            eps,
            alpha: parameters.positive("alpha", alpha)? as f32,
            steps: parameters.count("steps", steps)?,
            restarts: parameters.count("restarts", 1)?,
            random_start: parameters.take("random_start", true)?,
            loss: parameters.take("loss", Loss::CrossEntropy)?,
            iterate: parameters.take("iterate", Iterate::Any)?,
        }))
    },
};

/// Norm and radius.
pub(super) fn ball(threat: &Threat) -> (Norm, f32) {
    match threat {
        Threat::Ball { norm, eps } => (*norm, *eps),
        // `configure` lets only balls through to these attacks.
        Threat::Patch(_) => (Norm::Linf, 1.0),
    }
}

/// Which iterates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Iterate {
    /// Every one: an image is broken when any of them is misclassified, and it leaves at once.
    Any,
    /// The last one, as in the attacks of most published tables.
    Last,
}

impl std::str::FromStr for Iterate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self::Any),
            "last" => Ok(Self::Last),
            _ => Err("one of any, last"),
        }
    }
}

impl std::fmt::Display for Iterate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Any { "any" } else { "last" })
    }
}

struct Pgd {
    norm: Norm,
    eps: f32,
    alpha: f32,
    steps: usize,
    restarts: usize,
    random_start: bool,
    loss: Loss,
    iterate: Iterate,
}

impl Attack for Pgd {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let geometry = self.norm.geometry();
        for restart in 0..self.restarts as u32 {
            let mut x = search.clean().clone();
            if self.random_start {
                x = rows::map(Twin::NONE, [&x], |row, [x0], x| {
                    geometry.random(search.draw(row, restart, 0), x0, self.eps, x);
                    geometry.project(x, x0, self.eps);
                })?;
            }
            for _ in 0..self.steps {
                let mut at = search.gradient(&x, self.loss)?;
                if self.iterate == Iterate::Any {
                    search.propose(&x.clone(), &at.logits, (&mut x, &mut at.gradient))?;
                    if search.is_empty() {
                        return Ok(());
                    }
                }
                // x <- Proj(x + alpha * direction(g))
                let twin = twin!("pgd_step", self.norm.number(), self.alpha, self.eps);
                x = rows::map(twin, [&x, &at.gradient, search.clean()], |_, [x, g, x0], next| {
                    next.copy_from_slice(x);
                    geometry.ascend(next, g, self.alpha);
                    geometry.project(next, x0, self.eps);
                })?;
            }
            let logits = search.logits(&x)?;
            search.propose(&x, &logits, ())?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}
