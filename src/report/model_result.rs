//! Where one network stands on a board: its results under every job, the worst cases over them, and its
//! rank among the others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::SerializeMap as _;

use super::bracket::Bracket;
use super::contradiction::{Contradiction, contradictions};
use super::subject::Subject;
use crate::record::Finding;
use crate::results::{Cell, Proportion, Region};
use crate::work::{
    AttackColumn, AttackResult, Budget, Cost, Entrant, KINDS, Outcome, ThreatColumn, Trial,
    WorstCase, goal, worst_case,
};

/// All results of one network on one board.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelResult {
    /// Rank by [`Self::worst`], from 1; equal worst cases share it. `None` if an attack is unfinished or
    /// lacks.
    pub rank: Option<usize>,
    /// The network, the images of its row, and the results of all kinds of work.
    #[serde(flatten, serialize_with = "serialize")]
    pub entrant: Entrant,
    /// Images whose clean prediction is known, of [`Entrant::images`].
    pub done: usize,
    /// Clean accuracy over the images of the row.
    pub clean: Option<Proportion>,
    /// Worst case over all untargeted attacks but the controls, each at the largest budget of its threat
    /// model; `None` without attacks.
    pub worst: Option<WorstCase>,
    /// Worst cases per threat model and budget, for those it was attacked under.
    pub threats: Vec<ThreatResult>,
    /// Images on which an attack and a proof cannot both be right; none, unless there is a bug.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
    /// Images whose clean prediction is not the same in all jobs, which count as misclassified; none,
    /// unless there is a bug.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<u64>,
    /// The class that the network answers for every clean image, if it is one while the labels are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_answer: Option<u32>,
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

impl ModelResult {
    /// The results of `subject` under the columns of a board; the images of its row are left open if no
    /// attack has finished.
    pub(super) fn new(
        subject: &Subject<'_>,
        attacks: &[AttackColumn],
        threats: &[ThreatColumn],
    ) -> Self {
        let clean = clean(subject);
        let mut outcomes = Vec::new();
        for kind in KINDS {
            let methods = subject.methods.iter().enumerate();
            for (order, method) in methods.filter(|(_, m)| m.work.kind == kind.name()) {
                let outcome = kind.sum_up(method, subject.methods, subject.number);
                outcomes.extend(outcome.map(|outcome| Outcome { order, ..outcome }));
            }
        }
        let entrant = Entrant {
            model: subject.model.clone(),
            images: 0,
            image_set: subject.image_set(),
            outcomes,
        };
        let mut cost = Cost::default();
        entrant.results::<AttackResult>().for_each(|attack| cost += attack.cost);
        let of = |column: &ThreatColumn| {
            let worst = threat(column, attacks, subject)?;
            Some(ThreatResult { title: column.title.clone(), worst })
        };
        Self {
            rank: None,
            entrant,
            done: clean.map_or(0, |c| c.total),
            clean,
            worst: overall(attacks, subject),
            threats: threats.iter().filter_map(of).collect(),
            contradictions: contradictions(&subject.jobs),
            disagreements: subject.evidence.disagreements(),
            only_answer: subject.evidence.only_answer(),
            brackets: vec![],
            cost,
        }
    }

    /// Worst case under a threat model; `None` if no attack of it was run.
    pub fn threat(&self, column: &ThreatColumn) -> Option<&WorstCase> {
        self.threats.iter().find(|t| t.title == column.title).map(|t| &t.worst)
    }

    /// Results of its attacks.
    pub fn attacks(&self) -> impl Iterator<Item = &AttackResult> {
        self.entrant.results()
    }

    /// Result of an attack at a budget; `None` if it was not run.
    pub fn attack(&self, column: &AttackColumn) -> Option<(&AttackResult, &Budget)> {
        self.attacks().find_map(|attack| Some((attack, attack.at(column)?)))
    }

    /// What safety checks found at this network, each with the titles of the attacks around which it
    /// was found.
    pub fn findings(&self) -> Vec<(&Finding, Vec<&str>)> {
        let mut all: Vec<(&Finding, Vec<&str>)> = Vec::new();
        for attack in self.attacks() {
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

    /// Field of the clean accuracy.
    pub(super) fn clean_cell(&self) -> Cell {
        // Without attacks nothing was said about clean predictions.
        let largest = self.attacks().map(|a| a.images).max().unwrap_or(0);
        let images = if self.entrant.image_set.is_some() { self.entrant.images } else { largest };
        Cell::of(self.clean, self.done, images)
    }

    /// Field of a worst case.
    pub(super) fn worst_cell(&self, worst: Option<&WorstCase>) -> Cell {
        let Some(worst) = worst else { return Cell::Absent };
        // Images of the target class are left out of a targeted column, which is said otherwise.
        let other = worst.covered.as_ref().is_some_and(|set| self.entrant.elsewhere(set));
        worst.cell(other)
    }
}

/// Writes the fields of an entrant, and the lists of results that each kind makes of it.
fn serialize<S: serde::Serializer>(entrant: &Entrant, to: S) -> Result<S::Ok, S::Error> {
    let Entrant { model, images, image_set, .. } = entrant;
    let mut map = to.serialize_map(None)?;
    map.serialize_entry("model", model)?;
    map.serialize_entry("images", images)?;
    map.serialize_entry("image_set", image_set)?;
    for (name, list) in KINDS.iter().flat_map(|kind| kind.summary(entrant)) {
        map.serialize_entry(name, &list)?;
    }
    map.end()
}

/// Sorts best first and numbers those whose worst cases are comparable; equal ones share a place and
/// stand by clean accuracy, then by the name.
pub(super) fn rank(standings: &mut [ModelResult]) {
    let comparable = |s: &ModelResult| s.worst.as_ref().is_some_and(WorstCase::comparable);
    let worst = |s: &ModelResult| s.worst.as_ref().and_then(|w| w.robust).map_or(-1.0, |r| r.rate);
    let clean = |s: &ModelResult| s.clean.map_or(-1.0, |c| c.rate);
    standings.sort_by(|a, b| {
        let better = |of: &dyn Fn(&ModelResult) -> f64| of(b).total_cmp(&of(a));
        Ordering::Equal
            .then(comparable(b).cmp(&comparable(a)))
            .then(better(&worst))
            .then(better(&clean))
            .then(a.entrant.model.name.cmp(&b.entrant.model.name))
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
    for attack in subject.attacks.iter().filter(|attack| !attack.is_control()) {
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
