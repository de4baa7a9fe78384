//! The sealed part of every attack: which images are attacked at all, what counts as found, and what
//! a row of results says. An attack cannot reach any of it.

use rayon::prelude::*;

use super::criterion::Criterion;
use super::noise::Noise;
use super::search::location_of;
use super::{Configured, Goal, Search};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Classifier, predicted};
use crate::rng::Randomness;
use crate::rows::{Location, Rows};
use crate::threat::{Threat, differs};

/// Everything about a call but the network, the attack and the images. Write what differs from the default and
/// `..Request::default()`: there may be more fields one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// What the attacker wants.
    pub goal: Goal,
    /// Seed of the randomness.
    pub seed: u64,
    /// Where random numbers come from.
    pub randomness: Randomness,
}

/// What the attack did to one image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Index of the image in its data set.
    pub id: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the clean image.
    pub clean_prediction: u32,
    /// The class that a targeted attack aims at.
    pub target: Option<u32>,
    /// A verified adversarial image was found, or the clean image is already misclassified.
    pub found: bool,
    /// The attack that found it, which may be a part of the one that ran; `clean` for a misclassified
    /// clean image, empty if nothing was found.
    pub by: String,
    /// The adversarial image, `[C, H, W]`; the clean one if nothing was found.
    pub image: Vec<f32>,
    /// Predicted class of `image`.
    pub prediction: u32,
    /// Distance of `image` from the clean image in the threat's norm; infinite if nothing was found.
    pub distance: f64,
    /// `image` with its values rounded to 8 bits is still what the attacker wants. Under L0 values that are those of the
    /// clean image stay as they are, so that no more are changed than before.
    pub found_8bit: bool,
    /// Forward passes of the search.
    pub forwards: u64,
    /// Backward passes of the search.
    pub backwards: u64,
    /// Candidates that succeeded in the precision of the search and not in the one that results are
    /// judged in; `None` where the two are the same.
    pub unconfirmed: Option<u64>,
}

impl Outcome {
    /// Of the image number `id` of class `label` before any attack: a misclassified one counts as found, any other
    /// as one of which nothing was found, without passes.
    pub fn untouched(id: u64, label: u32, clean_prediction: u32, image: Vec<f32>) -> Self {
        let found = clean_prediction != label;
        Self {
            id,
            label,
            clean_prediction,
            target: None,
            found,
            by: if found { "clean" } else { "" }.into(),
            image,
            prediction: clean_prediction,
            distance: if found { 0.0 } else { f64::INFINITY },
            found_8bit: found,
            forwards: 0,
            backwards: 0,
            unconfirmed: None,
        }
    }
}

/// Attacks a batch: one outcome per image, in order. An image's outcome does not depend on the
/// others. A network that declares itself randomised is asked 11 times for every prediction, clean or
/// adversarial, and the most frequent answer counts; its outcomes are those of this vote.
///
/// # Errors
/// If shapes or labels do not fit the network, or the network fails.
///
/// ```
/// use epsball_engine::model::file::{Declared, load};
/// use epsball_methods::attack::{Configured, Pgd, Request, attack};
/// use epsball_methods::data;
/// use epsball_methods::threat::Norm;
/// # std::env::set_current_dir("../..")?;
///
/// let model = load("benchmarks/models/digits-standard.safetensors".as_ref(), &Declared::default())?.0;
/// let batch = data::open("digits:test")?.read(&(0..20).collect::<Vec<_>>())?;
///
/// let pgd = Configured::of(Pgd { steps: 20, ..Pgd::new(Norm::Linf, 0.1) })?;
/// let outcomes = attack(&pgd, &model, &batch, &Request::default())?;
///
/// let broken = outcomes.iter().find(|outcome| outcome.by == "pgd").unwrap();
/// assert!(broken.distance <= 0.1 + 1e-6 && broken.prediction != broken.label);
/// let robust = outcomes.iter().filter(|outcome| !outcome.found).count();
/// println!("robust accuracy: {robust} of {}", outcomes.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attack(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
) -> Result<Vec<Outcome>> {
    attack_until(attack, model, batch, request, &|| false)
}

