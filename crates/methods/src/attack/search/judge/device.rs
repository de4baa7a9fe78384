//! The judge of batches on a GPU: candidates are judged there and the best of every image stays there; the
//! host looks only now and then which images are broken. Until then they go on, which changes no outcome:
//! an image's first success counts, and passes after it are taken off again.

use super::{Candidates, Found, Judge, Rules, Verdict};
use crate::attack::Objective;
use crate::attack::search::active::{Active, words};
use crate::error::Result;
use crate::rows::{self, Rows, kernel};
use crate::threat::Threat;

/// Proposals between two looks, at most: every one costs a wait for the GPU, and every broken image that
/// goes on costs its passes.
const MOST_UNSEEN: usize = 8;

/// The candidates that were accepted, a row for each image of the search.
pub(super) struct DeviceJudge {
    rules: Rules,
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

impl DeviceJudge {
    pub(super) fn new(clean: &Rows, rules: Rules) -> Result<Self> {
        let (n, place) = (clean.len(), clean.location());
        let infinite = words(f64::INFINITY.to_bits());
        Ok(Self {
            rules,
            best: clean.clone(),
            distances: Rows::new(&place, [n, 2], infinite.repeat(n))?,
            broken_at: Rows::numbers(&place, vec![-1.0; n])?,
            passes: [0; 2],
            log: Vec::new(),
            unseen: 0,
            due: 1,
        })
    }
}

impl Judge for DeviceJudge {
    fn judge(&mut self, candidates: &Candidates<'_>, active: &Active) -> Result<()> {
        let Candidates { x, logits, of, which } = *candidates;
        let Rules { threat, objective, shape: [c, h, w] } = self.rules;
        let (kind, most, patch) = match threat {
            Threat::Ball { norm, eps } => (norm.number(), norm.farthest(f64::from(eps)), [0, 0]),
            Threat::Patch(patch) => (5, 0.0, [patch.height, patch.width]),
        };
        let kernel = kernel!(
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
        let place = active.clean.location();
        let none = Rows::none(&place)?;
        let of = match of.filter(|of| !active.are_all(of)) {
            Some(of) => Rows::numbers(&place, of.iter().map(|row| *row as f32).collect())?,
            None => none.clone(),
        };
        let known = &active.rows;
        let inputs = [
            x,
            logits,
            &active.clean,
            &known.labels,
            &known.targets,
            &known.places,
            &of,
            which.unwrap_or(&none),
        ];
        let Self { best, distances, broken_at, .. } = self;
        rows::launch(kernel, x.len(), [best, distances, broken_at], &inputs)?;
        self.log.push(self.passes);
        self.unseen += 1;
        Ok(())
    }

    fn count(&mut self, passes: [u64; 2]) {
        for (sum, passes) in self.passes.iter_mut().zip(passes) {
            *sum += passes;
        }
    }

    /// Often at the beginning, when most images break.
    fn is_due(&mut self) -> bool {
        if self.rules.objective == Objective::Minimal || self.unseen < self.due {
            return false;
        }
        self.due = (2 * self.due).min(MOST_UNSEEN);
        true
    }

    fn verdicts(&mut self, active: &Active) -> Result<Vec<Verdict>> {
        self.unseen = 0;
        let broken_at = self.broken_at.values()?;
        let verdict = |place: &usize| match broken_at[*place] {
            -2.0 => Verdict::NotANumber,
            at if at >= 0.0 => {
                let then = self.log[at as usize];
                Verdict::Broken { since: [0, 1].map(|k| self.passes[k] - then[k]) }
            }
            _ => Verdict::Standing,
        };
        Ok(active.places.iter().map(verdict).collect())
    }

    fn found(&mut self) -> Result<Vec<(usize, Found)>> {
        let broken_at = self.broken_at.values()?;
        let places: Vec<usize> =
            (0..broken_at.len()).filter(|place| broken_at[*place] >= 0.0).collect();
        let images = self.best.select(&places)?.values()?;
        let distances = self.distances.values()?;
        let width = self.best.width();
        let found = |(i, place): (usize, usize)| {
            let words = [0, 1].map(|k| u64::from(distances[2 * place + k].to_bits()));
            let found = Found {
                image: images[i * width..(i + 1) * width].to_vec(),
                distance: f64::from_bits(words[0] | words[1] << 32),
                by: None,
            };
            (place, found)
        };
        Ok(places.into_iter().enumerate().map(found).collect())
    }
}
