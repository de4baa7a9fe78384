//! Safety checks around attacks: signs that a robust accuracy is not to be trusted. Those around an
//! ensemble are the ones of the published AutoAttack (Croce and Hein 2020; the code's `checks.py`); those
//! about gradients and outputs are made around every attack. They change no result. Each is one file and
//! one line in [`ALL`]; the runner records what they find.

mod classes;
mod constant;
mod nan_gradients;
mod not_found;
mod optimisation;
mod probabilities;
mod randomised;
mod saturated;
mod slopes;
mod square;
#[cfg(test)]
mod tests;
mod vanishing_gradients;
mod zero_gradients;

use candle_core::Tensor;

pub use probabilities::like_probabilities;

use self::slopes::Slopes;
use super::{Configured, Request};
use crate::data::Batch;
use crate::error::Result;
use crate::loss::Loss;
use crate::model::Classifier;
use crate::record::Finding;
use crate::rows::Rows;
use crate::threat::Threat;

/// Number of images that the checks before the attack look at: the first ones of a job. A constant,
/// so that findings do not depend on the batch size.
pub const IMAGES: usize = 100;

/// A safety check.
pub struct Check {
    /// Name in records.
    pub name: &'static str,
    /// What a finding means for the numbers, as a sentence.
    pub meaning: &'static str,
    /// What to do about it, as a sentence.
    pub remedy: &'static str,
    when: When,
    /// A finding casts doubt on every attack that follows gradients, not on one loss or on the number of its
    /// steps: an attack that spends less than another has to go over to it.
    misleads: bool,
    /// It looks around single attacks too, not only around ensembles.
    single: bool,
}

/// When a check looks, and how: what it has seen if it fires, in the words of [`Finding::seen`].
enum When {
    /// Before the attack, at the network.
    Before(fn(&Subject<'_>) -> Result<Option<String>>),
    /// After the attack, at it and what broke each image of the finished job.
    After(fn(&Configured, &[&str]) -> Option<String>),
}

/// Every check.
pub const ALL: &[Check] = &[
    randomised::CHECK,
    probabilities::CHECK,
    zero_gradients::CHECK,
    vanishing_gradients::CHECK,
    nan_gradients::CHECK,
    saturated::CHECK,
    constant::CHECK,
    optimisation::CHECK,
    classes::CHECK,
    square::CHECK,
    not_found::CHECK,
];

/// What the checks before the attack look at.
struct Subject<'a> {
    model: &'a dyn Classifier,
    batch: &'a Batch,
    /// None for a single attack.
    parts: &'a [Configured],
    /// Whose gradients the attack follows.
    losses: Vec<Loss>,
    /// Filled first.
    slopes: Slopes,
    threat: Threat,
    seed: u64,
    /// Images per call of the network.
    size: usize,
}

impl Subject<'_> {
    /// The images in calls of at most [`Self::size`]: index of the first one, and the images.
    fn chunks(&self) -> impl Iterator<Item = Result<(usize, Rows)>> + '_ {
        let (n, size) = (self.batch.len(), self.size.max(1));
        (0..n).step_by(size).map(move |first| {
            let images = self.batch.images.narrow(0, first, size.min(n - first))?;
            Ok((first, Rows::of_tensor(&images)?))
        })
    }

    /// Logits `[N, K]` of all images, from one forward each.
    fn logits(&self) -> Result<Rows> {
        let logits = self
            .chunks()
            .map(|chunk| self.model.logits(&chunk?.1)?.tensor())
            .collect::<Result<Vec<Tensor>>>()?;
        Rows::of_tensor(&Tensor::cat(&logits, 0)?)
    }
}

/// The checks that belong to an attack.
fn around(attack: &Configured) -> impl Iterator<Item = &'static Check> {
    let single = attack.search.parts().is_empty();
    ALL.iter().filter(move |check| check.single || !single)
}

/// Runs the checks that come before `attack` on `batch`, the first [`IMAGES`] images of a job, `size`
/// images at a time. Empty if no check fires.
///
/// # Errors
/// If the network fails.
pub fn before(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
    size: usize,
) -> Result<Vec<Finding>> {
    let (threat, seed) = (attack.threat, request.seed);
    // Such a network is refused by the attack, in words of its own.
    if batch.is_empty() || model.info().classes < 2 {
        return Ok(Vec::new());
    }
    let (parts, mut losses) = (attack.search.parts(), attack.search.losses());
    losses.sort_by_key(|loss| loss.number());
    losses.dedup();
    let slopes = Slopes::default();
    let mut subject = Subject { model, batch, parts, losses, slopes, threat, seed, size };
    subject.slopes = Slopes::of(&subject)?;
    let mut findings = Vec::new();
    for check in around(attack) {
        if let When::Before(look) = check.when
            && let Some(seen) = look(&subject)?
        {
            findings.push(check.finding(seen));
        }
    }
    Ok(findings)
}

/// Runs the checks that come after `attack`. `by` names what broke each image of the finished job that the attack
/// is about: itself or its part, `clean` for a misclassified one, and nothing for an image that it left.
pub fn after(attack: &Configured, by: &[&str]) -> Vec<Finding> {
    let look = |check: &Check| match check.when {
        When::After(look) => Some(check.finding(look(attack, by)?)),
        When::Before(_) => None,
    };
    around(attack).filter_map(look).collect()
}

/// The check `name` looks before the attack, at the network; `false` if it looks afterwards or is none of these.
pub fn looks_before(name: &str) -> bool {
    ALL.iter().any(|check| check.name == name && matches!(check.when, When::Before(_)))
}

/// The check `name` looks after the attack, at what it broke.
pub fn looks_after(name: &str) -> bool {
    ALL.iter().any(|check| check.name == name && matches!(check.when, When::After(_)))
}

/// The check `name` says that gradients mislead.
pub fn misleads(name: &str) -> bool {
    ALL.iter().any(|check| check.name == name && check.misleads)
}

impl Check {
    fn finding(&self, seen: String) -> Finding {
        Finding {
            check: self.name.into(),
            seen,
            meaning: self.meaning.into(),
            remedy: self.remedy.into(),
        }
    }
}
