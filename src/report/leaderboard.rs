//! The leaderboard: from run folders to the numbers that every export prints. It is derived, never
//! stored and read back: what is on disk are the rows of the jobs.

use std::path::PathBuf;

use serde::Serialize;

use super::bracket::brackets;
use super::certified::{self, CertifiedColumn};
use super::envelope::envelopes;
use super::format::{self, Cell};
use super::gather::{Gathered, Job, RunInfo};
use super::published::Ranking;
use super::standing::{Standing, rank};
use super::verified::{self, VerifiedColumn};
use crate::error::{Error, Result};
use crate::record::{DataRecord, ModelRecord, Work};

/// Version of `summary.json`.
///
/// 2: a board's `certified` is a list of columns (it was one `radius`); envelopes, brackets, pA and samples
/// saved.
pub const SUMMARY_VERSION: u32 = 2;

/// Everything a report says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaderboard {
    /// [`SUMMARY_VERSION`].
    pub format_version: u32,
    /// Names of the suites.
    pub title: String,
    /// The run folders, in the order they were given.
    pub runs: Vec<RunInfo>,
    /// One ranking per data set.
    pub boards: Vec<Board>,
    /// What happened when the runs were merged, in sentences.
    pub notes: Vec<String>,
    /// Measured networks among published ones, where the user asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Ranking>,
}

/// The ranking on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Board {
    /// The data set.
    pub data: DataRecord,
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

/// A threat model at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThreatColumn {
    /// `Linf 0.1`.
    pub title: String,
    /// Threat model in words.
    pub threat: String,
    /// Budget, if the threat has one.
    pub eps: Option<f64>,
}

/// An attack at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackColumn {
    /// `pgd-linf 0.1`.
    pub title: String,
    /// Label of the job.
    pub label: String,
    /// Threat model in words.
    pub threat: String,
    /// Budget, if the threat has one.
    pub eps: Option<f64>,
    /// A control, kept out of every worst case.
    pub control: bool,
}

impl Leaderboard {
    /// Reads the run folders and derives the leaderboard. Networks and data sets of several runs are
    /// merged by their hashes; of a job that was run twice the later folder's rows count, which
    /// [`Self::notes`] tells.
    ///
    /// # Errors
    /// If there is no folder, a folder has no readable `run.toml`, or a table is damaged. A missing
    /// or short table is not an error but an unfinished job.
    pub fn from_runs(folders: &[PathBuf]) -> Result<Self> {
        if folders.is_empty() {
            return Err(Error::setting(
                "run folders",
                "none was given",
                "name at least one folder with a run.toml",
            ));
        }
        let Gathered { runs, models, data, jobs, notes } = Gathered::read(folders)?;
        let boards = data
            .into_iter()
            .enumerate()
            .map(|(index, data)| {
                let jobs: Vec<&Job> = jobs.iter().filter(|job| job.data == index).collect();
                Board::new(data, &models, &jobs)
            })
            .filter(|board| !board.standings.is_empty())
            .collect();
        let mut names: Vec<&str> = Vec::new();
        for run in &runs {
            if !names.contains(&run.name.as_str()) {
                names.push(&run.name);
            }
        }
        let title = names.join(" + ");
        let published = Vec::new();
        Ok(Self { format_version: SUMMARY_VERSION, title, runs, boards, notes, published })
    }
}

impl Board {
    fn new(data: DataRecord, models: &[ModelRecord], jobs: &[&Job]) -> Self {
        let attacks = attack_columns(jobs);
        let threats = threat_columns(&attacks);
        let (certified, verified) = (certified::columns(jobs), verified::columns(jobs));
        let mut standings: Vec<Standing> = models
            .iter()
            .enumerate()
            .filter_map(|(index, model)| {
                let own: Vec<&Job> = jobs.iter().filter(|j| j.model == index).copied().collect();
                if own.is_empty() {
                    return None;
                }
                let mut standing = Standing::new(model.clone(), &own, &attacks, &threats);
                standing.envelopes = envelopes(&standing);
                standing.brackets = brackets(&standing, &threats, &verified);
                Some(standing)
            })
            .collect();
        rank(&mut standings);
        Self { data, threats, attacks, certified, verified, standings }
    }

