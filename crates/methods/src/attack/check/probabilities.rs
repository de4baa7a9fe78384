//! Whether the outputs look like probabilities. A softmax at the end saturates: its gradients vanish
//! in f32 where the network is confident, and the difference of logits ratio loses its meaning.

use super::{Check, Subject, When};
use crate::error::Result;
use crate::rows::Rows;

pub(super) const CHECK: Check = Check {
    name: "probabilities",
    meaning: "The outputs look like probabilities: gradients through a softmax vanish where the \
network is confident, and robust accuracy may be too high.",
    remedy: "Remove the softmax, so that the network returns logits.",
    when: When::Before(|subject: &Subject<'_>| {
        let images = subject.batch.len();
        Ok(like_probabilities(&subject.logits)?
            .then(|| format!("outputs look like probabilities on all of {images} images")))
    }),
    misleads: true,
    single: true,
};

/// How far outputs may lie outside [0, 1], and their sum from 1.
const TOLERANCE: f32 = 1e-5;

/// Every output of `logits` `[N, K]` is in [0, 1] and every row's sum is 1.
///
/// # Errors
/// If the device fails.
pub fn like_probabilities(logits: &Rows) -> Result<bool> {
    let z = logits.values()?;
    let inside = z.iter().all(|v| (-TOLERANCE..=1.0 + TOLERANCE).contains(v));
    let one = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < TOLERANCE;
    Ok(!logits.is_empty() && inside && z.chunks_exact(logits.width().max(1)).all(one))
}
