//! Whether Square, which sees outputs only, broke images that the attacks by gradients had left.
//!
//! The published code compares the robust accuracy after Square with the smallest one after any other
//! attack. Every attack of an ensemble works on what those before it left, so that difference is the
//! number of images that Square broke, which the rows say. Where attacks follow Square (the
//! version `plus`), the published comparison includes them and can never fire; here Square is compared
//! with those before it.

use super::{Check, When};
use crate::attack::Configured;

pub(super) const CHECK: Check = Check {
    name: "square",
    meaning: "An attack without gradients lowered robust accuracy by more than 0.2 points below the \
attacks with gradients: the network may hide its gradients.",
    remedy: "Attack it with more restarts and iterations, a stronger Square (n_queries), or an attack \
adapted to it.",
    when: When::After(seen),
    misleads: false,
    single: false,
};

fn seen(attack: &Configured, by: &[&str]) -> Option<String> {
    let parts = attack.search.parts();
    let before =
        parts.iter().position(|part| part.name == "square").filter(|before| *before > 0)?;
    let broken = by.iter().filter(|name| **name == "square").count();
    let names: Vec<&str> = parts[..before].iter().map(|part| part.name).collect();
    // More than 0.2 points of all images.
    (1000 * broken > 2 * by.len())
        .then(|| format!("square broke {broken} of {} images after {}", by.len(), names.join(", ")))
}
