//! What an attack wants, in the words of a report. An untargeted attack wants any wrong class; a targeted
//! one a certain class for each image, and is in columns of its own.

use crate::results::format;

/// The goal of an untargeted attack, as records state it.
pub(crate) const UNTARGETED: &str = "untargeted";

/// The goal behind the name of a threat model: ` to class 3`; nothing for an untargeted attack.
pub(crate) fn words(goal: &str) -> String {
    match goal {
        UNTARGETED => String::new(),
        "least-likely" => " to the least likely class".into(),
        "second" => " to the second class".into(),
        "random" => " to a random class".into(),
        "next" => " to the next class".into(),
        class if class.parse::<u32>().is_ok() => format!(" to class {class}"),
        other => format!(" to {other}"),
    }
}

/// Title of a column: `Linf 0.3`, `Linf 0.3 to class 3`.
pub(crate) fn title(threat: &str, eps: Option<f64>, goal: &str) -> String {
    format!("{}{}", format::title(threat, eps), words(goal))
}
