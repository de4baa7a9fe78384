//! Where one network stands on one data set: its results under every job, the worst cases over them,
//! and its rank among the others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::attack_result::{AttackResult, Budget, Cost, median_distance, unconfirmed};
use super::bound_result::BoundResult;
use super::bracket::Bracket;
use super::certificate_result::{self, CertificateResult};
use super::contradiction::{Contradiction, contradictions};
use super::envelope::Envelope;
use super::format::{self, Cell};
use super::gather::Job;
use super::leaderboard::{AttackColumn, ThreatColumn, budgets};
use super::p_a::ProbabilityBounds;
use super::patch_result::PatchResult;
use super::proportion::Proportion;
use super::table::Table;
use super::worst_case::{Trial, WorstCase, worst_case};
use crate::record::{AttackRow, Finding, ModelRecord, Work};

/// All results of one network on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Place by [`Self::worst`], from 1; `None` if it is unfinished or lacks attacks of the board.
    pub rank: Option<usize>,
    /// The network.
    pub model: ModelRecord,
    /// Images of its largest job.
    pub images: usize,
    /// Images whose clean prediction is known.
    pub done: usize,
    /// Clean accuracy over these images.
    pub clean: Option<Proportion>,
    /// Worst case over all attacks of the board but the controls, each at its largest budget; `None`
    /// without attacks.
    pub worst: Option<WorstCase>,
    /// Worst cases per threat model and budget, for those it was attacked under.
    pub threats: Vec<ThreatResult>,
    /// Results of the attacks.
    pub attacks: Vec<AttackResult>,
    /// Results of the certificates.
    pub certificates: Vec<CertificateResult>,
    /// Results of the certificates against patches.
    pub patches: Vec<PatchResult>,
    /// Results of deterministic bounds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<BoundResult>,
    /// Images on which an attack and bounds cannot both be right; none, unless there is a bug.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
    /// Of several certificates in one norm, the best at each radius.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub envelopes: Vec<Envelope>,
    /// Robust and verified accuracy of one threat and budget, the two bounds of the truth.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brackets: Vec<Bracket>,
    /// Mean cost of an image under all attacks together.
    pub cost: Cost,
}

/// The worst case of one threat model at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThreatResult {
    /// Title of the [`ThreatColumn`].
    pub title: String,
    /// Over the attacks of this threat.
    pub worst: WorstCase,
}

/// An attack job and its rows.
struct Attacked<'a> {
    result: AttackResult,
    rows: &'a BTreeMap<u64, AttackRow>,
}

impl Attacked<'_> {
    /// Its part in a worst case at `budget`.
    fn trial(&self, budget: &Budget) -> Trial<'_> {
        Trial {
            title: budget.title.clone(),
            rows: self.rows,
            eps: budget.eps,
            images: self.result.images,
        }
    }
}

impl Standing {
    /// The results of `jobs`, which are all jobs of `model` on one data set, under the columns of the
    /// board.
    pub(super) fn new(
        model: ModelRecord,
        jobs: &[&Job],
        attacks: &[AttackColumn],
        threats: &[ThreatColumn],
    ) -> Self {
        let attacked: Vec<Attacked<'_>> = jobs.iter().filter_map(|job| attack(job)).collect();
        let counting: Vec<&Attacked<'_>> = attacked.iter().filter(|a| !a.result.control).collect();
        // The largest budget of each attack; for a threat without budgets its only entry.
        let largest: Vec<Trial<'_>> =
            counting.iter().filter_map(|a| Some(a.trial(a.result.budgets.last()?))).collect();
        let missing = missing(attacks, &attacked, |column| !column.control);
        let images = jobs.iter().map(|job| job.images).max().unwrap_or(0);
        let mut cost = Cost::default();
        attacked.iter().for_each(|a| cost += a.result.cost);
        let clean = clean(&attacked);
        Self {
            rank: None,
            images,
            done: clean.map_or(0, |c| c.total),
            clean,
            worst: worst_case(&largest, &[], missing),
            threats: threats
                .iter()
                .filter_map(|column| {
                    let worst = threat(column, attacks, &attacked)?;
                    Some(ThreatResult { title: column.title.clone(), worst })
                })
                .collect(),
            certificates: jobs.iter().filter_map(|job| certificate(job)).collect(),
            patches: jobs.iter().filter_map(|job| PatchResult::of(job)).collect(),
            bounds: jobs.iter().filter_map(|job| BoundResult::of(job)).collect(),
            contradictions: contradictions(jobs),
            envelopes: vec![],
            brackets: vec![],
            cost,
            model,
            attacks: attacked.into_iter().map(|a| a.result).collect(),
        }
    }

