//! Whether the outputs look like probabilities. A softmax at the end saturates: its gradients vanish
//! in f32 where the network is confident, and the difference of logits ratio loses its meaning.

use candle_core::Tensor;

use super::{Check, Subject, When};
use crate::error::Result;
use crate::ops::with_slice;

pub(super) const CHECK: Check = Check {
    name: "probabilities",
    meaning: "The outputs look like probabilities: gradients through a softmax vanish where the \
network is confident, and robust accuracy may be too high.",
    remedy: "Remove the softmax, so that the network returns logits.",
    when: When::Before(|subject: &Subject<'_>| {
        let images = subject.batch.len();
        Ok(like_probabilities(&subject.logits()?)?
            .then(|| format!("outputs look like probabilities on all of {images} images")))
    }),
};

/// How far outputs may lie outside [0, 1], and their sum from 1.
const TOLERANCE: f32 = 1e-5;

/// Every output of `logits` `[N, K]` is in [0, 1] and every row's sum is 1.
///
/// # Errors
/// If the logits are not on the CPU.
pub(crate) fn like_probabilities(logits: &Tensor) -> Result<bool> {
    let (rows, classes) = logits.dims2()?;
    with_slice::<f32, _>(logits, |z| {
        Ok(rows > 0
            && z.iter().all(|v| (-TOLERANCE..=1.0 + TOLERANCE).contains(v))
            && z.chunks_exact(classes.max(1))
                .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < TOLERANCE))
    })
}
