//! What counts as a success, and what becomes of the active set then. An attack proposes; it has no
//! other way to an outcome.

use super::ledger::Candidates;
use super::{Known, Search};
use crate::attack::Objective;
use crate::error::Result;
use crate::loss::argmax;
use crate::model::{VOTES, predicted};
use crate::rows::{Rows, map_to, twin};

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
    pub fn shrink(&self, x: &mut Rows) -> Result<()> {
        if let Some(keep) = &self.0 {
            *x = x.select(keep)?;
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
    /// leaves the active set; on a GPU it may do so a few proposals later.
    ///
    /// # Errors
    /// If the device fails.
    pub fn propose(&mut self, x: &Rows, logits: &Rows) -> Result<Kept> {
        if self.place.is_gpu() && !self.approximates {
            return self.judge_and_go_on(None, None, x, logits);
        }
        let all: Vec<usize> = (0..self.len()).collect();
        self.propose_for(&all, x, logits)
    }

    /// [`Search::propose`] for those of some rows for which `which`, `[N]`, is not 0. Rows are named as in
    /// [`Search::logits_of`], each at most once.
    ///
    /// # Errors
    /// If the device fails.
    pub fn propose_where(
        &mut self,
        of: &[usize],
        which: &Rows,
        x: &Rows,
        logits: &Rows,
    ) -> Result<Kept> {
        if self.place.is_gpu() && !self.approximates {
            return self.judge_and_go_on(Some(of), Some(which), x, logits);
        }
        let flags = which.values()?;
        let some: Vec<usize> = (0..of.len()).filter(|i| flags[*i] != 0.0).collect();
        if some.is_empty() {
            return Ok(Kept(None));
        }
        let of: Vec<usize> = some.iter().map(|i| of[*i]).collect();
        self.propose_for(&of, &x.select(&some)?, &logits.select(&some)?)
    }

    /// Lets the GPU judge, and looks now and then.
    fn judge_and_go_on(
        &mut self,
        of: Option<&[usize]>,
        which: Option<&Rows>,
        x: &Rows,
        logits: &Rows,
    ) -> Result<Kept> {
        self.judge_on_gpu(of, which, x, logits)?;
        if self.is_due() { self.look() } else { Ok(Kept(None)) }
    }

    fn judge_on_gpu(
        &mut self,
        of: Option<&[usize]>,
        which: Option<&Rows>,
        x: &Rows,
        logits: &Rows,
    ) -> Result<()> {
        let none = Rows::none(&self.place)?;
        let numbers = |of: &[usize]| of.iter().map(|row| *row as f32).collect();
        let of = match of.filter(|of| !self.is_all(of)) {
            Some(of) => Rows::numbers(&self.place, numbers(of))?,
            None => none.clone(),
        };
        let candidates = Candidates { x, logits, of: &of, which: which.unwrap_or(&none) };
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        ledger.judge(
            &candidates,
            (&self.clean, &self.known),
            (self.threat, self.objective),
            self.shape,
        )
    }

    /// [`Search::propose`] for some rows, each at most once, as in [`Search::logits_of`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn propose_for(&mut self, of: &[usize], x: &Rows, logits: &Rows) -> Result<Kept> {
        if self.place.is_gpu() && !self.approximates {
            self.judge_on_gpu(Some(of), None, x, logits)?;
            return self.look();
        }
        let successes = self.successes(of, logits)?.into_iter().enumerate();
        let candidates = successes.filter_map(|(i, success)| success.then_some(i)).collect();
        let candidates = self.outvoted(of, candidates, x)?;
        let (candidates, judged) = self.confirmed(of, candidates, x)?;
        if candidates.is_empty() {
            return Ok(Kept(None));
        }
        if let Some(judged) = judged.filter(|_| self.place.is_gpu()) {
            let whose: Vec<usize> = candidates.iter().map(|i| of[*i]).collect();
            self.judge_on_gpu(Some(&whose), None, &x.select(&candidates)?, &judged)?;
            return self.look();
        }
        let (threat, shape) = (self.threat, self.shape);
        let mut broken = vec![false; self.len()];
        let width = shape.iter().product::<usize>();
        let (x, clean) = (x.values()?, self.clean.values()?);
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
        self.drop_broken(&broken)
    }

    /// What the host does not know yet of a search on a GPU: the images that broke since it last looked
    /// leave the active set.
    ///
    /// # Errors
    /// If the device fails, or the network has returned NaN.
    pub fn look(&mut self) -> Result<Kept> {
        let broken = self.newly_broken()?;
        self.drop_broken(&broken)
    }

    /// Under a budget these rows leave the active set.
    fn drop_broken(&mut self, broken: &[bool]) -> Result<Kept> {
        if self.objective == Objective::Minimal || !broken.contains(&true) {
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
        let Known { labels, targets, ids, places } = &mut self.known;
        for rows in [labels, targets, ids, places] {
            kept.shrink(rows)?;
        }
        Ok(kept)
    }

    /// Of the `candidates`, rows of `x` that succeeded in the precision of the search, those that succeed
    /// in the one that results are judged in, and their logits in that one. An attack goes on with the
    /// others.
    fn confirmed(
        &mut self,
        of: &[usize],
        candidates: Vec<usize>,
        x: &Rows,
    ) -> Result<(Vec<usize>, Option<Rows>)> {
        if !self.approximates || candidates.is_empty() {
            return Ok((candidates, None));
        }
        let logits = self.model.exact_logits(&x.select(&candidates)?)?;
        let of: Vec<usize> = candidates.iter().map(|i| of[*i]).collect();
        for row in &of {
            self.forwards[self.places[*row]] += 1;
        }
        let successes = self.successes(&of, &logits)?;
        for (row, _) in of.iter().zip(&successes).filter(|(_, success)| !**success) {
            self.unconfirmed[self.places[*row]] += 1;
        }
        let confirmed: Vec<usize> = (0..of.len()).filter(|i| successes[*i]).collect();
        let logits = logits.select(&confirmed)?;
        Ok((confirmed.into_iter().map(|i| candidates[i]).collect(), Some(logits)))
    }

    /// Whether each row's logits are what the attacker wants, as 1 or 0, `[N]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn succeeded(&self, logits: &Rows) -> Result<Rows> {
        let Known { labels, targets, .. } = &self.known;
        let twin = twin!("succeeded", logits.width());
        map_to(twin, &[], [logits, labels, targets], |_, [z, label, target], flag| {
            let class = argmax(z);
            flag[0] = f32::from(match target.first() {
                None => class != label[0] as usize,
                Some(target) => class == *target as usize,
            });
        })
    }

    /// Whether each row's logits are what the attacker wants.
    fn successes(&self, of: &[usize], logits: &Rows) -> Result<Vec<bool>> {
        let success = |(z, row): (&[f32], &usize)| match &self.targets {
            None => argmax(z) != self.labels[*row] as usize,
            Some(targets) => argmax(z) == targets[*row] as usize,
        };
        Ok(logits.values()?.chunks_exact(logits.width()).zip(of).map(success).collect())
    }

    /// Of the `candidates`, rows of `x` that succeeded in one forward of a randomised network, those
    /// that the vote of several confirms: a lucky draw must not end the attack on an image.
    fn outvoted(&mut self, of: &[usize], candidates: Vec<usize>, x: &Rows) -> Result<Vec<usize>> {
        if !self.model.info().randomised || candidates.is_empty() {
            return Ok(candidates);
        }
        for i in &candidates {
            self.forwards[self.places[of[*i]]] += VOTES as u64;
        }
        let images = x.select(&candidates)?;
        let votes = predicted(self.model, &images, &self.model.exact_logits(&images)?)?;
        let wanted = |i: usize, class: u32| match &self.targets {
            None => class != self.labels[of[i]],
            Some(targets) => class == targets[of[i]],
        };
        let confirmed = candidates.into_iter().zip(votes);
        Ok(confirmed.filter(|(i, class)| wanted(*i, *class)).map(|(i, _)| i).collect())
    }
}