    /// Worst case under a threat model; `None` if no attack of it was run.
    pub fn threat(&self, column: &ThreatColumn) -> Option<&WorstCase> {
        self.threats.iter().find(|t| t.title == column.title).map(|t| &t.worst)
    }

    /// Result of an attack at a budget; `None` if it was not run.
    pub fn attack(&self, column: &AttackColumn) -> Option<(&AttackResult, &Budget)> {
        self.attacks.iter().filter(|a| a.threat == column.threat).find_map(|attack| {
            let budget = attack.budgets.iter().find(|b| b.title == column.title)?;
            Some((attack, budget))
        })
    }

    /// What safety checks found at this network, each with the titles of the attacks around which it
    /// was found.
    pub fn findings(&self) -> Vec<(&Finding, Vec<&str>)> {
        let mut all: Vec<(&Finding, Vec<&str>)> = Vec::new();
        for attack in &self.attacks {
            let title = attack.budgets.last().map_or(&*attack.label, |budget| &*budget.title);
            for finding in attack.checks.iter().flat_map(|checks| &checks.findings) {
                match all.iter_mut().find(|(known, _)| *known == finding) {
                    Some((_, titles)) => titles.push(title),
                    None => all.push((finding, vec![title])),
                }
            }
        }
        all
    }

    /// The finished certificate that certifies the most images at `radius` in `norm`, as in Cohen et
    /// al. 2019, where the best sigma is taken for each radius.
    pub fn certified(&self, norm: &str, radius: f64) -> Option<(&CertificateResult, Proportion)> {
        self.certificates
            .iter()
            .filter(|c| c.norm == norm && c.finished())
            .filter_map(|c| Some((c, c.at(radius)?)))
            .max_by(|a, b| a.1.rate.total_cmp(&b.1.rate))
    }

    /// Field of the clean accuracy.
    pub(super) fn clean_cell(&self) -> Cell {
        // Without attacks nothing was said about clean predictions.
        let images = self.attacks.iter().map(|a| a.images).max().unwrap_or(0);
        Cell::of(self.clean, self.done, images)
    }
}

/// Sorts best first and numbers those whose worst cases are comparable. Ties in the worst case go to
/// the higher clean accuracy, then to the name.
pub(super) fn rank(standings: &mut [Standing]) {
    let comparable = |s: &Standing| s.worst.as_ref().is_some_and(WorstCase::comparable);
    let worst = |s: &Standing| s.worst.as_ref().and_then(|w| w.robust).map_or(-1.0, |r| r.rate);
    let clean = |s: &Standing| s.clean.map_or(-1.0, |c| c.rate);
    standings.sort_by(|a, b| {
        let better = |of: &dyn Fn(&Standing) -> f64| of(b).total_cmp(&of(a));
        Ordering::Equal
            .then(comparable(b).cmp(&comparable(a)))
            .then(better(&worst))
            .then(better(&clean))
            .then(a.model.name.cmp(&b.model.name))
    });
    for (place, standing) in standings.iter_mut().enumerate() {
        standing.rank = comparable(standing).then_some(place + 1);
    }
}

