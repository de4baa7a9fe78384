//! A method: one attack or certificate with its settings, in however many runs. Jobs of one label that
//! differ in a setting are different methods, told apart by what differs.

use std::collections::BTreeMap;

use super::format;
use super::gather::Job;
use super::goal::UNTARGETED;
use crate::record::Work;

/// An attack or certificate with its settings, and all jobs that did it to any network.
#[derive(Debug)]
pub(super) struct Method<'a> {
    /// Of its jobs together, under a label that is the method's own: all budgets of a minimal attack, all
    /// radii of a certificate.
    pub(super) work: Work,
    /// The label as the jobs have it.
    pub(super) label: String,
    /// ` (steps=20)`, if another method has the same label.
    suffix: String,
    settings: BTreeMap<String, String>,
    pub(super) jobs: Vec<&'a Job>,
}

impl<'a> Method<'a> {
    /// The methods of `jobs`, in the order of their first jobs.
    pub(super) fn all(jobs: &[&'a Job]) -> Vec<Self> {
        let mut methods: Vec<Self> = Vec::new();
        for job in jobs {
            let settings = settings(job);
            let same =
                |m: &&mut Self| m.settings == settings && column(&m.work) == column(&job.work);
            match methods.iter_mut().find(same) {
                Some(method) => {
                    method.work.extend(&job.work);
                    method.jobs.push(job);
                }
                None => methods.push(Self {
                    label: job.work.label().to_owned(),
                    suffix: String::new(),
                    work: job.work.clone(),
                    settings,
                    jobs: vec![job],
                }),
            }
        }
        let suffixes: Vec<String> = methods.iter().map(|m| m.difference(&methods)).collect();
        for (method, suffix) in methods.iter_mut().zip(suffixes) {
            method.suffix = suffix;
            method.work =
                method.work.clone().labelled(&format!("{}{}", method.label, method.suffix));
        }
        methods
    }

    /// Title of its column at a budget.
    pub(super) fn title(&self, eps: Option<f64>) -> String {
        format!("{}{}", format::title(&self.label, eps), self.suffix)
    }

    /// Its settings that methods in the same column have otherwise, in brackets.
    fn difference(&self, methods: &[Self]) -> String {
        let place = column(&self.work);
        let others: Vec<&Self> = methods.iter().filter(|m| column(&m.work) == place).collect();
        let names = others.iter().flat_map(|other| other.settings.keys());
        let mut differing: Vec<&String> = names
            .filter(|name| others.iter().any(|m| m.settings.get(*name) != self.settings.get(*name)))
            .collect();
        differing.sort();
        differing.dedup();
        let value = |name: &&String| self.settings.get(*name).map_or("–", String::as_str);
        let pairs: Vec<String> =
            differing.iter().map(|name| format!("{name}={}", value(name))).collect();
        if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) }
    }
}

/// Where a job stands on a board: kind, label, threat model and, for a fixed-budget attack, budget.
fn column(work: &Work) -> (u8, &str, &str, Vec<String>) {
    match work {
        Work::Attack { label, threat, eps, minimal, .. } => {
            let budgets = if *minimal { &[][..] } else { eps };
            (0, label, threat, budgets.iter().map(|eps| format::eps(*eps)).collect())
        }
        Work::Certificate { label, norm, .. } => (1, label, norm, vec![]),
        Work::PatchCertificate { label, patch, .. } => (2, label, patch, vec![]),
        Work::Bound { label, threat, .. } => (3, label, threat, vec![]),
    }
}

/// Everything that makes a method another one, by name. The seed of an attack does not: its runs are
/// restarts. That of a certificate does, whose statement is about one draw.
fn settings(job: &Job) -> BTreeMap<String, String> {
    let mut settings = job.work.parameters().clone();
    let mut put = |name: &str, value: String| settings.insert(name.to_owned(), value);
    put("precision", job.precision.clone());
    let list = |values: &[f64]| {
        values.iter().map(|value| format::eps(*value)).collect::<Vec<_>>().join(" ")
    };
    match &job.work {
        Work::Attack { attack, minimal, control, goal, .. } => {
            put("attack", attack.clone());
            put("minimal", minimal.to_string());
            put("control", control.to_string());
            put("goal", goal.clone());
        }
        Work::Certificate { certificate, sigma, radii, parameters, .. } => {
            put("certificate", certificate.clone());
            put("sigma", sigma.to_string());
            put("seed", job.seed.to_string());
            if parameters.get("mode").is_some_and(|mode| mode != "cohen") {
                put("radii", list(radii));
            }
        }
        Work::PatchCertificate { certificate, .. } => {
            put("certificate", certificate.clone());
        }
        Work::Bound { certificate, eps, .. } => {
            put("certificate", certificate.clone());
            put("eps", list(eps));
        }
    }
    settings
}

/// The work is an attack that a worst case is taken over.
pub(super) fn counts(work: &Work) -> bool {
    matches!(work, Work::Attack { control: false, goal, .. } if goal == UNTARGETED)
}
