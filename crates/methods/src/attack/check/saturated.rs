//! Whether the network is so certain that its cross-entropy is below what f32 holds. The losses of this house go
//! on there, those of most other programs are zero; such logits come of a scale or a temperature, not of
//! robustness.

use super::{Check, Subject, When};
use crate::loss::Loss;
use crate::model::predictions;

pub(super) const CHECK: Check = Check {
    name: "saturated-logits",
    meaning: "The cross-entropy of these images is below the smallest f32: gradients are followed beyond that, \
but a scale of the logits that hides them says nothing about robustness.",
    remedy: "Divide the logits by their scale, or compare with an attack on another loss (loss = margin, \
apgd-dlr).",
    when: When::Before(|subject: &Subject<'_>| {
        if !subject.losses.contains(&Loss::CrossEntropy) {
            return Ok(None);
        }
        let logits = subject.logits()?;
        let labels = &subject.batch.labels;
        let right: Vec<bool> =
            predictions(&logits)?.iter().zip(labels).map(|(a, b)| a == b).collect();
        let rows = logits.values()?;
        let rows = rows.chunks_exact(logits.width().max(1)).zip(labels);
        let ahead = |(z, label): (&[f32], &u32)| {
            let others = z.iter().enumerate().filter(|(i, _)| *i != *label as usize);
            z[*label as usize] - others.fold(f32::NEG_INFINITY, |most, (_, v)| most.max(*v))
        };
        let saturated =
            rows.zip(&right).filter(|(row, right)| **right && ahead(*row) > LARGEST).count();
        let correct = right.iter().filter(|right| **right).count();
        Ok((saturated > 0).then(|| format!("saturated logits on {saturated} of {correct} images")))
    }),
    misleads: false,
    single: true,
};

/// The difference of two logits from which on the exponential of its negative is no normal f32.
const LARGEST: f32 = 87.0;
