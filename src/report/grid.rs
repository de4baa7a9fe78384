//! The leaderboard as columns of text, which the terminal, Markdown and HTML print each in its way.

use super::board::Board;
use super::model_result::ModelResult;
use crate::results::{Cell, Field, format, mark_best};
use crate::work::KindColumn;

/// Stands behind the name of a network at which a safety check fired.
pub(super) const MARK: &str = " ‡";

/// One column of a board, with one field per standing.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) kind: Kind,
    /// Title; a space may become a line break.
    pub(super) title: String,
    pub(super) fields: Vec<Field>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Rank,
    Model,
    Clean,
    /// Worst case of a threat model; `true` at its largest budget.
    Threat(bool),
    Worst,
    /// Confidence interval of the overall worst case.
    Interval,
    /// Of another kind of work; `true` for the first radius of its threat model.
    Other(bool),
}

/// All columns of `board`, percentages with `digits` decimals if given.
pub(super) fn columns(board: &Board, digits: Option<usize>) -> Vec<Column> {
    let standings = &board.standings;
    let column =
        |kind, title: &str, fields: Vec<Field>| Column { kind, title: title.into(), fields };
    let shares = |kind, title: &str, cells: Vec<Cell>| {
        let mut fields: Vec<Field> =
            cells.into_iter().map(|cell| Field::with_digits(cell, digits)).collect();
        mark_best(&mut fields.iter_mut().collect::<Vec<_>>());
        column(kind, title, fields)
    };
    let rank = |rank: Option<usize>| Field::text(rank.map_or("–".into(), |r| r.to_string()));
    let mut columns = vec![
        column(Kind::Rank, "#", standings.iter().map(|s| rank(s.rank)).collect()),
        column(Kind::Model, "model", standings.iter().map(name).collect()),
        shares(Kind::Clean, "clean", standings.iter().map(|s| s.clean_cell()).collect()),
    ];
    for (at, threat) in board.threats.iter().enumerate() {
        let largest = board.threats.get(at + 1).is_none_or(|next| !next.beside(threat));
        let cells = standings.iter().map(|s| s.worst_cell(s.threat(threat))).collect();
        columns.push(shares(Kind::Threat(largest), &threat.title, cells));
    }
    if board.has_worst_case() {
        let cells: Vec<Cell> = standings.iter().map(|s| s.worst_cell(s.worst.as_ref())).collect();
        let interval = |cell: &Cell| {
            Field::text(cell.value().map_or(String::new(), |p| format::interval(p, digits)))
        };
        let intervals = cells.iter().map(interval).collect();
        columns.push(shares(Kind::Worst, "worst case", cells));
        columns.push(column(Kind::Interval, "95 % interval", intervals));
    }
    for (at, other) in board.columns.iter().enumerate() {
        let first = at.checked_sub(1).is_none_or(|before| !beside(&board.columns[before], other));
        let cells = standings.iter().map(|s| s.entrant.cell(other)).collect();
        columns.push(shares(Kind::Other(first), &other.title, cells));
    }
    columns
}

/// Two columns are about one threat model at several radii.
pub(super) fn beside(a: &KindColumn, b: &KindColumn) -> bool {
    a.kind == b.kind && a.threat == b.threat && a.eps.is_some()
}

/// Name of a network, with a mark if a safety check fired.
fn name(standing: &ModelResult) -> Field {
    let warn = !standing.findings().is_empty();
    let mark = if warn { MARK } else { "" };
    Field { warn, ..Field::text(format!("{}{mark}", standing.entrant.model.name)) }
}
