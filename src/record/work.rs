//! What a job does: the settings of each kind of work, as a run records them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a job does to its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// An attack; its table holds [`AttackRow`](super::AttackRow)s (`.csv`).
    Attack {
        /// Column title, unique per model: `pgd-linf`, `patch-rs`.
        label: String,
        /// Name of the attack: `pgd`.
        attack: String,
        /// Threat model in words: `Linf`, `L2`, `patch 2x2`.
        threat: String,
        /// Budgets at which robust accuracy is reported, in the threat's unit, ascending. One value
        /// for a fixed-budget attack, any number for one that finds minimal perturbations; empty
        /// when the threat has no budget (a patch).
        eps: Vec<f64>,
        /// The attack minimises the distance, so one table serves every budget.
        minimal: bool,
        /// A control (random noise, grey patch): shown, but not part of the worst case.
        #[serde(default)]
        control: bool,
        /// What the attacker wants: `untargeted`, or the rule or class of the targets.
        goal: String,
        /// Every hyper-parameter by its name in the paper.
        parameters: BTreeMap<String, String>,
    },
    /// Randomized smoothing; its table holds [`CertificateRow`](super::CertificateRow)s (`.tsv`).
    Certificate {
        /// Column title: `smoothing-0.25`.
        label: String,
        /// Name of the certificate: `cohen`.
        certificate: String,
        /// Norm of the radii: `L2`.
        norm: String,
        /// Standard deviation of the noise, in pixel units of [0, 1]; 0 for noise without one.
        sigma: f64,
        /// Radii of the report, in the norm, ascending.
        radii: Vec<f64>,
        /// What is promised about a radius and why, in a sentence.
        #[serde(default)]
        guarantee: String,
        /// Every parameter by its name in the paper (N0, N, alpha).
        parameters: BTreeMap<String, String>,
    },
    /// A certificate against patches; its table holds [`PatchRow`](super::PatchRow)s (`.tsv`).
    PatchCertificate {
        /// Column title, unique per model: `patchcleanser-2x2`.
        label: String,
        /// Name of the certificate: `patchcleanser`.
        certificate: String,
        /// Threat model in words, in pixels: `patch 2x2`.
        patch: String,
        /// Every parameter by its name in the paper, the size of the patch as it was stated.
        parameters: BTreeMap<String, String>,
    },
    /// Deterministic bounds of the network itself; its table holds [`BoundRow`](super::BoundRow)s (`.tsv`).
    Bound {
        /// Column title: `crown-linf`.
        label: String,
        /// Name of the method: `crown`.
        certificate: String,
        /// Threat model in words: `Linf`, `L2`.
        threat: String,
        /// Radii of the report, in the norm of the threat, ascending.
        eps: Vec<f64>,
        /// Every parameter by name.
        parameters: BTreeMap<String, String>,
    },
}

impl Work {
    /// Its label: the column title without the budget.
    pub fn label(&self) -> &str {
        match self {
            Self::Attack { label, .. }
            | Self::Certificate { label, .. }
            | Self::PatchCertificate { label, .. }
            | Self::Bound { label, .. } => label,
        }
    }

    /// How the name of its table ends: `csv`, or `tsv` as the logs of certificates do.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Attack { .. } => "csv",
            Self::Certificate { .. } | Self::PatchCertificate { .. } | Self::Bound { .. } => "tsv",
        }
    }

    /// The same work under another label.
    pub fn labelled(mut self, new: &str) -> Self {
        match &mut self {
            Self::Attack { label, .. }
            | Self::Certificate { label, .. }
            | Self::PatchCertificate { label, .. }
            | Self::Bound { label, .. } => new.clone_into(label),
        }
        self
    }

    /// Every parameter by its name in the paper.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Attack { parameters, .. }
            | Self::Certificate { parameters, .. }
            | Self::PatchCertificate { parameters, .. }
            | Self::Bound { parameters, .. } => parameters,
        }
    }

    /// The same work without what its rows do not depend on: the label, and what only a report asks
    /// for (radii of a certificate that draws all samples, budgets of a minimal attack).
    pub(crate) fn essence(&self) -> Self {
        let mut work = self.clone().labelled("");
        match &mut work {
            Self::Attack { minimal: true, eps, .. } => eps.clear(),
            Self::Certificate { radii, guarantee, parameters, .. } => {
                if parameters.get("mode").is_some_and(|mode| mode == "cohen") {
                    radii.clear();
                }
                guarantee.clear();
            }
            // The size as it was stated; in pixels it is the threat model.
            Self::PatchCertificate { parameters, .. } => {
                parameters.remove("patch");
            }
            Self::Attack { .. } | Self::Bound { .. } => {}
        }
        work
    }

    /// Adds what a report asks of `other`, which has the same [`Work::essence`].
    pub(crate) fn extend(&mut self, other: &Self) {
        let union = |known: &mut Vec<f64>, new: &[f64]| {
            known.extend(new);
            known.sort_by(f64::total_cmp);
            known.dedup();
        };
        match (self, other) {
            (Self::Attack { eps, minimal: true, .. }, Self::Attack { eps: new, .. }) => {
                union(eps, new);
            }
            (Self::Certificate { radii, .. }, Self::Certificate { radii: new, .. }) => {
                union(radii, new);
            }
            _ => {}
        }
    }
}
