//! Whether gradients are so small that f32 has lost parts of them on their way back through the network, as they
//! are behind saturated activations.

use super::slopes::Slope;
use super::{Check, Subject, When};

pub(super) const CHECK: Check = Check {
    name: "vanishing-gradients",
    meaning: "At these images the gradient is close to the smallest number that f32 holds: parts of it are \
lost, and robust accuracy may be too high.",
    remedy: "Look for saturated activations (sigmoid, softmax, tanh) or a scale that shrinks the logits; attack \
without gradients (square) too.",
    when: When::Before(|subject: &Subject<'_>| {
        Ok(subject.slopes.seen(Slope::Vanishing, "vanishing gradients"))
    }),
    misleads: true,
    single: true,
};
