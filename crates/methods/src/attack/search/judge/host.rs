//! The judge of batches in the computer's memory: it decides at once.

use super::{Candidates, Found, Judge, Rules, Verdict};
use crate::attack::Objective;
use crate::attack::search::active::Active;
use crate::error::Result;

/// What was found of every image of the search.
pub(super) struct HostJudge {
    rules: Rules,
    found: Vec<Option<Found>>,
}

impl HostJudge {
    pub(super) fn new(images: usize, rules: Rules) -> Self {
        Self { rules, found: (0..images).map(|_| None).collect() }
    }
}

impl Judge for HostJudge {
    fn judge(&mut self, candidates: &Candidates<'_>, active: &Active) -> Result<()> {
        let Rules { threat, objective, shape } = self.rules;
        let width = shape.iter().product::<usize>();
        let flags = candidates.which.map(crate::rows::Rows::values).transpose()?;
        let (z, x, clean) =
            (candidates.logits.values()?, candidates.x.values()?, active.clean.values()?);
        for (i, z) in z.chunks_exact(candidates.logits.width()).enumerate() {
            let row = candidates.row(i);
            let proposed = flags.as_ref().is_none_or(|flags| flags[i] != 0.0);
            if !proposed || !active.criterion(row).met_by_logits(z) {
                continue;
            }
            let image = &x[i * width..(i + 1) * width];
            let clean = &clean[row * width..(row + 1) * width];
            if !threat.allows(image, clean, shape) {
                continue;
            }
            let distance = threat.distance(image, clean, shape[0]);
            let best = &mut self.found[active.places[row]];
            let better = match best {
                None => true,
                Some(best) => objective == Objective::Minimal && distance < best.distance,
            };
            if better {
                *best = Some(Found { image: image.to_vec(), distance, by: None });
            }
        }
        Ok(())
    }

    /// An image leaves with its first success, so no pass comes after it.
    fn count(&mut self, _: [u64; 2]) {}

    fn is_due(&mut self) -> bool {
        self.rules.objective == Objective::Budget
    }

    fn verdicts(&mut self, active: &Active) -> Result<Vec<Verdict>> {
        let verdict = |place: &usize| match self.found[*place] {
            Some(_) => Verdict::Broken { since: [0; 2] },
            None => Verdict::Standing,
        };
        Ok(active.places.iter().map(verdict).collect())
    }

    fn found(&mut self) -> Result<Vec<(usize, Found)>> {
        let found = std::mem::take(&mut self.found).into_iter().enumerate();
        Ok(found.filter_map(|(place, found)| Some((place, found?))).collect())
    }
}
