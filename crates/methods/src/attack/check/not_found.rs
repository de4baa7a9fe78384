//! Whether an attack that looks for the smallest perturbation found none at all for most images. It has no
//! radius, so somewhere there nearly always is one: the search gave up, and its robust accuracies say so little.

use super::{Check, When};
use crate::attack::{Configured, Objective};

pub(super) const CHECK: Check = Check {
    name: "not-found",
    meaning: "An attack without a radius found no adversarial image at all for most images: the search failed, \
and robust accuracies at its radii are too high.",
    remedy: "Give it more or longer steps (CW and EAD: a larger learning_rate or initial_const), or look for hidden gradients; compare \
with another attack.",
    when: When::After(seen),
    misleads: false,
    single: true,
};

fn seen(attack: &Configured, by: &[&str]) -> Option<String> {
    let attacked = by.iter().filter(|name| **name != "clean").count();
    let missing = by.iter().filter(|name| name.is_empty()).count();
    (attack.search.objective() == Objective::Minimal && 2 * missing > attacked)
        .then(|| format!("nothing found for {missing} of {attacked} images"))
}
