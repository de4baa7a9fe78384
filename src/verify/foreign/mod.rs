//! Adversarial images that somebody else made, judged: how many of them the network misclassifies inside
//! the threat model. What a file says of its images does not matter; each is asked again.
//!
//! ```text
//! file -> file (npz, npy, safetensors, torch.save) -> read (which array, which row) -> judge -> text
//! ```

mod file;
mod judge;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

pub use judge::{FOREIGN_VERSION, Judgement, Outside, Verdict, VerdictRow, judge_foreign};

/// A file of adversarial images and which of its arrays they are.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The file: `.npz`, `.npy`, `.safetensors`, or `.pt` or `.pth` of `torch.save`.
    pub path: PathBuf,
    /// Name of the array of images, where the file leaves a choice.
    pub key: Option<String>,
}