/// Titles of the `columns` that match but that no attack of the model belongs to.
fn missing(
    columns: &[AttackColumn],
    attacked: &[Attacked<'_>],
    matches: impl Fn(&AttackColumn) -> bool,
) -> Vec<String> {
    let run = |column: &AttackColumn| {
        attacked.iter().any(|a| {
            a.result.threat == column.threat
                && a.result.budgets.iter().any(|b| b.title == column.title)
        })
    };
    columns.iter().filter(|c| matches(c) && !run(c)).map(|c| c.title.clone()).collect()
}

/// Worst case over the attacks of one threat model at one budget.
fn threat(
    column: &ThreatColumn,
    attacks: &[AttackColumn],
    attacked: &[Attacked<'_>],
) -> Option<WorstCase> {
    let here = |threat: &str, eps: Option<f64>| format::title(threat, eps) == column.title;
    let mut trials = Vec::new();
    let mut further = Vec::new();
    for attack in attacked.iter().filter(|a| !a.result.control && a.result.threat == column.threat)
    {
        let budgets = &attack.result.budgets;
        match budgets.iter().find(|b| here(&attack.result.threat, b.eps)) {
            Some(budget) => trials.push(attack.trial(budget)),
            None => {
                further.extend(budgets.last().map(|b| Trial { eps: column.eps, ..attack.trial(b) }))
            }
        }
    }
    let missing = missing(attacks, attacked, |c| !c.control && here(&c.threat, c.eps));
    worst_case(&trials, &further, missing)
}

/// Clean accuracy over every image that any attack has finished.
fn clean(attacked: &[Attacked<'_>]) -> Option<Proportion> {
    let mut correct = BTreeMap::new();
    for row in attacked.iter().flat_map(|a| a.rows.values()) {
        // Should the jobs disagree, the image is not counted as correct.
        *correct.entry(row.idx).or_insert(true) &= row.clean_correct();
    }
    Proportion::of(correct.into_values())
}

/// The attack job `job`, summed up; `None` if it is none.
fn attack(job: &Job) -> Option<Attacked<'_>> {
    let (
        Work::Attack { label, attack, threat, eps, minimal, control, parameters },
        Table::Attack(rows),
    ) = (&job.work, &job.table)
    else {
        return None;
    };
    let budget = |eps| Budget::of(rows, eps, format::title(label, eps));
    let result = AttackResult {
        label: label.clone(),
        attack: attack.clone(),
        threat: threat.clone(),
        minimal: *minimal,
        control: *control,
        parameters: parameters.clone(),
        checks: job.checks.clone(),
        images: job.images,
        done: rows.len(),
        budgets: budgets(eps, *minimal).into_iter().map(budget).collect(),
        median_distance: minimal.then(|| median_distance(rows)).flatten(),
        unconfirmed: unconfirmed(rows),
        cost: Cost::of(rows),
    };
    Some(Attacked { result, rows })
}

/// The smoothing job `job`, summed up; `None` if it is none.
fn certificate(job: &Job) -> Option<CertificateResult> {
    use certificate_result::{abstained, accuracy, curve, mean, saved, seconds};
    let (
        Work::Certificate { label, certificate, norm, sigma, radii, guarantee, parameters },
        Table::Certificate(rows),
    ) = (&job.work, &job.table)
    else {
        return None;
    };
    let samples = mean(rows, |row| (row.n0 + row.n) as f64).unwrap_or(0.0);
    Some(CertificateResult {
        label: label.clone(),
        certificate: certificate.clone(),
        norm: norm.clone(),
        sigma: *sigma,
        guarantee: guarantee.clone(),
        parameters: parameters.clone(),
        images: job.images,
        done: rows.len(),
        accuracy: accuracy(rows, radii),
        abstained: abstained(rows),
        average_radius: mean(rows, |row| row.radius * f64::from(row.correct)),
        p_a: ProbabilityBounds::of(rows),
        samples,
        saved: saved(samples, parameters).filter(|_| !rows.is_empty()),
        seconds: mean(rows, |row| seconds(&row.time)).unwrap_or(0.0),
        curve: curve(rows),
    })
}
