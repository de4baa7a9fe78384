//! A board: the networks of one data set that are over the same images, ranked.

use serde::Serialize;

use super::bracket::brackets;
use super::certified::{self, CertifiedColumn};
use super::columns::{AttackColumn, ThreatColumn, attack_columns, threat_columns};
use super::coverage::ImageSet;
use super::envelope::envelopes;
use super::format::Cell;
use super::gather::{Job, distinct};
use super::parts::Part;
use super::standing::{Standing, rank};
use super::verified::{self, VerifiedColumn};
use crate::record::DataRecord;

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
    /// Columns of the certified accuracy beside the ranking.
    pub certified: Vec<CertifiedColumn>,
    /// Columns of verified accuracy, in the order of the suite, radii ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<VerifiedColumn>,
    /// The networks, best first; those without a comparable worst case follow unranked.
    pub standings: Vec<Standing>,
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
        let attacks = attack_columns(subjects);
        let threats = threat_columns(&attacks);
        let (certified, verified) = (certified::columns(&jobs), verified::columns(&jobs));
        let largest = jobs.iter().map(|job| job.images).max().unwrap_or(0);
        let images = part.images.as_ref().map_or(largest, |images| images.count);
        let standing = |subject| {
            let mut standing = Standing::new(subject, &attacks, &threats, images);
            standing.envelopes = envelopes(&standing);
            standing.brackets = brackets(&standing, &threats, &verified);
            standing
        };
        let mut standings: Vec<Standing> = subjects.iter().map(standing).collect();
        rank(&mut standings);
        Self {
            data,
            part: part.letter.clone(),
            images,
            image_set: part.images.clone(),
            setup: setup(&jobs),
            threats,
            attacks,
            certified,
            verified,
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
        for standing in &self.standings {
            let attacks = standing.attacks.iter().map(|a| (a.label.as_str(), a.done, a.images));
            let certificates =
                standing.certificates.iter().map(|c| (c.label.as_str(), c.done, c.images));
            let patches = standing.patches.iter().map(|c| (c.label.as_str(), c.done, c.images));
            let bounds = standing.bounds.iter().map(|b| (b.label.as_str(), b.done, b.images));
            let all = attacks.chain(certificates).chain(patches).chain(bounds);
            let running = all.filter(|(_, done, images)| done < images);
            let model = standing.model.name.as_str();
            jobs.extend(running.map(|(label, done, images)| Running {
                model,
                label,
                done,
                images,
            }));
        }
        jobs
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

    /// Norms that any certificate of the board has radii in, in the order of the jobs.
    pub fn norms(&self) -> Vec<&str> {
        let certificates = self.standings.iter().flat_map(|standing| &standing.certificates);
        distinct(certificates.map(|certificate| certificate.norm.as_str()))
    }

    /// Radii that any certificate of the board reports in `norm`, ascending.
    pub fn radii(&self, norm: &str) -> Vec<f64> {
        let certificates = self.standings.iter().flat_map(|s| &s.certificates);
        let certificates = certificates.filter(|c| c.norm == norm);
        let mut radii: Vec<f64> =
            certificates.flat_map(|c| &c.accuracy).map(|a| a.radius).collect();
        radii.sort_by(f64::total_cmp);
        radii.dedup();
        radii
    }

    /// Field of a model under an attack.
    pub(super) fn attack_cell(&self, standing: &Standing, column: &AttackColumn) -> Cell {
        standing.attack(column).map_or(Cell::Absent, |(attack, budget)| {
            Cell::of(budget.robust, attack.done, attack.images)
        })
    }
}

/// `seed 0, cpu f32`, for each device and number format.
fn setup(jobs: &[&Job]) -> Vec<String> {
    let of = |job: &&Job| format!("{} {}", job.device, job.precision);
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
