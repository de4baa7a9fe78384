//! What becomes of candidates, and of the active set then. An attack proposes; it has no other way to an
//! outcome.

use super::Search;
use super::image_state::{ImageState, check, image_state};
use super::judge::{Candidates, Verdict};
use crate::attack::Objective;
use crate::error::Result;
use crate::model::{VOTES, predicted};
use crate::rows::Rows;

/// Candidates that have succeeded, and whose they are.
struct Succeeded {
    of: Vec<usize>,
    x: Rows,
    logits: Rows,
}
image_state!(Succeeded { of, x, logits });

impl Search<'_> {
    /// Judges one candidate per active row by its logits: one that succeeds inside the threat model
    /// is kept (the first one under a budget, the closest one otherwise). Under a budget its image
    /// leaves the active set, and its rows leave `columns`, which are all that the attack has; on a GPU
    /// this may be a few proposals later. Candidates that are a column themselves are given as a clone,
    /// which shares their numbers.
    ///
    /// # Errors
    /// If a column or the candidates do not have a row for each active image, the network has returned NaN,
    /// or the device fails.
    pub fn propose(&mut self, x: &Rows, logits: &Rows, columns: impl ImageState) -> Result<()> {
        self.submit(&Candidates { x, logits, of: None, which: None }, false, columns)
    }

    /// [`Search::propose`] for those of some rows for which `which`, `[N]`, is not 0. Rows are named as in
    /// [`Search::logits_of`], each at most once.
    ///
    /// # Errors
    /// As [`Search::propose`].
    pub fn propose_where(
        &mut self,
        of: &[usize],
        which: &Rows,
        x: &Rows,
        logits: &Rows,
        columns: impl ImageState,
    ) -> Result<()> {
        self.submit(&Candidates { x, logits, of: Some(of), which: Some(which) }, false, columns)
    }

    /// [`Search::propose`] for some rows, each at most once, as in [`Search::logits_of`]; the images that
    /// this breaks leave at once.
    ///
    /// # Errors
    /// As [`Search::propose`].
    pub fn propose_for(
        &mut self,
        of: &[usize],
        x: &Rows,
        logits: &Rows,
        columns: impl ImageState,
    ) -> Result<()> {
        self.submit(&Candidates { x, logits, of: Some(of), which: None }, true, columns)
    }

    /// Asks which images are broken, of those that a GPU has judged and the host does not know of yet: they
    /// leave the active set, and their rows leave `columns`.
    ///
    /// # Errors
    /// As [`Search::propose`].
    pub fn sync(&mut self, mut columns: impl ImageState) -> Result<()> {
        check(&columns, self.len())?;
        let standing = self.standing()?;
        if standing.len() < self.len() {
            self.active.keep(&standing)?;
            columns.keep(&standing)?;
        }
        Ok(())
    }

    /// Hands candidates to the judge, and looks at what is broken if this is due or has to be `at_once`.
    fn submit(
        &mut self,
        candidates: &Candidates<'_>,
        at_once: bool,
        columns: impl ImageState,
    ) -> Result<()> {
        check(&columns, self.len())?;
        self.refuse_misfit(candidates.of, [candidates.x, candidates.logits])?;
        // The first success in a forward of this search may be none: another draw of a randomised network,
        // or the precision that results are judged in, has to confirm it.
        let doubtful = self.approximates || self.model.info().randomised;
        if doubtful {
            let Some(Succeeded { of, x, logits }) = self.confirmed(candidates)? else {
                return Ok(());
            };
            let confirmed = Candidates { x: &x, logits: &logits, of: Some(&of), which: None };
            self.judge.judge(&confirmed, &self.active)?;
        } else {
            self.judge.judge(candidates, &self.active)?;
        }
        if doubtful || at_once || self.judge.is_due() { self.sync(columns) } else { Ok(()) }
    }

    /// The active rows that stay in the active set. Passes that broken images were counted after they
    /// broke are taken off.
    fn standing(&mut self) -> Result<Vec<usize>> {
        let verdicts = self.judge.verdicts(&self.active)?;
        if let Some(row) = verdicts.iter().position(|one| matches!(one, Verdict::NotANumber)) {
            return Err(self.nan(self.active.ids[row]));
        }
        if self.objective == Objective::Minimal {
            return Ok((0..self.len()).collect());
        }
        let mut standing = Vec::with_capacity(verdicts.len());
        for (row, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Broken { since: [forwards, backwards] } => {
                    self.forwards[self.active.places[row]] -= forwards;
                    self.backwards[self.active.places[row]] -= backwards;
                }
                _ => standing.push(row),
            }
        }
        Ok(standing)
    }

    /// Which of the active rows `of` succeed with these logits, `[N, K]`, and have an adversarial image that the judge has
    /// accepted: in a lower precision, or of a randomised network, a success alone may be none.
    ///
    /// # Errors
    /// If the device fails.
    pub(in crate::attack) fn have_succeeded(
        &mut self,
        of: &[usize],
        logits: &Rows,
    ) -> Result<Vec<bool>> {
        let verdicts = self.judge.verdicts(&self.active)?;
        let mut succeeded = vec![false; of.len()];
        for i in self.successes(of, logits)? {
            succeeded[i] = matches!(verdicts[of[i]], Verdict::Broken { .. });
        }
        Ok(succeeded)
    }

    /// Brings what the judge has found here. The search is over.
    ///
    /// # Errors
    /// If the device fails, or the network has returned NaN.
    pub(in crate::attack) fn finish(&mut self) -> Result<()> {
        self.standing()?;
        for (place, found) in self.judge.found()? {
            self.found[place] = Some(found);
        }
        Ok(())
    }

    /// Of the candidates, those that succeed and are confirmed, with the logits that confirm it where these
    /// are of another precision. An attack goes on with the others.
    fn confirmed(&mut self, candidates: &Candidates<'_>) -> Result<Option<Succeeded>> {
        let Candidates { x, logits, which, .. } = *candidates;
        let flags = which.map(Rows::values).transpose()?;
        let proposed = |i: usize| flags.as_ref().is_none_or(|flags| flags[i] != 0.0);
        // Logits are not fetched from a GPU for nothing.
        if !(0..x.len()).any(proposed) {
            return Ok(None);
        }
        let of: Vec<usize> = (0..x.len()).map(|i| candidates.row(i)).collect();
        let mut some = self.successes(&of, logits)?;
        some.retain(|i| proposed(*i));
        if some.is_empty() {
            return Ok(None);
        }
        let of = some.iter().map(|i| of[*i]).collect();
        let mut some = Succeeded { of, x: x.select(&some)?, logits: logits.select(&some)? };
        if self.model.info().randomised {
            self.vote(&mut some)?;
        }
        if self.approximates && !some.of.is_empty() {
            self.judge_again(&mut some)?;
        }
        Ok(Some(some).filter(|some| !some.of.is_empty()))
    }

    /// Keeps what the vote of several forwards of a randomised network confirms: a lucky draw must not end
    /// the attack on an image.
    fn vote(&mut self, some: &mut Succeeded) -> Result<()> {
        for row in &some.of {
            self.forwards[self.active.places[*row]] += VOTES as u64;
        }
        let votes = predicted(self.model, &some.x, &self.model.exact_logits(&some.x)?)?;
        let won = |i: &usize| self.active.criterion(some.of[*i]).met_by(votes[*i]);
        let won: Vec<usize> = (0..votes.len()).filter(won).collect();
        some.keep(&won)
    }

    /// Keeps what succeeds in the precision that results are judged in.
    fn judge_again(&mut self, some: &mut Succeeded) -> Result<()> {
        some.logits = self.model.exact_logits(&some.x)?;
        let successes = self.successes(&some.of, &some.logits)?;
        for (i, row) in some.of.iter().enumerate() {
            let place = self.active.places[*row];
            self.forwards[place] += 1;
            self.unconfirmed[place] += u64::from(successes.binary_search(&i).is_err());
        }
        some.keep(&successes)
    }

    /// The candidates, for the active rows `of`, whose logits are a success.
    fn successes(&self, of: &[usize], logits: &Rows) -> Result<Vec<usize>> {
        let (z, classes) = (logits.values()?, logits.width());
        let success = |i: &usize| {
            self.active.criterion(of[*i]).met_by_logits(&z[i * classes..(i + 1) * classes])
        };
        Ok((0..of.len()).filter(success).collect())
    }
}
