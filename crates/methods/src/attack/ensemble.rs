//! Several attacks, one after the other, each on the images that those before it left: AutoAttack
//! (Croce and Hein, ICML 2020, section 6), whose name is kept for its published compositions, and
//! `ensemble` for any other.

use std::collections::BTreeMap;

use super::gradient::{CONVEX, ball};
use super::{Apgd, Attack, Configured, Entry, Fab, HyperParameters, Search, Square, configure};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::threat::{Norm, Threat};

pub(super) const AUTOATTACK: Entry = Entry {
    name: "autoattack",
    about: "apgd-ce, apgd-t, fab-t, square, each on what the others left (Croce and Hein 2020)",
    threats: CONVEX,
    is_control: false,
    fields: &[AutoAttack::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        AutoAttack::new(norm, eps).build(parameters)
    },
};

pub(super) const ENSEMBLE: Entry = Entry {
    name: "ensemble",
    about: "the attacks in `attacks`, in order, each on what the others left",
    threats: CONVEX,
    is_control: false,
    fields: &[Ensemble::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Ensemble::new(norm, eps).build(parameters)
    },
};

/// A composition that the published code has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// `standard`: APGD-CE, APGD-T, FAB-T, Square.
    Standard,
    /// `plus`: APGD-CE, APGD-DLR and FAB with five restarts, Square, APGD-T, FAB-T.
    Plus,
    /// `rand`, for randomised networks: APGD-CE and APGD-DLR, each gradient over 20 evaluations.
    Rand,
}

impl std::str::FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "standard" => Ok(Self::Standard),
            "plus" => Ok(Self::Plus),
            "rand" => Ok(Self::Rand),
            _ => Err("one of standard, plus, rand (any other composition is an `ensemble`)"),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
        })
    }
}

documented! {
    /// `autoattack` (Croce and Hein, ICML 2020, section 6) in a published version.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AutoAttack {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Which attacks it consists of.
        pub version: Version,
        /// Images per call of a part, at least 1. Matters only where random numbers are drawn for a whole batch.
        pub batch_size: usize,
    }
}

impl AutoAttack {
    /// The version `standard`, in batches of 250 images as published.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, version: Version::Standard, batch_size: 250 }
    }
}

impl HyperParameters for AutoAttack {
    fn entry(&self) -> &'static Entry {
        &AUTOATTACK
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let version = parameters.take("version", self.version)?;
        let batch = parameters.count("batch_size", self.batch_size)?;
        Ok(Box::new(Parts { parts: published(version, self.norm, self.eps)?, batch }))
    }
}

documented! {
    /// `ensemble`: any other composition, with the defaults of its attacks.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Ensemble {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Names of the attacks in their order, with spaces or commas in between; no ensembles.
        pub attacks: String,
        /// Images per call of a part, at least 1. Matters only where random numbers are drawn for a whole batch.
        pub batch_size: usize,
    }
}

impl Ensemble {
    /// APGD-CE and APGD-T.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, attacks: "apgd-ce apgd-t".into(), batch_size: 250 }
    }
}

impl HyperParameters for Ensemble {
    fn entry(&self) -> &'static Entry {
        &ENSEMBLE
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let threat = self.threat();
        let parts = parameters
            .take("attacks", self.attacks)?
            .split([' ', ','])
            .filter(|name| !name.is_empty())
            .map(|name| {
                let part = configure(name, &threat, &BTreeMap::new())?;
                match part.search.parts().is_empty() {
                    true => Ok(part),
                    false => Err(Error::setting(
                        "ensemble: attacks",
                        format!("`{name}` is an ensemble itself"),
                        "name single attacks",
                    )),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let batch = parameters.count("batch_size", self.batch_size)?;
        Ok(Box::new(Parts { parts, batch }))
    }
}

/// The ensemble of `parts`, which are run in their order, each with the hyper-parameters that it has, on what those
/// before it left; `batch_size` as [`AutoAttack::batch_size`].
///
/// # Errors
/// If there are no parts, they are under different threat models, or one is an ensemble itself.
pub fn composed(parts: Vec<Configured>, batch_size: usize) -> Result<Configured> {
    let refuse =
        |problem: &str, remedy: &str| Err(Error::setting("ensemble: attacks", problem, remedy));
    let Some(threat) = parts.first().map(|part| part.threat) else {
        return refuse("there are none", "name at least one attack");
    };
    if parts.iter().any(|part| part.threat != threat) {
        return refuse("they are under different threat models", "choose one norm and one eps");
    }
    if parts.iter().any(|part| !part.search.parts().is_empty()) {
        return refuse("one of them is an ensemble itself", "name single attacks");
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let own = parts.iter().enumerate().flat_map(|(number, part)| {
        let named = move |(name, value): (&String, &String)| {
            (format!("{} {}: {name}", number + 1, part.name), value.clone())
        };
        part.parameters.iter().map(named)
    });
    let whole = [("attacks", names.join(" ")), ("batch_size", batch_size.to_string())];
    let parameters = whole.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(own);
    let parameters = parameters.collect();
    let search = Parts { parts, batch: batch_size.max(1) };
    Ok(Configured { parameters, ..Configured::new(ENSEMBLE.name, threat, search)? })
}

/// The attacks of a version, with what it changes of their defaults.
pub(super) fn published(version: Version, norm: Norm, eps: f32) -> Result<Vec<Configured>> {
    let [ce, dlr, t] = [Apgd::ce, Apgd::dlr, Apgd::targeted].map(|apgd| apgd(norm, eps));
    let square = || Configured::of(Square::new(norm, eps));
    let fab_t = || Configured::of(Fab::targeted(norm, eps));
    match version {
        Version::Standard => Ok(vec![Configured::of(ce)?, Configured::of(t)?, fab_t()?, square()?]),
        Version::Plus => Ok(vec![
            Configured::of(Apgd { n_restarts: 5, ..ce })?,
            Configured::of(Apgd { n_restarts: 5, ..dlr })?,
            Configured::of(Fab { n_restarts: 5, ..Fab::new(norm, eps) })?,
            square()?,
            Configured::of(t)?,
            fab_t()?,
        ]),
        Version::Rand => Ok(vec![
            Configured::of(Apgd { eot_iter: 20, ..ce })?,
            Configured::of(Apgd { eot_iter: 20, ..dlr })?,
        ]),
    }
}

struct Parts {
    parts: Vec<Configured>,
    /// See [`AutoAttack::batch_size`].
    batch: usize,
}

impl Attack for Parts {
    fn parts(&self) -> &[Configured] {
        &self.parts
    }

    fn losses(&self) -> Vec<Loss> {
        self.parts.iter().flat_map(|part| part.search.losses()).collect()
    }

    fn most_passes(&self, shape: [usize; 3], classes: usize) -> Option<f64> {
        self.parts.iter().map(|part| part.search.most_passes(shape, classes)).sum()
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        for part in &self.parts {
            if search.is_empty() {
                break;
            }
            let all: Vec<usize> = (0..search.len()).collect();
            let run = (part.name, part.search.objective(), &all[..]);
            search.part(run, self.batch, &mut |images, _| part.search.run(images))?;
        }
        Ok(())
    }
}
