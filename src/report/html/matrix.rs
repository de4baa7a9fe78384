//! The tables of the page with a row per job and a column per network.

use crate::report::attack_result::AttackResult;
use crate::report::board::Board;
use crate::report::format;
use crate::report::grid::{self, Field};
use crate::report::standing::Standing;

/// A table with a row per job and a column per network.
pub(super) struct Matrix {
    pub(super) models: Vec<String>,
    pub(super) rows: Vec<MatrixRow>,
}

pub(super) struct MatrixRow {
    pub(super) title: String,
    /// Small, under the title.
    pub(super) about: String,
    pub(super) control: bool,
    pub(super) fields: Vec<Field>,
    /// Small, under each field.
    pub(super) notes: Vec<String>,
}

impl Matrix {
    fn new(board: &Board, rows: Vec<MatrixRow>) -> Self {
        Self { models: board.standings.iter().map(|s| s.model.name.clone()).collect(), rows }
    }
}

/// Robust accuracy with the success rate under it; then the distances of minimal attacks.
pub(super) fn attacks(board: &Board) -> Matrix {
    let rows = board.attacks.iter().map(|column| {
        let found = board.standings.iter().map(|s| s.attack(column));
        let mut fields: Vec<Field> =
            board.standings.iter().map(|s| board.attack_cell(s, column).into()).collect();
        if !column.control {
            grid::mark_best(&mut fields);
        }
        let threat = column.aim();
        MatrixRow {
            title: column.title.clone(),
            about: if column.control { format!("{threat}, control") } else { threat },
            control: column.control,
            fields,
            notes: found
                .map(|result| {
                    let success = result.filter(|(a, _)| a.finished()).and_then(|(_, b)| b.success);
                    success.map_or(String::new(), |p| format!("{} broken", format::percent(&p)))
                })
                .collect(),
        }
    });
    Matrix::new(board, rows.chain(distances(board)).collect())
}

/// A row for each attack that minimises the distance: its median.
fn distances(board: &Board) -> Vec<MatrixRow> {
    let mut rows: Vec<MatrixRow> = Vec::new();
    for attack in board.standings.iter().flat_map(|s| &s.attacks).filter(|a| a.minimal) {
        let about = format!("median {} distance", attack.threat);
        if rows.iter().any(|row| row.title == attack.label && row.about == about) {
            continue;
        }
        let field = |standing: &Standing| {
            let of = |a: &&AttackResult| a.label == attack.label && a.threat == attack.threat;
            Field::text(match standing.attacks.iter().find(of) {
                None => "–".into(),
                Some(a) if !a.finished() => format!("{}/{}", a.done, a.images),
                Some(a) => a.median_distance.map_or("∞".into(), format::radius_down),
            })
        };
        rows.push(MatrixRow {
            title: attack.label.clone(),
            about,
            control: attack.control,
            fields: board.standings.iter().map(field).collect(),
            notes: vec![String::new(); board.standings.len()],
        });
    }
    rows
}

/// Passes with the time under them, a row per job.
pub(super) fn costs(board: &Board) -> Matrix {
    let mut labels: Vec<&str> = Vec::new();
    let attacks = || board.standings.iter().flat_map(|s| &s.attacks).map(|a| a.label.as_str());
    let certificates =
        || board.standings.iter().flat_map(|s| &s.certificates).map(|c| c.label.as_str());
    let patches = || board.standings.iter().flat_map(|s| &s.patches).map(|c| c.label.as_str());
    for label in attacks().chain(certificates()).chain(patches()) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let row = |label: &str| {
        let (mut fields, mut notes) = (Vec::new(), Vec::new());
        for standing in &board.standings {
            let attack = standing.attacks.iter().find(|a| a.label == label && a.done > 0);
            let certificate = standing.certificates.iter().find(|c| c.label == label && c.done > 0);
            let patch = standing.patches.iter().find(|c| c.label == label && c.done > 0);
            let (passes, seconds) = match (attack, certificate, patch) {
                (Some(a), ..) => (passes(a.cost.forwards, a.cost.backwards), Some(a.cost.seconds)),
                (None, Some(c), _) => (passes(c.samples, 0.0), Some(c.seconds)),
                (None, None, Some(c)) => (passes(c.forwards, 0.0), Some(c.seconds)),
                (None, None, None) => ("–".into(), None),
            };
            fields.push(Field::text(passes));
            notes.push(seconds.map_or(String::new(), format::duration));
        }
        MatrixRow { title: label.to_owned(), about: String::new(), control: false, fields, notes }
    };
    let mut rows: Vec<MatrixRow> = labels.into_iter().map(row).collect();
    let total = |s: &Standing| Field::text(passes(s.cost.forwards, s.cost.backwards));
    rows.push(MatrixRow {
        title: "all attacks".into(),
        about: String::new(),
        control: false,
        fields: board.standings.iter().map(total).collect(),
        notes: board.standings.iter().map(|s| format::duration(s.cost.seconds)).collect(),
    });
    Matrix::new(board, rows)
}

/// Forward and backward passes.
pub(super) fn passes(forwards: f64, backwards: f64) -> String {
    format!("{} / {}", format::count(forwards), format::count(backwards))
}
