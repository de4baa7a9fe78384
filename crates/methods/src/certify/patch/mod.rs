//! Certificates against patches: a promise that no content of a rectangle, wherever it is put, changes
//! the defended prediction. They are deterministic counting: the network classifies copies of the
//! image of which parts are hidden ([`PatchCertificate::apply`]), and an [`Examination`] turns its
//! answers into a prediction and a proof. The pixels of the copies that do not show the patch are the
//! clean ones bit by bit and an image's logits do not depend on its batch, so there is no rounding to
//! account for.
//!
//! [`PatchCleanser`] works with any network; [`WindowSmoothing`] wants one that was trained on ablated
//! images. A further certificate is one file here and one line where suites name it
//! (a kind of work of the program); [`certify_patches`] gives it shared batches, and rows in order.

mod cleanser;
mod engine;
mod masks;
mod row;
#[cfg(test)]
mod search;
mod smoothing;
mod windows;

pub use cleanser::PatchCleanser;
pub use engine::certify_patches;
pub use masks::MaskSet;
pub use row::PatchRow;
pub use smoothing::{Ablation, Keep, WindowSmoothing, unchangeable};
pub use windows::Windows;

/// A defence whose predictions can be certified against patches of one size.
pub trait PatchCertificate: Send + Sync {
    /// Number of copies of an image that the defence knows, which is the most forward passes that an
    /// image can cost.
    fn copies(&self) -> usize;

    /// Writes copy number `copy` of `image`, `[C, H, W]`, to `out`, which is as long.
    fn apply(&self, copy: usize, image: &[f32], out: &mut [f32]);

    /// Begins with an image of class `label` and a network of `classes` classes. The prediction must
    /// not depend on the label; it is there so that an image that cannot count any more costs nothing
    /// more.
    fn examine(&self, label: u32, classes: usize) -> Box<dyn Examination + '_>;
}

/// The questions about one image.
pub trait Examination: Send {
    /// Copies that the network is to classify next, none of them asked for before; empty once the
    /// verdict stands. Called when all copies asked for before have been answered.
    fn ask(&mut self) -> Vec<usize>;

    /// The network's logits of a copy.
    fn answer(&mut self, copy: usize, logits: &[f32]);

    /// What was found, once there is nothing to ask.
    fn verdict(&self) -> Verdict;
}

/// What is known of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Class of the defended network.
    pub predict: u32,
    /// The prediction is the label, and no patch changes it.
    pub certified: bool,
    /// Copies of the first round that voted for `predict`.
    pub votes: u64,
    /// The most votes of another class.
    pub runner_up: u64,
}

impl Verdict {
    /// The class with the most votes, the lowest of equals; nothing is certified yet.
    fn of_votes(votes: &[u64]) -> Self {
        let first = crate::certify::cohen::argmax(votes);
        let others = votes.iter().enumerate().filter(|(class, _)| *class != first);
        Self {
            predict: first as u32,
            certified: false,
            votes: votes.get(first).copied().unwrap_or(0),
            runner_up: others.map(|(_, votes)| *votes).max().unwrap_or(0),
        }
    }
}
