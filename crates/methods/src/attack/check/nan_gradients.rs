//! Whether gradients are no numbers although the logits are, as those of a square root at zero.

use super::slopes::Slope;
use super::{Check, Subject, When};

pub(super) const CHECK: Check = Check {
    name: "nan-gradients",
    meaning: "At these images the network has logits and no gradient (NaN or infinite): attacks by gradients \
cannot move where it is so, and robust accuracy may be too high.",
    remedy: "Look for square roots and divisions at zero in the forward; attack without gradients (square) too.",
    when: When::Before(|subject: &Subject<'_>| {
        Ok(subject.slopes.seen(Slope::NotFinite, "NaN gradients"))
    }),
    misleads: true,
    single: true,
};
