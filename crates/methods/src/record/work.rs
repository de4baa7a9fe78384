//! What a job does, in the words of the record. The kinds of work, in the program, write it and read it
//! back; here nothing is known of any of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a job does to its images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Name of the kind of work: `attack`, `smoothing`, `patch`, `bound`, `corruption`.
    pub kind: String,
    /// Column title without the budget, unique per model: `pgd-linf`, `smoothing-0.25`.
    pub label: String,
    /// Name of the attack or the certificate: `pgd`, `cohen`, `crown`.
    pub method: String,
    /// Threat model in words: `Linf`, `L2`, `patch 2x2`.
    pub threat: String,
    /// Budgets or radii at which numbers are reported, in the unit of the threat, ascending; empty if
    /// the threat has none.
    pub eps: Vec<f64>,
    /// What else the kind says about the work, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Every hyper-parameter by its name in the paper.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl Work {
    /// A fact; empty if the kind does not state it.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// A fact that is true or false; `false` if the kind does not state it.
    pub fn is(&self, name: &str) -> bool {
        self.fact(name) == "true"
    }

    /// The same work under another label.
    #[must_use]
    pub fn labelled(self, label: &str) -> Self {
        Self { label: label.into(), ..self }
    }
}
