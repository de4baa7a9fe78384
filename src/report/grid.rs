//! The leaderboard as columns of text, which the terminal, Markdown and HTML print each in its way.

use super::board::Board;
use super::format::{self, Cell, Marks};
use super::gather::distinct;
use super::standing::Standing;

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
    Certified,
    /// Verified accuracy of a threat model at a radius.
    Verified,
}

/// One field.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Field {
    pub(super) text: String,
    /// The share behind the text.
    pub(super) rate: Option<f64>,
    /// Images of the share.
    pub(super) total: usize,
    /// Highest of its column.
    pub(super) best: bool,
    /// Unfinished, over fewer attacks than others, or marked by a safety check.
    pub(super) warn: bool,
}

impl Field {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl From<Cell> for Field {
    fn from(cell: Cell) -> Self {
        Self {
            text: cell.to_string(),
            rate: cell.value().map(|p| p.rate),
            total: cell.value().map_or(0, |p| p.total),
            best: false,
            warn: match cell {
                Cell::Unfinished(..) => true,
                Cell::Value(_, marks) => marks != Marks::default(),
                Cell::Absent => false,
            },
        }
    }
}

/// All columns of `board`.
pub(super) fn columns(board: &Board) -> Vec<Column> {
    let standings = &board.standings;
    let column =
        |kind, title: &str, fields: Vec<Field>| Column { kind, title: title.into(), fields };
    let shares = |kind, title: &str, cells: Vec<Cell>| {
        let mut fields: Vec<Field> = cells.into_iter().map(Field::from).collect();
        mark_best(&mut fields);
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
        let interval =
            |cell: &Cell| Field::text(cell.value().map_or(String::new(), format::interval));
        let intervals = cells.iter().map(interval).collect();
        columns.push(shares(Kind::Worst, "worst case", cells));
        columns.push(column(Kind::Interval, "95 % interval", intervals));
    }
    for certified in &board.certified {
        let cells = standings.iter().map(|s| certified.cell(s)).collect();
        columns.push(shares(Kind::Certified, &certified.title, cells));
    }
    for column in &board.verified {
        let cells = standings.iter().map(|s| s.verified_cell(column)).collect();
        columns.push(shares(Kind::Verified, &column.title, cells));
    }
    columns
}

/// Name of a network, with a mark if a safety check fired.
fn name(standing: &Standing) -> Field {
    let warn = !standing.findings().is_empty();
    let mark = if warn { MARK } else { "" };
    Field { warn, ..Field::text(format!("{}{mark}", standing.model.name)) }
}

/// Marks the highest share of a column, if there is something to be higher than and all are over as many
/// images.
pub(super) fn mark_best(fields: &mut [Field]) {
    let shares = || fields.iter().filter_map(|f| Some((f.rate?, f.total)));
    let rates = || shares().map(|(rate, _)| rate);
    let best = rates().max_by(f64::total_cmp);
    let worst = rates().min_by(f64::total_cmp);
    let alike = distinct(shares().map(|(_, total)| total)).len() == 1;
    if alike && best != worst {
        fields.iter_mut().for_each(|f| f.best = f.rate.is_some() && f.rate == best);
    }
}
