//! The tables below a board, which every format prints: those of each kind of work, what lies between proof
//! and attack, and what it all cost.

use super::board::Board;
use super::{bracket, classes};
use crate::results::{Field, Head, Line, Sheet, distinct, format};
use crate::work::{Cost, KINDS};

/// A figure shows this many networks, the best; more lines than that cannot be told apart.
pub(super) const MOST: usize = 12;

/// All tables, in the order of the kinds.
pub(super) fn sheets(board: &Board) -> Vec<Sheet> {
    let entrants = board.entrants();
    let kinds = KINDS.iter().flat_map(|kind| kind.sheets(&entrants));
    let classes = classes::sheets(board);
    kinds.chain(classes).chain(bracket::sheet(board)).chain(costs(board)).collect()
}

/// Passes, a row per method; `None` if no job counts them.
fn costs(board: &Board) -> Option<Sheet> {
    let field = |cost: Option<Cost>| match cost {
        Some(cost) => Field::text(passes(cost)),
        None => Field::text("–"),
    };
    let all = || board.standings.iter().flat_map(|standing| &standing.entrant.outcomes);
    let labels = distinct(all().filter(|o| o.result.cost().is_some()).map(|o| o.result.label()));
    let line = |label: &str| {
        let of = |standing: &super::ModelResult| {
            let mut own = standing.entrant.outcomes.iter();
            let own = own.find(|o| o.result.label() == label && o.result.progress().0 > 0);
            field(own.and_then(|outcome| outcome.result.cost()))
        };
        Line::of([vec![Field::text(label)], board.standings.iter().map(of).collect()].concat())
    };
    let mut lines: Vec<Line> = labels.iter().map(|label| line(label)).collect();
    if !board.attacks.is_empty() {
        let total = board.standings.iter().map(|standing| field(Some(standing.cost)));
        lines.push(Line::of([vec![Field::text("all attacks")], total.collect()].concat()));
    }
    let mut columns = vec![Head::text("job")];
    columns.extend(board.standings.iter().map(|s| Head::number(&*s.entrant.model.name)));
    (!lines.is_empty()).then(|| Sheet {
        title: "Cost".into(),
        page_only: true,
        columns,
        lines,
        note: "Forward / backward passes per image. A fixed-budget attack stops working on an image once it is \
               broken, so weak networks cost less."
            .into(),
        ..Sheet::default()
    })
}

/// Forward and backward passes.
pub(super) fn passes(cost: Cost) -> String {
    format!("{} / {}", format::count(cost.forwards), format::count(cost.backwards))
}
