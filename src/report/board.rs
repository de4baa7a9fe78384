//! A board: the networks of one data set that are over the same images, ranked.

use serde::Serialize;

use super::bracket::brackets;
use super::model_result::{ModelResult, rank};
use super::parts::Part;
use crate::record::DataRecord;
use crate::results::{ImageSet, distinct};
use crate::service;
use crate::work::{
    AttackColumn, Entrant, Job, KINDS, KindColumn, ThreatColumn, attack_columns, threat_columns,
};

/// The ranking on one set of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Board {
    /// The data set.
    pub data: DataRecord,
    /// `a`, `b`, …, if networks of the data set were attacked on different images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Number of images of the worst cases; without any, of the largest job.
    pub images: usize,
    /// The images of the worst cases.
    pub image_set: Option<ImageSet>,
    /// Seeds, devices and number formats of the jobs, in words.
    pub setup: Vec<String>,
    /// Columns of the worst cases, in the order of the suite, budgets ascending.
    pub threats: Vec<ThreatColumn>,
    /// Columns of single attacks.
    pub attacks: Vec<AttackColumn>,
    /// Columns of other kinds of work beside the ranking, kind by kind.
    pub columns: Vec<KindColumn>,
    /// The networks, best first; those without a comparable worst case follow unranked.
    pub standings: Vec<ModelResult>,
}

/// A job that has not finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running<'a> {
    /// Name of the network.
    pub model: &'a str,
    /// Label of the job.
    pub label: &'a str,
    /// Images done.
    pub done: usize,
    /// Images of the job.
    pub images: usize,
}

impl Board {
    pub(super) fn new(data: DataRecord, part: &Part<'_>) -> Self {
        let subjects = &part.subjects;
        let methods = subjects.first().map_or(&[][..], |subject| subject.methods);
        let own = |job: &&&Job| subjects.iter().any(|subject| subject.number == job.model);
        let jobs: Vec<&Job> =
            methods.iter().flat_map(|method| &method.jobs).filter(own).copied().collect();
        let attacked: Vec<_> = subjects.iter().flat_map(|subject| &subject.attacks).collect();
        let attacks = attack_columns(methods, &attacked);
        let threats = threat_columns(&attacks);
        let of_kind = |name: &str| -> Vec<&Job> {
            jobs.iter().filter(|job| job.work.kind == name).copied().collect()
        };
        let columns: Vec<KindColumn> =
            KINDS.iter().flat_map(|kind| kind.columns(&of_kind(kind.name()))).collect();
        let standing = |subject| {
            let mut standing = ModelResult::new(subject, &attacks, &threats);
            standing.brackets = brackets(&standing, &threats, &columns);
            standing
        };
        let mut standings: Vec<ModelResult> = subjects.iter().map(standing).collect();
        let outcomes = standings.iter().flat_map(|standing| &standing.entrant.outcomes);
        let largest = outcomes.map(|outcome| outcome.result.images()).max().unwrap_or(0);
        let images = part.images.as_ref().map_or(largest, |images| images.count);
        for standing in &mut standings {
            let set = standing.entrant.image_set.as_ref();
            standing.entrant.images = set.map_or(images, |set| set.count);
        }
        rank(&mut standings);
        Self {
            data,
            part: part.letter.clone(),
            images,
            image_set: part.images.clone(),
            setup: setup(&jobs),
            threats,
            attacks,
            columns,
            standings,
        }
    }

    /// Name of the data set, and of the part.
    pub fn title(&self) -> String {
        match &self.part {
            Some(part) => format!("{} ({part})", self.data.name),
            None => self.data.name.clone(),
        }
    }

    /// The board has a worst case: an attack that is neither targeted nor a control.
    pub fn has_worst_case(&self) -> bool {
        self.threats.iter().any(|column| !column.targeted())
    }

    /// Jobs that have not finished.
    pub fn unfinished(&self) -> Vec<Running<'_>> {
        let mut jobs = Vec::new();
        for Entrant { model, outcomes, .. } in self.entrants() {
            for outcome in outcomes.iter().filter(|outcome| !outcome.finished()) {
                let (done, images) = outcome.result.progress();
                let label = outcome.result.label();
                jobs.push(Running { model: &model.name, label, done, images });
            }
        }
        jobs
    }

    /// The networks with their results, as the kinds of work see them.
    pub(super) fn entrants(&self) -> Vec<&Entrant> {
        self.standings.iter().map(|standing| &standing.entrant).collect()
    }

    /// Number of attacks in the overall worst case: an attack at several budgets is one, and several if
    /// it has other settings at one budget.
    pub fn attack_count(&self) -> usize {
        let counting = || self.attacks.iter().filter(|a| !a.control && !a.targeted());
        let variants = |label: &String| {
            let own = || counting().filter(|a| a.label == *label);
            own().map(|a| own().filter(|b| a.aim() == b.aim()).count()).max().unwrap_or(0)
        };
        distinct(counting().map(|attack| &attack.label)).into_iter().map(variants).sum()
    }
}

/// `seed 0, cpu f32`, for each device and number format; how a service computes is not known.
fn setup(jobs: &[&Job]) -> Vec<String> {
    let of = |job: &&Job| match &*job.device {
        service::DEVICE => service::NOTE.to_owned(),
        device => format!("{device} {}", job.precision),
    };
    let way = |way: String| {
        let mut seeds: Vec<u64> =
            jobs.iter().filter(|job| of(job) == way).map(|job| job.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let list: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let word = if list.len() == 1 { "seed" } else { "seeds" };
        format!("{word} {}, {way}", list.join(", "))
    };
    distinct(jobs.iter().map(of)).into_iter().map(way).collect()
}
