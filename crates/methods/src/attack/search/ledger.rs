//! What a search on a GPU has found. Candidates are judged there and the best of every image stays there;
//! the host looks only now and then which images are broken. Until then they go on, which changes no
//! outcome: an image's first success counts, and passes after it are taken off again.

use super::{Found, Known, Search};
use crate::attack::Objective;
use crate::error::Result;
use crate::rows::{self, Rows, twin};
use crate::threat::{TOLERANCE, Threat};

/// Proposals between two looks, at most: every one costs a wait for the GPU, and every broken image that
/// goes on costs its passes.
const MOST_UNSEEN: usize = 8;

/// The candidates that were accepted, a row for each image of the search.
pub(super) struct Ledger {
    /// Best candidates.
    best: Rows,
    /// Their distances in f64, as two words each.
    distances: Rows,
    /// The proposal that broke the image, counted from 0; -1 for none, -2 where a logit was NaN.
    broken_at: Rows,
    /// Passes of every active row so far, forward and backward, and the same at every proposal.
    passes: [u64; 2],
    log: Vec<[u64; 2]>,
    /// Proposals since the last look, and after how many the next is due.
    unseen: usize,
    due: usize,
}

/// One call of [`Ledger::judge`]: candidates, their logits, whose they are ([`Rows::none`] if there is one for
/// every active row) and which of them count (likewise, if all do).
pub(super) struct Candidates<'a> {
    pub(super) x: &'a Rows,
    pub(super) logits: &'a Rows,
    pub(super) of: &'a Rows,
    pub(super) which: &'a Rows,
}

impl Ledger {
    pub(super) fn new(clean: &Rows) -> Result<Self> {
        let (n, place) = (clean.len(), clean.place());
        let infinite = super::words(f64::INFINITY.to_bits());
        Ok(Self {
            best: clean.clone(),
            distances: Rows::new(&place, [n, 2], infinite.repeat(n))?,
            broken_at: Rows::numbers(&place, vec![-1.0; n])?,
            passes: [0; 2],
            log: Vec::new(),
            unseen: 0,
            due: 1,
        })
    }

    pub(super) fn count(&mut self, passes: [u64; 2]) {
        for (sum, passes) in self.passes.iter_mut().zip(passes) {
            *sum += passes;
        }
    }

    pub(super) fn judge(
        &mut self,
        candidates: &Candidates<'_>,
        (clean, known): (&Rows, &Known),
        (threat, objective): (Threat, Objective),
        [c, h, w]: [usize; 3],
    ) -> Result<()> {
        let Candidates { x, logits, of, which } = *candidates;
        let (kind, most, patch) = match threat {
            Threat::Ball { norm, eps } => {
                let eps = f64::from(eps);
                (norm.number(), eps + TOLERANCE * eps.max(1.0), [0, 0])
            }
            Threat::Patch(patch) => (3, 0.0, [patch.height, patch.width]),
        };
        let twin = twin!(
            "judge",
            logits.width(),
            c,
            h,
            w,
            kind,
            most,
            patch[0],
            patch[1],
            objective == Objective::Minimal,
            self.log.len() as f32,
        );
        let Known { labels, targets, places, .. } = known;
        let inputs = [x, logits, clean, labels, targets, places, of, which];
        let Self { best, distances, broken_at, .. } = self;
        rows::launch(twin, x.len(), [best, distances, broken_at], &inputs)?;
        self.log.push(self.passes);
        self.unseen += 1;
        Ok(())
    }

    /// The host should look: often at the beginning, when most images break.
    fn is_due(&mut self) -> bool {
        if self.unseen < self.due {
            return false;
        }
        self.due = (2 * self.due).min(MOST_UNSEEN);
        true
    }
}

impl Search<'_> {
    /// Whether the host should look at what was broken.
    pub(super) fn is_due(&mut self) -> bool {
        let budget = self.objective == Objective::Budget;
        self.ledger.as_mut().is_some_and(Ledger::is_due) && budget
    }

    /// Whether the image of each active row was broken since the last look; those are charged for no pass
    /// after that.
    pub(super) fn newly_broken(&mut self) -> Result<Vec<bool>> {
        let mut broken = vec![false; self.places.len()];
        let Some(ledger) = &mut self.ledger else { return Ok(broken) };
        ledger.unseen = 0;
        let broken_at = ledger.broken_at.values()?;
        if let Some(row) = self.places.iter().position(|place| broken_at[*place] == -2.0) {
            return Err(self.nan(self.ids[row]));
        }
        if self.objective == Objective::Minimal {
            return Ok(broken);
        }
        for (broken, place) in broken.iter_mut().zip(&self.places) {
            let at = broken_at[*place];
            if at >= 0.0 {
                let [forwards, backwards] = ledger.log[at as usize];
                self.forwards[*place] -= ledger.passes[0] - forwards;
                self.backwards[*place] -= ledger.passes[1] - backwards;
                *broken = true;
            }
        }
        Ok(broken)
    }

    /// Brings what was found on a GPU here. The search is over.
    ///
    /// # Errors
    /// If the device fails, or the network has returned NaN.
    pub(in crate::attack) fn settle(&mut self) -> Result<()> {
        self.newly_broken()?;
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let broken_at = ledger.broken_at.values()?;
        let found: Vec<usize> =
            (0..broken_at.len()).filter(|place| broken_at[*place] >= 0.0).collect();
        let images = ledger.best.select(&found)?.values()?;
        let distances = ledger.distances.values()?;
        let width = ledger.best.width();
        for (i, place) in found.into_iter().enumerate() {
            let words = [0, 1].map(|k| u64::from(distances[2 * place + k].to_bits()));
            self.found[place] = Some(Found {
                image: images[i * width..(i + 1) * width].to_vec(),
                distance: f64::from_bits(words[0] | words[1] << 32),
                by: None,
            });
        }
        Ok(())
    }
}
