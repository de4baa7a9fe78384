//! Whether the gradient is zero where the attack begins: it then has nothing to climb. The published code looks
//! inside APGD's runs on the difference of logits ratio; here every loss that the attack climbs is looked at.

use super::slopes::Slope;
use super::{Check, Subject, When};

pub(super) const CHECK: Check = Check {
    name: "zero-gradients",
    meaning: "Where the attack begins the loss has no slope at these images: attacks by gradients cannot \
move, and robust accuracy may be too high.",
    remedy: "Look for rounding, clipping or saturated activations in the forward; attack without \
gradients (square), or differentiate a smooth stand-in.",
    when: When::Before(|subject: &Subject<'_>| {
        Ok(subject.slopes.seen(Slope::Zero, "zero gradients"))
    }),
    misleads: true,
    single: true,
};
