//! Where one network stands on a board: its results under every job, the worst cases over them, and its
//! rank among the others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::attack_result::{AttackResult, Budget, Cost};
use super::bound_result::BoundResult;
use super::bracket::Bracket;
use super::certificate_result::CertificateResult;
use super::columns::{AttackColumn, ThreatColumn};
use super::contradiction::{Contradiction, contradictions};
use super::coverage::ImageSet;
use super::envelope::Envelope;
use super::format::Cell;
use super::goal;
use super::patch_result::PatchResult;
use super::proportion::Proportion;
use super::region::Region;
use super::subject::Subject;
use super::worst_case::{Trial, WorstCase, worst_case};
use crate::record::{Finding, ModelRecord};

/// All results of one network on one board.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Place by [`Self::worst`], from 1; equal worst cases share it. `None` if an attack is unfinished or
    /// lacks.
    pub rank: Option<usize>,
    /// The network.
    pub model: ModelRecord,
    /// Images of its row: those of the worst case, or of the board if it has none.
    pub images: usize,
    /// The images of its row; `None` if no attack has finished.
    pub image_set: Option<ImageSet>,
    /// Images whose clean prediction is known, of [`Self::images`].
    pub done: usize,
    /// Clean accuracy over the images of the row.
    pub clean: Option<Proportion>,
    /// Worst case over all untargeted attacks but the controls, each at the largest budget of its threat
    /// model; `None` without attacks.
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
    /// Images whose clean prediction is not the same in all jobs, which count as misclassified; none,
    /// unless there is a bug.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<u64>,
    /// The class that the network answers for every clean image, if it is one while the labels are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_answer: Option<u32>,
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

impl Standing {
    /// The results of `subject` under the columns of a board of `images` images.
    pub(super) fn new(
        subject: &Subject<'_>,
        attacks: &[AttackColumn],
        threats: &[ThreatColumn],
        images: usize,
    ) -> Self {
        let image_set = subject.image_set();
        let clean = clean(subject);
        let results: Vec<AttackResult> =
            subject.attacks.iter().filter_map(AttackResult::of).collect();
        let mut cost = Cost::default();
        results.iter().for_each(|attack| cost += attack.cost);
        let of = |column: &ThreatColumn| {
            let worst = threat(column, attacks, subject)?;
            Some(ThreatResult { title: column.title.clone(), worst })
        };
        let number = subject.number;
        let methods = subject.methods.iter();
        Self {
            rank: None,
            model: subject.model.clone(),
            images: image_set.as_ref().map_or(images, |set| set.count),
            done: clean.map_or(0, |c| c.total),
            image_set,
            clean,
            worst: overall(attacks, subject),
            threats: threats.iter().filter_map(of).collect(),
            attacks: results,
            certificates: methods
                .clone()
                .filter_map(|method| CertificateResult::of(method, number))
                .collect(),
            patches: methods.clone().filter_map(|method| PatchResult::of(method, number)).collect(),
            bounds: methods.filter_map(|method| BoundResult::of(method, number)).collect(),
            contradictions: contradictions(&subject.jobs),
            disagreements: subject.evidence.disagreements(),
            only_answer: subject.evidence.only_answer(),
            envelopes: vec![],
            brackets: vec![],
            cost,
        }
    }

    /// Worst case under a threat model; `None` if no attack of it was run.
    pub fn threat(&self, column: &ThreatColumn) -> Option<&WorstCase> {
        self.threats.iter().find(|t| t.title == column.title).map(|t| &t.worst)
    }

