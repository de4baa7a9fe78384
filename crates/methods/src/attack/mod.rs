//! Attacks. An author writes the search ([`Attack::run`]); the driver keeps the honesty: it clamps
//! nothing away silently, accepts only candidates inside the threat model, keeps the best one per
//! image, re-predicts it at the end, and counts passes per image. An attack is one file and one line
//! in [`ALL`].

mod apgd;
mod asks;
mod black_box;
pub mod check;
mod configured;
mod criterion;
#[cfg(all(test, feature = "cuda"))]
pub(crate) mod cuda;
mod cw;
mod described;
mod driver;
mod ensemble;
mod fab;
mod fast;
mod goal;
mod gradient;
mod minimum;
mod noise;
mod patch;
mod search;
mod square;
#[cfg(test)]
mod votes;

pub use apgd::{Apgd, ApgdLoss};
pub use asks::{Asks, attacks_that_ask};
pub use black_box::{
    Bandits, Boundary, HopSkipJump, Nes, Rays, SignOpt, Simba, SimbaBasis, SparseRs, Spsa,
};
pub use configured::{Configured, HyperParameters, configure};
pub use criterion::Criterion;
pub use cw::CarliniWagner;
pub use described::{Described, describe};
pub use driver::{Outcome, Request, attack, attack_until};
pub use ensemble::{AutoAttack, Ensemble, Version, composed};
pub use fab::{Fab, Keep};
pub use fast::Fast;
pub use goal::{Goal, Targets};
pub use gradient::{Bim, Fgsm, Iterate, Pgd};
pub use minimum::{
    Alma, BrendelBethge, Ddn, DeepFool, Ead, Fmn, MinNorm, Pdgd, Pdpgd, PgdSweep, SigmaZero,
    SuperDeepFool, TrustRegion, Vfga,
};
pub use patch::SUITE as PATCH_SUITE;
pub use patch::{Grey, PatchPgd, PatchRs, PatchSearch, RandomNoise, Roa};
pub use search::{Evaluation, ImageState, Linearisation, Misfit, Search, passes_made};
pub use square::Square;

use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Documented, Parameters};
use crate::threat::Threat;

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// Any adversarial image inside the threat model; an image that has one is done.
    Budget,
    /// The closest adversarial image; the radius of the threat model does not matter.
    Minimal,
}

impl Objective {
    /// What candidates have to lie inside of in a search under `threat`: for the closest image any distance will do.
    pub(crate) fn threat(self, threat: Threat) -> Threat {
        match (threat, self) {
            (Threat::Ball { norm, .. }, Self::Minimal) => Threat::ball(norm, f32::INFINITY),
            (threat, _) => threat,
        }
    }
}

/// A search for adversarial images.
pub trait Attack: Send + Sync {
    /// What the search looks for.
    fn objective(&self) -> Objective {
        Objective::Budget
    }

    /// The attacks that this one consists of; none if it is a single one. There are safety checks for ensembles
    /// only ([`check`]).
    fn parts(&self) -> &[Configured] {
        &[]
    }

    /// The losses whose gradients the search follows; none if it follows no gradients. Safety checks look at
    /// them ([`check`]).
    fn losses(&self) -> Vec<Loss> {
        Vec::new()
    }

    /// What the search asks of the network; without gradients for logits, unless it or each of its parts says that
    /// classes are enough.
    fn asks(&self) -> Asks {
        match self.losses().is_empty() {
            true => {
                self.parts().iter().map(|part| part.search.asks()).max().unwrap_or(Asks::Logits)
            }
            false => Asks::Gradients,
        }
    }

    /// Forward and backward passes, together, that an image of `shape`, `[C, H, W]`, costs at most in a network of
    /// so many classes that answers alike every time and in f32; `None` if that is not known beforehand. An image that
    /// is broken early costs less.
    fn most_passes(&self, shape: [usize; 3], classes: usize) -> Option<f64> {
        let _ = (shape, classes);
        None
    }

