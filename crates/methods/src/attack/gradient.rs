//! FGSM, BIM and PGD: steps along the gradient, each projected back into the ball. They differ in the
//! number of steps and in where they start.

use super::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, kernel};
use crate::threat::{Norm, Threat};

/// The norms whose balls are convex.
pub(super) const CONVEX: Threats = Threats::Balls(&[Norm::Linf, Norm::L2, Norm::L1]);

pub(super) const FGSM: Entry = Entry {
    name: "fgsm",
    about: "one gradient step of length eps (Goodfellow et al. 2015)",
    threats: CONVEX,
    is_control: false,
    fields: &[Fgsm::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Fgsm::new(norm, eps).build(parameters)
    },
};

pub(super) const BIM: Entry = Entry {
    name: "bim",
    about: "gradient steps from the clean image (Kurakin et al. 2017)",
    threats: CONVEX,
    is_control: false,
    fields: &[Bim::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Bim::new(norm, eps).build(parameters)
    },
};

pub(super) const PGD: Entry = Entry {
    name: "pgd",
    about: "projected gradient steps with random starts (Madry et al. 2018)",
    threats: CONVEX,
    is_control: false,
    fields: &[Pgd::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Pgd::new(norm, eps).build(parameters)
    },
};

documented! {
    /// `fgsm`: one step of length eps (Goodfellow, Shlens and Szegedy, ICLR 2015, section 4).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fgsm {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball and length of the step, in pixel units.
        pub eps: f32,
        /// What the step climbs.
        pub loss: Loss,
    }
}

impl Fgsm {
    /// On the cross-entropy, as in the paper.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, loss: Loss::CrossEntropy }
    }
}

impl HyperParameters for Fgsm {
    fn entry(&self) -> &'static Entry {
        &FGSM
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let Self { norm, eps, loss } = self;
        Ok(Box::new(Pgd {
            alpha: eps,
            steps: 1,
            random_start: false,
            loss: parameters.take("loss", loss)?,
            iterate: Iterate::Last,
            ..Pgd::new(norm, eps)
        }))
    }
}

documented! {
    /// `bim`: PGD without a random start (Kurakin, Goodfellow and Bengio, ICLR 2017 workshop).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Bim {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Length of a step in the norm, above 0.
        pub alpha: f32,
        /// Number of steps, at least 1.
        pub steps: usize,
        /// What the steps climb.
        pub loss: Loss,
        /// Which iterates are judged.
        pub iterate: Iterate,
    }
}

impl Bim {
    /// Ten steps of eps / 5 on the cross-entropy, every one judged.
    pub fn new(norm: Norm, eps: f32) -> Self {
        let alpha = (f64::from(eps) / 5.0) as f32;
        Self { norm, eps, alpha, steps: 10, loss: Loss::CrossEntropy, iterate: Iterate::Any }
    }
}

impl HyperParameters for Bim {
    fn entry(&self) -> &'static Entry {
        &BIM
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let Self { norm, eps, alpha, steps, loss, iterate } = self;
        Ok(Box::new(Pgd {
            alpha: step_length(parameters, alpha, eps)?,
            steps: parameters.count("steps", steps)?,
            random_start: false,
            loss: parameters.take("loss", loss)?,
            iterate: parameters.take("iterate", iterate)?,
            ..Pgd::new(norm, eps)
        }))
    }
}

documented! {
    /// `pgd`: projected gradient descent (Madry et al., ICLR 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pgd {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Length of a step in the norm, above 0.
        pub alpha: f32,
        /// Steps of a restart, at least 1.
        pub steps: usize,
        /// Number of restarts, at least 1. Without a random start they are all the same.
        pub restarts: usize,
        /// A restart begins at a random point of the ball, not at the clean image.
        pub random_start: bool,
        /// What the steps climb.
        pub loss: Loss,
        /// Which iterates are judged.
        pub iterate: Iterate,
    }
}

impl Pgd {
    /// The paper's values for MNIST under Linf (40 steps of eps / 30), and 100 steps of 2.5 eps / 100, its rule for
    /// L2, under the other norms; one random start, the cross-entropy, every iterate judged.
    pub fn new(norm: Norm, eps: f32) -> Self {
        let (steps, alpha) = match norm {
            Norm::Linf => (40, f64::from(eps) / 30.0),
            _ => (100, f64::from(eps) / 40.0),
        };
        Self {
            norm,
            eps,
            alpha: alpha as f32,
            steps,
            restarts: 1,
            random_start: true,
            loss: Loss::CrossEntropy,
            iterate: Iterate::Any,
        }
    }
}

impl HyperParameters for Pgd {
    fn entry(&self) -> &'static Entry {
        &PGD
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.alpha = step_length(parameters, self.alpha, self.eps)?;
        self.steps = parameters.count("steps", self.steps)?;
        self.restarts = parameters.count("restarts", self.restarts)?;
        self.random_start = parameters.take("random_start", self.random_start)?;
        self.loss = parameters.take("loss", self.loss)?;
        self.iterate = parameters.take("iterate", self.iterate)?;
        Ok(Box::new(self))
    }
}

/// `alpha`: above 0, unless the ball is a point, of which the default is a share.
fn step_length(parameters: &mut Parameters, alpha: f32, eps: f32) -> Result<f32> {
    let alpha = f64::from(alpha);
    let alpha = match eps {
        0.0 => parameters.at_least_zero("alpha", alpha)?,
        _ => parameters.positive("alpha", alpha)?,
    };
    Ok(alpha as f32)
}

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
#[non_exhaustive]
pub enum Iterate {
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

impl Attack for Pgd {
    fn losses(&self) -> Vec<Loss> {
        vec![self.loss]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.restarts as f64 * (2.0 * self.steps as f64 + 1.0))
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let geometry = self.norm.geometry();
        for restart in 0..self.restarts as u32 {
            let mut x = search.clean().clone();
            if self.random_start {
                x = rows::map(Kernel::NONE, [&x], |row, [x0], x| {
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
                let kernel = kernel!("pgd_step", self.norm.number(), self.alpha, self.eps);
                x = rows::map(
                    kernel,
                    [&x, &at.gradient, search.clean()],
                    |_, [x, g, x0], next| {
                        next.copy_from_slice(x);
                        geometry.ascend(next, g, self.alpha);
                        geometry.project(next, x0, self.eps);
                    },
                )?;
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
