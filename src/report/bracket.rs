//! Attack and proof of one network side by side: robust accuracy is an upper bound of the truth, verified
//! accuracy a lower one, and the images between them are undecided.

use serde::Serialize;

use super::board::Board;
use super::model_result::ModelResult;
use crate::results::{Cell, Field, Head, Line, Proportion, Sheet, format};
use crate::work::{KindColumn, ThreatColumn};

/// The two bounds under one threat model at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bracket {
    /// `Linf 0.1`.
    pub title: String,
    /// Verified accuracy, by the best bounds.
    pub verified: Proportion,
    /// Label of these bounds.
    pub proof: String,
    /// Robust accuracy, the worst case over the attacks of the threat.
    pub robust: Proportion,
    /// Images that no attack broke and nothing proves.
    pub undecided: usize,
}

/// The brackets of a network: threats and budgets at which it was attacked and verified, all jobs finished
/// and over the same images.
pub(super) fn brackets(
    standing: &ModelResult,
    threats: &[ThreatColumn],
    columns: &[KindColumn],
) -> Vec<Bracket> {
    let bracket = |threat: &ThreatColumn| {
        let same =
            |c: &&KindColumn| c.lower_bound && c.threat == threat.threat && c.eps == threat.eps;
        let (proof, verified) = standing.entrant.best_in(columns.iter().find(same)?)?;
        let worst = standing.threat(threat).filter(|worst| worst.finished())?;
        let robust = worst.robust.filter(|_| worst.images.as_ref() == proof.result.image_set())?;
        Some(Bracket {
            title: threat.title.clone(),
            verified,
            proof: proof.result.label().to_owned(),
            robust,
            undecided: robust.count.saturating_sub(verified.count),
        })
    };
    threats.iter().filter(|threat| !threat.targeted()).filter_map(bracket).collect()
}

/// A row per network, threat and budget that was both attacked and verified; `None` without one.
pub(super) fn sheet(board: &Board) -> Option<Sheet> {
    let line = |model: &str, bracket: &Bracket| {
        Line::of(vec![
            Field::text(model),
            Field::text(&*bracket.title),
            Field::text(&*bracket.proof),
            Cell::measured(bracket.verified, false).into(),
            Cell::measured(bracket.robust, false).into(),
            Field::text(format::count(bracket.undecided as f64)),
        ])
    };
    let of = |standing: &ModelResult| {
        let name = &standing.entrant.model.name;
        standing.brackets.iter().map(|bracket| line(name, bracket)).collect::<Vec<_>>()
    };
    let lines: Vec<Line> = board.standings.iter().flat_map(of).collect();
    let mut columns = ["model", "threat", "proved by"].map(Head::text).to_vec();
    columns.extend(["verified", "robust", "undecided"].map(Head::number));
    (!lines.is_empty()).then(|| Sheet {
        title: "Between proof and attack".into(),
        columns,
        lines,
        note: "The truth lies between verified accuracy, which is proved, and robust accuracy, which the \
               attacks of the threat leave. Undecided: images between them."
            .into(),
        short_note: "The truth lies between verified and robust accuracy; undecided: images.".into(),
        ..Sheet::default()
    })
}
