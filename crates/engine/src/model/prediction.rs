//! What a network says of an image. One that declares itself randomised is asked several times and
//! the most frequent answer counts, for clean images as for adversarial ones: a single draw would
//! reward an attack, or a defence, for luck.

use super::Classifier;
use crate::error::Result;
use crate::loss::argmax;
use crate::rows::Rows;

/// Forwards behind one prediction of a network that declares itself randomised.
pub const VOTES: usize = 11;

/// Predicted classes of `images`, given the `logits` of one forward. Those of a randomised network
/// are the most frequent of [`VOTES`] forwards, that one among them; of equally frequent classes the
/// smallest.
pub fn predicted(model: &dyn Classifier, images: &Rows, logits: &Rows) -> Result<Vec<u32>> {
    let first = predictions(logits)?;
    if !model.info().randomised || first.is_empty() {
        return Ok(first);
    }
    let mut ballots = vec![first];
    for _ in 1..VOTES {
        ballots.push(predictions(&model.exact_logits(images)?)?);
    }
    let winner = |row: usize| {
        let mut votes: Vec<u32> = ballots.iter().map(|ballot| ballot[row]).collect();
        votes.sort_unstable();
        let runs = votes.chunk_by(|a, b| a == b);
        // The first of the longest: `max_by_key` would give the last.
        runs.rev().max_by_key(|run| run.len()).map_or(ballots[0][row], |run| run[0])
    };
    Ok((0..ballots[0].len()).map(winner).collect())
}

/// Largest logit of each row.
pub fn predictions(logits: &Rows) -> Result<Vec<u32>> {
    let classes = logits.width().max(1);
    Ok(logits.values()?.chunks_exact(classes).map(|z| argmax(z) as u32).collect())
}
