//! What counts as a success, and what becomes of the active set then. An attack proposes; it has no
//! other way to an outcome.

use candle_core::Tensor;

use super::Search;
use crate::attack::Objective;
use crate::attack::vote::{VOTES, predicted};
use crate::error::Result;
use crate::loss::argmax;
use crate::ops::{rows, with_slice};

/// One image's best candidate so far.
pub(in crate::attack) struct Found {
    pub(in crate::attack) image: Vec<f32>,
    pub(in crate::attack) distance: f64,
    /// The part of an ensemble that found it.
    pub(in crate::attack) by: Option<&'static str>,
}

/// Which rows of the active set remain after a proposal.
#[must_use = "an attack's state has to follow the active set"]
pub struct Kept(Option<Vec<usize>>);

impl Kept {
    /// No row left.
    pub(in crate::attack) fn all() -> Self {
        Self(None)
    }

    /// Drops the rows of `x` that left the active set.
    ///
    /// # Errors
    /// If the device fails.
    pub fn shrink(&self, x: &mut Tensor) -> Result<()> {
        if let Some(keep) = &self.0 {
            *x = rows::select(x, keep)?;
        }
        Ok(())
    }

    /// Drops the elements of `values` whose rows left the active set.
    pub fn shrink_values<T: Clone>(&self, values: &mut Vec<T>) {
        if let Some(keep) = &self.0 {
            *values = keep.iter().map(|row| values[*row].clone()).collect();
        }
    }
}

impl Search<'_> {
    /// Judges one candidate per active row by its logits: one that succeeds inside the threat model
    /// is kept (the first one under a budget, the closest one otherwise). Under a budget its image
    /// leaves the active set.
    ///
    /// # Errors
    /// If the device fails.
    pub fn propose(&mut self, x: &Tensor, logits: &Tensor) -> Result<Kept> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.propose_for(&all, x, logits)
    }

    /// [`Search::propose`] for some rows, as in [`Search::logits_of`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn propose_for(&mut self, of: &[usize], x: &Tensor, logits: &Tensor) -> Result<Kept> {
        let (threat, objective, shape) = (self.threat, self.objective, self.shape);
        let mut broken = vec![false; self.len()];
        let candidates: Vec<usize> = self
            .successes(of, logits)?
            .into_iter()
            .enumerate()
            .filter_map(|(i, success)| success.then_some(i))
            .collect();
        let candidates = self.outvoted(of, candidates, x)?;
        let candidates = self.confirmed(of, candidates, x)?;
        if !candidates.is_empty() {
            let width = shape.iter().product::<usize>();
            with_slice::<f32, _>(x, |x| {
                with_slice::<f32, _>(&self.clean, |clean| {
                    for i in candidates {
                        let row = of[i];
                        let image = &x[i * width..(i + 1) * width];
                        let clean = &clean[row * width..(row + 1) * width];
                        if !threat.allows(image, clean, shape) {
                            continue;
                        }
                        let distance = threat.distance(image, clean, shape[0]);
                        let best = &mut self.found[self.places[row]];
                        if best.as_ref().is_none_or(|b| distance < b.distance) {
                            *best = Some(Found { image: image.to_vec(), distance, by: None });
                        }
                        broken[row] = true;
                    }
                    Ok(())
                })
            })?;
        }
        if objective == Objective::Minimal || !broken.contains(&true) {
            return Ok(Kept(None));
        }
        let keep: Vec<usize> = (0..self.len()).filter(|row| !broken[*row]).collect();
        self.keep(keep)
    }

    /// Drops all other rows of the active set.
    pub(super) fn keep(&mut self, keep: Vec<usize>) -> Result<Kept> {
        let kept = Kept(Some(keep));
        kept.shrink(&mut self.clean)?;
        kept.shrink_values(&mut self.labels);
        kept.shrink_values(&mut self.ids);
        kept.shrink_values(&mut self.places);
        if let Some(targets) = &mut self.targets {
            kept.shrink_values(targets);
        }
        Ok(kept)
    }

    /// Of the `candidates`, rows of `x` that succeeded in the precision of the search, those that succeed
    /// in the one that results are judged in. An attack goes on with the others.
    fn confirmed(
        &mut self,
        of: &[usize],
        candidates: Vec<usize>,
        x: &Tensor,
    ) -> Result<Vec<usize>> {
        if !self.model.approximates() || candidates.is_empty() {
            return Ok(candidates);
        }
        let logits = self.model.judged(&rows::select(x, &candidates)?)?;
        let of: Vec<usize> = candidates.iter().map(|i| of[*i]).collect();
        for row in &of {
            self.forwards[self.places[*row]] += 1;
        }
        let successes = self.successes(&of, &logits)?;
        for (row, _) in of.iter().zip(&successes).filter(|(_, success)| !**success) {
            self.unconfirmed[self.places[*row]] += 1;
        }
        Ok(candidates.into_iter().zip(successes).filter_map(|(i, yes)| yes.then_some(i)).collect())
    }

    /// Whether each row's logits are what the attacker wants.
    ///
    /// # Errors
    /// If the logits are not on the CPU.
    pub fn successes(&self, of: &[usize], logits: &Tensor) -> Result<Vec<bool>> {
        let classes = logits.dim(1)?;
        with_slice::<f32, _>(logits, |logits| {
            let success = |(z, row): (&[f32], &usize)| match &self.targets {
                None => argmax(z) != self.labels[*row] as usize,
                Some(targets) => argmax(z) == targets[*row] as usize,
            };
            Ok(logits.chunks_exact(classes).zip(of).map(success).collect())
        })
    }

    /// Of the `candidates`, rows of `x` that succeeded in one forward of a randomised network, those
    /// that the vote of several confirms: a lucky draw must not end the attack on an image.
    fn outvoted(&mut self, of: &[usize], candidates: Vec<usize>, x: &Tensor) -> Result<Vec<usize>> {
        if !self.model.info().randomised || candidates.is_empty() {
            return Ok(candidates);
        }
        for i in &candidates {
            self.forwards[self.places[of[*i]]] += VOTES as u64;
        }
        let images = rows::select(x, &candidates)?;
        let votes = predicted(self.model, &images, &self.model.judged(&images)?)?;
        let wanted = |i: usize, class: u32| match &self.targets {
            None => class != self.labels[of[i]],
            Some(targets) => class == targets[of[i]],
        };
        let confirmed = candidates.into_iter().zip(votes);
        Ok(confirmed.filter(|(i, class)| wanted(*i, *class)).map(|(i, _)| i).collect())
    }
}