/// As [`attack()`], given up as soon as `stop` says so, which is asked before every pass.
///
/// # Errors
/// As [`attack()`]; [`Error::Interrupted`] if it was stopped.
pub fn attack_until(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Outcome>> {
    let n = batch.len();
    let share = match request.randomness {
        Randomness::PerImage => match model.usage().lanes {
            1 => n,
            lanes => n.div_ceil(lanes).clamp(SMALLEST_SHARE, LARGEST_SHARE),
        },
        Randomness::Torch => n,
    };
    if share >= n {
        return attack_in_memory(attack, model, batch, request, stop);
    }
    let part = |first: usize| {
        let part = part_of(batch, first, share.min(n - first))?;
        attack_in_memory(attack, model, &part, request, stop)
    };
    let firsts: Vec<usize> = (0..n).step_by(share).collect();
    let parts: Vec<_> = firsts.into_par_iter().map(part).collect::<Result<_>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// Fewest images that are worth a thread of their own.
const SMALLEST_SHARE: usize = 8;

/// Most images of a thread at a time: larger batches are no faster there, and a thread that is done with its images takes
/// the next.
const LARGEST_SHARE: usize = 32;

/// [`attack_together`], in halves where a device has too little memory for all.
fn attack_in_memory(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Outcome>> {
    let n = batch.len();
    match attack_together(attack, model, batch, request, stop) {
        Err(error)
            if error.is_out_of_memory() && n > 1 && request.randomness == Randomness::PerImage =>
        {
            tracing::warn!(images = n / 2, "the GPU's memory is full: smaller parts");
            let mut outcomes = Vec::with_capacity(n);
            for (first, count) in [(0, n / 2), (n / 2, n - n / 2)] {
                let half = part_of(batch, first, count)?;
                outcomes.extend(attack_in_memory(attack, model, &half, request, stop)?);
            }
            Ok(outcomes)
        }
        ended => ended,
    }
}

fn part_of(batch: &Batch, first: usize, count: usize) -> Result<Batch> {
    Ok(Batch {
        images: batch.images.narrow(0, first, count)?,
        labels: batch.labels[first..first + count].to_vec(),
        ids: batch.ids[first..first + count].to_vec(),
    })
}

/// Attacks images step by step together. An image's outcome does not depend on the others (unless
/// random numbers are drawn for all of them at once), so every thread may have some for the whole of
/// an attack and nothing waits between its steps.
fn attack_together(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Outcome>> {
    check(attack, model, batch, request)?;
    let n = batch.len();
    let images = batch.rows()?;
    let clean_logits = model.exact_logits(&images)?;
    let clean_predictions = predicted(model, &images, &clean_logits)?;
    let targets = request.goal.targets(batch, &clean_logits, request.seed)?;
    let is_target = |i: usize| targets.as_ref().is_some_and(|t| t[i] == batch.labels[i]);
    let attacked: Vec<usize> =
        (0..n).filter(|i| clean_predictions[*i] == batch.labels[*i] && !is_target(*i)).collect();
    let pick = |values: &[u32]| attacked.iter().map(|i| values[*i]).collect::<Vec<u32>>();
    let objective = attack.search.objective();
    let threat = objective.threat(attack.threat);
    let mut search = Search::new(
        (model, stop),
        threat,
        objective,
        Noise::new(attack.name, request),
        images.select(&attacked)?.at(&location_of(model))?,
        pick(&batch.labels),
        targets.as_deref().map(pick),
        attacked.iter().map(|i| batch.ids[*i]).collect(),
    )?;
    if !search.is_empty() {
        attack.search.run(&mut search)?;
        search.finish()?;
    }

    let (width, approximates) = (images.width(), model.usage().approximates);
    let pixels = images.values()?;
    let untouched = |i: usize| Outcome {
        target: targets.as_ref().map(|targets| targets[i]),
        unconfirmed: approximates.then_some(0),
        ..Outcome::untouched(
            batch.ids[i],
            batch.labels[i],
            clean_predictions[i],
            pixels[i * width..(i + 1) * width].to_vec(),
        )
    };
    let mut outcomes: Vec<Outcome> = (0..n).map(untouched).collect();
    for (row, i) in attacked.iter().enumerate() {
        outcomes[*i].forwards = search.forwards[row];
        outcomes[*i].backwards = search.backwards[row];
        outcomes[*i].unconfirmed = approximates.then(|| search.unconfirmed[row]);
    }
    let found: Vec<(usize, super::search::Found)> = search
        .found
        .into_iter()
        .zip(&attacked)
        .filter_map(|(found, i)| Some((*i, found?)))
        .collect();
    verify(model, batch, attack.name, &threat, targets.as_deref(), found, &mut outcomes)?;
    Ok(outcomes)
}

/// Accepts of what the search found only what the network and the threat model confirm.
fn verify(
    model: &dyn Classifier,
    batch: &Batch,
    name: &'static str,
    threat: &Threat,
    targets: Option<&[u32]>,
    found: Vec<(usize, super::search::Found)>,
    outcomes: &mut [Outcome],
) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let shape = model.info().input_shape;
    // As they are, and rounded to 8 bits: one batch.
    let pixels = found.iter().flat_map(|(_, found)| &found.image);
    let clean = found.iter().flat_map(|(i, _)| &outcomes[*i].image);
    // Where changed values are counted, rounding changes no further ones.
    let counted = matches!(threat, Threat::Ball { norm, .. } if norm.counts());
    let rounded =
        pixels.clone().zip(clean).map(|(value, clean)| match counted && !differs(*value, *clean) {
            true => *value,
            false => (value * 255.0).round() / 255.0,
        });
    let [c, h, w] = shape;
    let numbers = pixels.copied().chain(rounded).collect();
    let images = Rows::new(&Location::default(), [2 * found.len(), c, h, w], numbers)?;
    let predictions = predicted(model, &images, &model.exact_logits(&images)?)?;
    let (exact, rounded) = predictions.split_at(found.len());
    for (((i, found), exact), rounded) in found.iter().zip(exact).zip(rounded) {
        let criterion = Criterion::new(batch.labels[*i], targets.map(|targets| targets[*i]));
        let outcome = &mut outcomes[*i];
        if !criterion.met_by(*exact) || !threat.allows(&found.image, &outcome.image, shape) {
            tracing::warn!(image = outcome.id, "a candidate was not confirmed and is not counted");
            continue;
        }
        outcome.found = true;
        outcome.by = found.by.unwrap_or(name).into();
        outcome.distance = threat.distance(&found.image, &outcome.image, shape[0]);
        outcome.image.clone_from(&found.image);
        outcome.prediction = *exact;
        outcome.found_8bit = criterion.met_by(*rounded);
    }
    Ok(())
}

/// Refuses a network, labels or a goal that no attack can work with.
///
/// # Errors
/// If one of them is so.
pub(super) fn check(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    request: &Request,
) -> Result<()> {
    let info = model.info();
    if info.classes < 2 {
        return Err(Error::setting(
            format!("model {}", info.name),
            "has fewer than two classes",
            "an attack needs another class to reach",
        ));
    }
    batch.check_labels(info)?;
    request.goal.check(info)?;
    attack.search.check_shape(info.input_shape)?;
    match attack.threat {
        Threat::Patch(patch) if patch.places(info.input_shape) == 0 => Err(Error::setting(
            "patch",
            format!("{patch} is larger than the image {:?}", info.input_shape),
            "choose a smaller patch",
        )),
        _ => Ok(()),
    }
}