    /// Jobs that have not finished: model, label, images done, images of the job.
    pub fn unfinished(&self) -> Vec<(&str, &str, usize, usize)> {
        let mut jobs = Vec::new();
        for standing in &self.standings {
            let name = standing.model.name.as_str();
            let attacks = standing.attacks.iter().map(|a| (a.label.as_str(), a.done, a.images));
            let certificates =
                standing.certificates.iter().map(|c| (c.label.as_str(), c.done, c.images));
            let patches = standing.patches.iter().map(|c| (c.label.as_str(), c.done, c.images));
            let bounds = standing.bounds.iter().map(|b| (b.label.as_str(), b.done, b.images));
            for (label, done, images) in attacks.chain(certificates).chain(patches).chain(bounds) {
                if done < images {
                    jobs.push((name, label, done, images));
                }
            }
        }
        jobs
    }

    /// Number of attacks in the overall worst case, controls left out.
    pub fn attack_count(&self) -> usize {
        let mut labels: Vec<_> =
            self.attacks.iter().filter(|a| !a.control).map(|a| &a.label).collect();
        labels.sort();
        labels.dedup();
        labels.len()
    }

    /// Norms that any certificate of the board has radii in, in the order of the jobs.
    pub fn norms(&self) -> Vec<&str> {
        let mut norms: Vec<&str> = Vec::new();
        for certificate in self.standings.iter().flat_map(|s| &s.certificates) {
            if !norms.contains(&certificate.norm.as_str()) {
                norms.push(&certificate.norm);
            }
        }
        norms
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

/// Budgets of an attack's columns; a minimal attack without budgets has none.
pub(super) fn budgets(eps: &[f64], minimal: bool) -> Vec<Option<f64>> {
    match eps {
        [] if minimal => vec![],
        [] => vec![None],
        eps => eps.iter().copied().map(Some).collect(),
    }
}

/// A column for each attack and budget, in the order of the jobs.
fn attack_columns(jobs: &[&Job]) -> Vec<AttackColumn> {
    let mut columns: Vec<AttackColumn> = Vec::new();
    for job in jobs {
        let Work::Attack { label, threat, eps, minimal, control, .. } = &job.work else { continue };
        for eps in budgets(eps, *minimal) {
            let title = format::title(label, eps);
            match columns.iter_mut().find(|c| c.title == title && c.threat == *threat) {
                Some(column) => column.control &= control,
                None => columns.push(AttackColumn {
                    title,
                    label: label.clone(),
                    threat: threat.clone(),
                    eps,
                    control: *control,
                }),
            }
        }
    }
    columns
}

/// A column for each threat model and budget that an attack other than a control covers: threats in
/// the order of the attacks, budgets ascending.
fn threat_columns(attacks: &[AttackColumn]) -> Vec<ThreatColumn> {
    let mut columns: Vec<ThreatColumn> = Vec::new();
    let mut order: Vec<&str> = Vec::new();
    for attack in attacks.iter().filter(|a| !a.control) {
        let title = format::title(&attack.threat, attack.eps);
        if !order.contains(&attack.threat.as_str()) {
            order.push(&attack.threat);
        }
        if !columns.iter().any(|c| c.title == title) {
            columns.push(ThreatColumn { title, threat: attack.threat.clone(), eps: attack.eps });
        }
    }
    columns.sort_by(|a, b| {
        let place = |c: &ThreatColumn| order.iter().position(|threat| *threat == c.threat);
        place(a).cmp(&place(b)).then(a.eps.unwrap_or(0.0).total_cmp(&b.eps.unwrap_or(0.0)))
    });
    columns
}
