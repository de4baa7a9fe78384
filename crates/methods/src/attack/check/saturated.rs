//! Whether the network is so certain that its cross-entropy is below what f32 holds. The losses of this house go
//! on there, those of most other programs are zero; such logits come of a scale or a temperature, not of
//! robustness.

use super::{Check, Subject, When};
use crate::loss::Loss;

pub(super) const CHECK: Check = Check {
    name: "saturated-logits",
    meaning: "The cross-entropy of these images is below the smallest f32: gradients are followed beyond that, \
but a scale of the logits that hides them says nothing about robustness.",
    remedy: "Divide the logits by their scale, or compare with an attack on another loss (loss = margin, \
apgd-dlr).",
    when: When::Before(|subject: &Subject<'_>| {
        // A targeted attack begins where the cross-entropy of the target is large.
        if !subject.slopes.are_of(Loss::CrossEntropy) || subject.targets.is_some() {
            return Ok(None);
        }
        let (logits, width) = (subject.logits.values()?, subject.logits.width());
        let ahead = |image: &&usize| {
            let z = &logits[**image * width..][..width];
            let label = subject.batch.labels[**image] as usize;
            let others = z.iter().enumerate().filter(|(i, _)| *i != label);
            z[label] - others.fold(f32::NEG_INFINITY, |most, (_, v)| most.max(*v))
        };
        let attacked = &subject.attacked;
        let saturated = attacked.iter().filter(|image| ahead(image) > LARGEST).count();
        let of = attacked.len();
        Ok((saturated > 0).then(|| format!("saturated logits on {saturated} of {of} images")))
    }),
    misleads: false,
    single: true,
};

/// The difference of two logits from which on the exponential of its negative is no normal f32.
const LARGEST: f32 = 87.0;