    /// Result of an attack at a budget; `None` if it was not run.
    pub fn attack(&self, column: &AttackColumn) -> Option<(&AttackResult, &Budget)> {
        let same = |a: &&AttackResult| a.threat == column.threat && a.goal == column.goal;
        self.attacks.iter().filter(same).find_map(|attack| {
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
    /// al. 2019, where the best sigma is taken for each radius. One over the images of the row goes before
    /// others, and among those the one over most images.
    pub fn certified(&self, norm: &str, radius: f64) -> Option<(&CertificateResult, Proportion)> {
        let own = self.certificates.iter().filter(|c| c.norm == norm && c.finished());
        let own = own.filter_map(|c| Some((c, c.at(radius)?, c.image_set.as_ref())));
        self.best(own).map(|(certificate, share, _)| (certificate, share))
    }

    /// The highest share over the images of the row; without one, over the most images.
    pub(super) fn best<'b, T>(
        &self,
        shares: impl Iterator<Item = (T, Proportion, Option<&'b ImageSet>)>,
    ) -> Option<(T, Proportion, Option<&'b ImageSet>)> {
        let here = |images: Option<&ImageSet>| !images.is_none_or(|set| self.elsewhere(set));
        shares.max_by(|a, b| {
            (here(a.2), a.1.total).cmp(&(here(b.2), b.1.total)).then(a.1.rate.total_cmp(&b.1.rate))
        })
    }

    /// A number over `images` is not over the images of the row.
    pub(super) fn elsewhere(&self, images: &ImageSet) -> bool {
        self.image_set.as_ref().map_or(images.count != self.images, |own| own != images)
    }

    /// Field of the clean accuracy.
    pub(super) fn clean_cell(&self) -> Cell {
        // Without attacks nothing was said about clean predictions.
        let largest = self.attacks.iter().map(|a| a.images).max().unwrap_or(0);
        let images = if self.image_set.is_some() { self.images } else { largest };
        Cell::of(self.clean, self.done, images)
    }

    /// Field of a worst case.
    pub(super) fn worst_cell(&self, worst: Option<&WorstCase>) -> Cell {
        let Some(worst) = worst else { return Cell::Absent };
        // Images of the target class are left out of a targeted column, which is said elsewhere.
        let other = worst.images.as_ref().is_some_and(|set| self.elsewhere(set));
        Cell::worst(worst, other && worst.left_out == 0)
    }
}

/// Sorts best first and numbers those whose worst cases are comparable; equal ones share a place and
/// stand by clean accuracy, then by the name.
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
    // They are over the same images: equal shares are equal counts.
    let places: Vec<f64> = standings.iter().filter(|s| comparable(s)).map(worst).collect();
    for (standing, share) in standings.iter_mut().zip(&places) {
        standing.rank = Some(1 + places.iter().filter(|other| *other > share).count());
    }
}

/// Titles of the `columns` that match but that no attack of the network belongs to.
fn missing(
    columns: &[AttackColumn],
    subject: &Subject<'_>,
    matches: impl Fn(&AttackColumn) -> bool,
) -> Vec<String> {
    let run = |column: &AttackColumn| {
        subject.attacks.iter().any(|attack| {
            let titles = attack.budgets().into_iter().map(|eps| attack.method.title(eps));
            attack.threat() == column.threat
                && attack.goal() == column.goal
                && titles.into_iter().any(|title| title == column.title)
        })
    };
    columns.iter().filter(|c| matches(c) && !run(c)).map(|c| c.title.clone()).collect()
}

/// Worst case over all untargeted attacks, within the largest budget of each threat model that an attack
/// has finished under.
fn overall(columns: &[AttackColumn], subject: &Subject<'_>) -> Option<WorstCase> {
    let mut trials: Vec<Trial<'_, '_>> = Vec::new();
    let mut largest: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for attack in subject.attacks.iter().filter(|attack| attack.counts()) {
        let budgets = attack.budgets();
        let Some(eps) = budgets.last().copied() else { continue };
        trials.push((attack.method.title(eps), attack));
        if attack.pool.finished() {
            let known = largest.entry(attack.threat()).or_insert(eps);
            if eps.unwrap_or(0.0) > known.unwrap_or(0.0) {
                *known = eps;
            }
        }
    }
    let regions: Vec<Region> =
        largest.into_iter().map(|(threat, eps)| Region::new(threat, eps)).collect();
    let missing = missing(columns, subject, |column| !column.control && !column.targeted());
    worst_case(&subject.evidence, &trials, &regions, missing)
}

/// Worst case over the attacks of one threat model at one budget.
fn threat(
    column: &ThreatColumn,
    columns: &[AttackColumn],
    subject: &Subject<'_>,
) -> Option<WorstCase> {
    let mut trials: Vec<Trial<'_, '_>> = Vec::new();
    for attack in subject.attacks.iter().filter(|attack| !attack.control()) {
        let here =
            |eps: &Option<f64>| goal::title(attack.threat(), *eps, attack.goal()) == column.title;
        if let Some(eps) = attack.budgets().into_iter().find(here) {
            trials.push((attack.method.title(eps), attack));
        }
    }
    let missing = missing(columns, subject, |c| !c.control && c.aim() == column.title);
    let region = Region::new(&column.threat, column.eps);
    worst_case(&subject.evidence, &trials, &[region], missing)
}

/// Clean accuracy over the images of the row, or over all that were looked at while no attack has finished.
fn clean(subject: &Subject<'_>) -> Option<Proportion> {
    let evidence = &subject.evidence;
    let images = subject.images();
    match (subject.attacks.is_empty(), images.is_empty()) {
        (true, _) => None,
        (false, true) => Proportion::new(evidence.count_correct(), evidence.count()),
        (false, false) => Proportion::of(images.iter().map(|key| evidence.correct(key))),
    }
}
