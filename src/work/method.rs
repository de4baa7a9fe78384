//! A method: one attack or certificate with its settings, in however many runs. Jobs of one label that
//! differ in a setting are different methods, told apart by what differs.

use std::collections::BTreeMap;

use super::job::Job;
use crate::record::Work;
use crate::results::format;

/// An attack or certificate with its settings, and all jobs that did it to any network.
#[derive(Debug)]
pub(crate) struct Method<'a> {
    /// Of its jobs together, under a label that is the method's own: all budgets of a minimal attack, all
    /// radii of a certificate.
    pub(crate) work: Work,
    /// The label as the jobs have it.
    pub(crate) label: String,
    /// ` (steps=20)`, if another method has the same label.
    suffix: String,
    place: Vec<String>,
    settings: BTreeMap<String, String>,
    pub(crate) jobs: Vec<&'a Job>,
}

impl<'a> Method<'a> {
    /// The methods of `jobs`, in the order of their first jobs.
    pub(crate) fn all(jobs: &[&'a Job]) -> Vec<Self> {
        let mut methods: Vec<Self> = Vec::new();
        for job in jobs {
            let same = |m: &&mut Self| m.settings == job.settings && m.place == job.place;
            match methods.iter_mut().find(same) {
                Some(method) => {
                    if job.any_eps {
                        union(&mut method.work.eps, &job.work.eps);
                    }
                    method.jobs.push(job);
                }
                None => methods.push(Self {
                    label: job.work.label.clone(),
                    suffix: String::new(),
                    work: job.work.clone(),
                    place: job.place.clone(),
                    settings: job.settings.clone(),
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
    pub(crate) fn title(&self, eps: Option<f64>) -> String {
        format!("{}{}", format::title(&self.label, eps), self.suffix)
    }

    /// Its settings that methods in the same column have otherwise, in brackets.
    fn difference(&self, methods: &[Self]) -> String {
        let others: Vec<&Self> = methods.iter().filter(|m| m.place == self.place).collect();
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

/// Adds `new` to ascending values that are there once each.
pub(crate) fn union(known: &mut Vec<f64>, new: &[f64]) {
    known.extend(new);
    known.sort_by(f64::total_cmp);
    known.dedup();
}
