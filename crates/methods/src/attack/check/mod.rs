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
use super::{Configured, Request, driver};
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Classifier, predictions};
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
    /// Logits `[N, K]` of all images, from one forward each.
    logits: Rows,
    /// The class that each image shall get, of a targeted attack.
    targets: Option<Vec<u32>>,
    /// The images that the attack will be about: classified correctly, and not as their targets.
    attacked: Vec<usize>,
    /// The gradients that the attack follows.
    slopes: Slopes,
    threat: Threat,
    seed: u64,
    /// Images per call of the network.
    size: usize,
}

impl<'a> Subject<'a> {
    fn new(
        attack: &'a Configured,
        model: &'a dyn Classifier,
        batch: &'a Batch,
        request: &Request,
        size: usize,
    ) -> Result<Self> {
        let logits = logits(model, batch, size)?;
        let targets = request.goal.targets(batch, &logits, request.seed)?;
        let right = predictions(&logits)?.into_iter().zip(&batch.labels);
        let right: Vec<bool> = right.map(|(prediction, label)| prediction == *label).collect();
        let is_target = |i: usize| targets.as_ref().is_some_and(|t| t[i] == batch.labels[i]);
        let attacked = (0..batch.len()).filter(|i| right[*i] && !is_target(*i)).collect();
        let (parts, slopes) = (attack.search.parts(), Slopes::default());
        let (threat, seed) = (attack.search.objective().threat(attack.threat), request.seed);
        let mut subject =
            Self { model, batch, parts, logits, targets, attacked, slopes, threat, seed, size };
        let mut losses = attack.search.losses();
        losses.sort_by_key(|loss| loss.number());
        losses.dedup();
        subject.slopes = Slopes::of(&subject, losses)?;
        Ok(subject)
    }
}

/// Logits `[N, K]` of all images, from one forward each, `size` images at a time.
fn logits(model: &dyn Classifier, batch: &Batch, size: usize) -> Result<Rows> {
    let (n, size) = (batch.len(), size.max(1));
    let of = |first: usize| {
        let images = batch.images.narrow(0, first, size.min(n - first))?;
        model.logits(&Rows::of_tensor(&images)?)?.tensor()
    };
    let logits = (0..n).step_by(size).map(of).collect::<Result<Vec<Tensor>>>()?;
    Rows::of_tensor(&Tensor::cat(&logits, 0)?)
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
    // What the attack refuses, it refuses in words of its own.
    if batch.is_empty() || driver::check(attack, model, batch, request).is_err() {
        return Ok(Vec::new());
    }
    let subject = Subject::new(attack, model, batch, request, size)?;
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