    /// Refuses images of a shape, `[C, H, W]`, for which its hyper-parameters are none.
    ///
    /// # Errors
    /// If these are some.
    fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        let _ = shape;
        Ok(())
    }

    /// The attack that this one stands in for, and how it is to be asked about a part of the images.
    fn reference(&self) -> Option<&Reference> {
        None
    }

    /// Searches, proposing candidates to `search` on the way.
    ///
    /// # Errors
    /// If the network fails.
    fn run(&self, search: &mut Search<'_>) -> Result<()>;
}

/// The attack that another one, which spends less, stands in for: it is asked about some of the images that
/// the other leaves (the control), and about all of them if that shows that the other misses something.
pub struct Reference {
    /// The attack.
    pub attack: Configured,
    /// The control: below 1 a share of the images that are left, but at least [`Reference::LEAST`]; from 1
    /// on a number of images; 0 for none.
    pub control: f64,
    /// Goes over to it for all images that are left if it breaks one of the control, or a safety check says
    /// that gradients mislead.
    pub escalate: bool,
}

impl Reference {
    /// Fewest images of a control that is given as a share.
    pub const LEAST: usize = 5;

    /// How many of `left` images are asked about.
    pub fn images(&self, left: usize) -> usize {
        let control = match self.control {
            0.0 => 0.0,
            share if share < 1.0 => (share * left as f64).ceil().max(Self::LEAST as f64),
            number => number,
        };
        (control as usize).min(left)
    }
}

/// The attack `name` is one with patches, or the suite of them.
pub fn takes_patches(name: &str) -> bool {
    let known = ALL.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
    name.eq_ignore_ascii_case("patch-suite")
        || known.is_some_and(|entry| matches!(entry.threats, Threats::Patch))
}

/// An entry of the list of attacks.
pub struct Entry {
    /// Name on the command line and in suites.
    pub name: &'static str,
    /// What it is, with its source, in one line.
    pub about: &'static str,
    /// The threat models it works under.
    pub threats: Threats,
    /// A control, which no search goes into: shown on a board, not part of the worst case.
    pub is_control: bool,
    fields: &'static [&'static [Documented]],
    build: fn(&mut Parameters, &Threat) -> Result<Box<dyn Attack>>,
}

impl Entry {
    /// It has a hyper-parameter of this name.
    pub fn takes(&self, name: &str) -> bool {
        self.fields.iter().flat_map(|fields| *fields).any(|(known, _)| *known == name)
    }
}

/// Which threat models an attack works under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threats {
    /// Balls in these norms.
    Balls(&'static [crate::threat::Norm]),
    /// A patch.
    Patch,
}

/// Every attack.
pub const ALL: &[Entry] = &[
    gradient::FGSM,
    gradient::BIM,
    gradient::PGD,
    cw::CW_L2,
    minimum::DDN,
    minimum::FMN,
    minimum::DEEPFOOL,
    minimum::SUPERDEEPFOOL,
    minimum::ALMA,
    minimum::PDGD,
    minimum::PDPGD,
    minimum::EAD,
    minimum::TRUST_REGION,
    minimum::BRENDEL_BETHGE,
    minimum::PGD_SWEEP,
    minimum::SIGMA_ZERO,
    minimum::VFGA,
    apgd::APGD_CE,
    apgd::APGD_DLR,
    apgd::APGD_T,
    fab::FAB,
    fab::FAB_T,
    square::SQUARE,
    black_box::RAYS,
    black_box::HOP_SKIP_JUMP,
    black_box::BOUNDARY,
    black_box::SIGN_OPT,
    black_box::NES,
    black_box::SPSA,
    black_box::BANDITS,
    black_box::SIMBA,
    black_box::SPARSE_RS,
    patch::PATCH_PGD,
    patch::ROA,
    patch::PATCH_SEARCH,
    patch::PATCH_RS,
    patch::RANDOM_NOISE,
    patch::GREY,
    ensemble::AUTOATTACK,
    fast::FAST,
    ensemble::ENSEMBLE,
    minimum::MIN_NORM,
];

#[cfg(test)]
pub(crate) mod tests;
