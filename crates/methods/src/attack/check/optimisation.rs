//! Whether the network optimises inside its forward, as purification and test-time adaptation do. The
//! published code counts calls of autograd during a forward; here the model says it itself.

use super::{Check, Subject, When};

pub(super) const CHECK: Check = Check {
    name: "optimisation",
    meaning: "The network optimises inside its forward: the gradient of the attack may not follow \
that optimisation, and robust accuracy may be too high.",
    remedy: "Attack it with an adaptive attack that differentiates through the optimisation or \
around it.",
    when: When::Before(|subject: &Subject<'_>| {
        let declared = subject.model.info().optimises_in_forward;
        Ok(declared.then(|| "optimisation inside the forward, as declared".into()))
    }),
    misleads: true,
    single: false,
};
