//! Gradients of the losses that an attack climbs, where it begins: whether there is anything to climb. Three
//! checks look at them ([`super::zero_gradients`], [`super::vanishing_gradients`], [`super::nan_gradients`]).

use super::Subject;
use crate::attack::apgd::random_start;
use crate::error::Result;
use crate::loss::Loss;
use crate::rng::Stream;
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

/// What a gradient is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slope {
    /// It has a direction.
    Sound,
    /// Every component is zero.
    Zero,
    /// No component is as large as [`SMALLEST`].
    Vanishing,
    /// A component is not a finite number.
    NotFinite,
}

/// Parts of a gradient that are a hundred millionth of this are below the smallest f32: a network that shortens
/// gradients so far has lost some of them on the way.
const SMALLEST: f32 = 1e-30;

impl Slope {
    fn of(gradient: &[f32]) -> Self {
        if gradient.iter().any(|v| !v.is_finite()) {
            return Self::NotFinite;
        }
        match gradient.iter().fold(0.0_f32, |most, v| most.max(v.abs())) {
            0.0 => Self::Zero,
            most if most < SMALLEST => Self::Vanishing,
            _ => Self::Sound,
        }
    }
}

/// The gradients at the images that the attack will be about, by loss.
#[derive(Default)]
pub(super) struct Slopes {
    of: Vec<(Loss, Vec<Slope>)>,
}

impl Slopes {
    /// Of `losses`; an attack without losses follows no gradients.
    ///
    /// # Errors
    /// If the network fails.
    pub(super) fn of(subject: &Subject<'_>, losses: Vec<Loss>) -> Result<Self> {
        let mut of: Vec<_> = losses.into_iter().map(|loss| (loss, Vec::new())).collect();
        if of.is_empty() {
            return Ok(Self { of });
        }
        let Subject { model, batch, targets, attacked, size, .. } = subject;
        let (images, place) = (batch.rows()?, model.location());
        for chunk in attacked.chunks((*size).max(1)) {
            let clean = images.select(chunk)?.at(&place)?;
            let ids: Vec<u64> = chunk.iter().map(|i| batch.ids[*i]).collect();
            let start = start(subject, &clean, &ids)?;
            let classes = |of: &[u32]| {
                Rows::classes(&place, &chunk.iter().map(|i| of[*i]).collect::<Vec<u32>>())
            };
            let labels = classes(&batch.labels)?;
            let targets = targets.as_deref().map_or_else(|| Rows::none(&place), classes)?;
            for (loss, slopes) in &mut of {
                let gradient = model.evaluate(&start, *loss, &labels, &targets)?.gradient;
                let width = gradient.width().max(1);
                slopes.extend(gradient.values()?.chunks_exact(width).map(Slope::of));
            }
        }
        Ok(Self { of })
    }

    /// The attack follows gradients of `loss`.
    pub(super) fn are_of(&self, loss: Loss) -> bool {
        self.of.iter().any(|(of, _)| *of == loss)
    }

    /// What is seen of the gradients that are `kind`, as `zero gradients on 3 of 20 images`: of the loss with the
    /// most of them, which is named where others have fewer; `None` if there are none.
    pub(super) fn seen(&self, kind: Slope, words: &str) -> Option<String> {
        let count = |slopes: &Vec<Slope>| slopes.iter().filter(|slope| **slope == kind).count();
        let counts: Vec<usize> = self.of.iter().map(|(_, slopes)| count(slopes)).collect();
        let most = counts.iter().copied().max().filter(|most| *most > 0)?;
        let images = self.of.first().map_or(0, |(_, slopes)| slopes.len());
        let seen = format!("{words} on {most} of {images} images");
        if counts.iter().all(|count| *count == most) {
            return Some(seen);
        }
        let with_most = self.of.iter().zip(&counts).filter(|(_, count)| **count == most);
        let losses: Vec<String> = with_most.map(|((loss, _), _)| loss.to_string()).collect();
        Some(format!("{seen} with the loss {}", losses.join(" and ")))
    }
}

/// Where the attack begins: an ensemble with APGD's random start in the ball, drawn once more so that the attack
/// does not know of it; a single attack at the clean image.
fn start(subject: &Subject<'_>, clean: &Rows, ids: &[u64]) -> Result<Rows> {
    let Threat::Ball { norm, eps } = subject.threat else { return Ok(clean.clone()) };
    if subject.parts.is_empty() || !eps.is_finite() {
        return Ok(clean.clone());
    }
    let stream = Stream::new(subject.seed, "check zero-gradients");
    let noise = rows::map(Kernel::NONE, [clean], |row, _, out| {
        let draw = stream.draw(ids[row], 0);
        match norm {
            Norm::Linf => draw.uniform(out),
            _ => draw.normal(out),
        }
    })?;
    rows::map(Kernel::NONE, [clean, &noise], |_, [x0, t], x| random_start(norm, x0, t, eps, x))
}
