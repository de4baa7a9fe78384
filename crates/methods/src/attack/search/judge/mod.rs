//! Who decides about candidates and keeps the best of every image: the host, where batches are in its
//! memory, and the device, where they are on a GPU. Both go by one [`Criterion`] and one threat model.
//!
//! [`Criterion`]: crate::attack::criterion::Criterion

mod device;
mod host;

use self::device::DeviceJudge;
use self::host::HostJudge;
use super::active::Active;
use crate::attack::Objective;
use crate::error::Result;
use crate::rows::Rows;
use crate::threat::Threat;

/// One image's best candidate so far.
pub(in crate::attack) struct Found {
    pub(in crate::attack) image: Vec<f32>,
    pub(in crate::attack) distance: f64,
    /// The part of an ensemble that found it.
    pub(in crate::attack) by: Option<&'static str>,
}

/// What a search judges by from its first proposal to its last.
#[derive(Clone, Copy)]
pub(in crate::attack) struct Rules {
    pub(super) threat: Threat,
    pub(super) objective: Objective,
    /// `[C, H, W]` of an image.
    pub(super) shape: [usize; 3],
}

/// Candidates with their logits.
#[derive(Clone, Copy)]
pub(in crate::attack) struct Candidates<'a> {
    pub(super) x: &'a Rows,
    pub(super) logits: &'a Rows,
    /// The active rows that they are for, each at most once; one for each, in order, if it is left out.
    pub(super) of: Option<&'a [usize]>,
    /// Where this is 0, `[N]`, nothing is proposed.
    pub(super) which: Option<&'a Rows>,
}

impl Candidates<'_> {
    /// The active row that candidate `i` is for.
    pub(super) fn row(&self, i: usize) -> usize {
        self.of.map_or(i, |of| of[i])
    }
}

/// What a judge says of an active image.
pub(in crate::attack) enum Verdict {
    /// Nothing was found.
    Standing,
    /// A candidate was accepted; these passes, forward and backward, were counted for it after that.
    Broken {
        /// To be taken off again.
        since: [u64; 2],
    },
    /// The network has returned NaN for one of its candidates.
    NotANumber,
}

/// Accepts the candidates that succeed inside the threat model and keeps the best of every image: the first
/// under a budget, the closest otherwise.
pub(in crate::attack) trait Judge: Send + Sync {
    /// Decides about candidates, in the order of the calls.
    fn judge(&mut self, candidates: &Candidates<'_>, active: &Active) -> Result<()>;

    /// Counts passes, forward and backward, of every active image.
    fn count(&mut self, passes: [u64; 2]);

    /// Whether it is time to ask for the verdicts, after a proposal.
    fn is_due(&mut self) -> bool;

    /// The verdict on every active row.
    fn verdicts(&mut self, active: &Active) -> Result<Vec<Verdict>>;

    /// The place in the batch of every image for which something was found, with the best of it. The
    /// search is over.
    fn found(&mut self) -> Result<Vec<(usize, Found)>>;
}

/// The judge for a batch, which is where it is; but kernels know no patches of another form than rectangles, and the
/// host looks at those.
pub(super) fn of(clean: &Rows, rules: Rules) -> Result<Box<dyn Judge>> {
    let known = !matches!(rules.threat, Threat::Patch(patch) if !patch.is_rectangle());
    Ok(match clean.location().is_gpu() && known {
        true => Box::new(DeviceJudge::new(clean, rules)?),
        false => Box::new(HostJudge::new(clean.len(), rules)),
    })
}

#[cfg(test)]
mod tests;
