//! Verified accuracy as columns of the board and as a table of its own.

use serde::Serialize;

use super::board::Board;
use super::bound_result::BoundResult;
use super::format::{self, Cell};
use super::gather::Job;
use super::grid::{Field, mark_best};
use super::proportion::Proportion;
use super::standing::Standing;
use crate::record::Work;

/// A threat model at a radius that bounds were tried at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedColumn {
    /// `verified Linf 0.1`.
    pub title: String,
    /// Threat model in words.
    pub threat: String,
    /// Radius.
    pub eps: f64,
}

/// A column for each threat model and radius: threats in the order of the jobs, radii ascending.
pub(super) fn columns(jobs: &[&Job]) -> Vec<VerifiedColumn> {
    let mut columns: Vec<VerifiedColumn> = Vec::new();
    let mut order: Vec<&str> = Vec::new();
    for job in jobs {
        let Work::Bound { threat, eps, .. } = &job.work else { continue };
        if !order.contains(&threat.as_str()) {
            order.push(threat);
        }
        for eps in eps {
            if !columns.iter().any(|c| c.threat == *threat && c.eps == *eps) {
                let title = format!("verified {}", format::title(threat, Some(*eps)));
                columns.push(VerifiedColumn { title, threat: threat.clone(), eps: *eps });
            }
        }
    }
    columns.sort_by(|a, b| {
        let place = |c: &VerifiedColumn| order.iter().position(|threat| *threat == c.threat);
        place(a).cmp(&place(b)).then(a.eps.total_cmp(&b.eps))
    });
    columns
}

impl Standing {
    /// The finished bounds that verify the most images in a column; those over the images of the row go
    /// before others.
    pub fn verified(&self, column: &VerifiedColumn) -> Option<(&BoundResult, Proportion)> {
        let own = self.bounds.iter().filter(|b| b.finished() && b.threat == column.threat);
        let own = own.filter_map(|b| Some((b, b.at(column.eps)?, b.image_set.as_ref())));
        self.best(own).map(|(bounds, share, _)| (bounds, share))
    }

    /// Field of [`Self::verified`].
    pub(super) fn verified_cell(&self, column: &VerifiedColumn) -> Cell {
        if let Some((bounds, accuracy)) = self.verified(column) {
            let other = bounds.image_set.as_ref().is_some_and(|set| self.elsewhere(set));
            return Cell::measured(accuracy, other);
        }
        let running = self.bounds.iter().find(|b| !b.finished() && b.threat == column.threat);
        running.map_or(Cell::Absent, |b| Cell::Unfinished(b.done, b.images))
    }
}

/// The bounds of one network in the table of a report.
pub(super) struct Verified {
    pub(super) model: String,
    pub(super) label: String,
    pub(super) parameters: String,
    pub(super) done: String,
    /// One per column of the board.
    pub(super) accuracy: Vec<Field>,
    pub(super) average_radius: String,
    pub(super) seconds: String,
}

/// A row per network and job of bounds.
pub(super) fn table(board: &Board) -> Vec<Verified> {
    let mut rows: Vec<Verified> = Vec::new();
    for standing in &board.standings {
        for bound in &standing.bounds {
            let field = |column: &VerifiedColumn| match bound.threat == column.threat {
                true => Cell::of(bound.at(column.eps), bound.done, bound.images).into(),
                false => Cell::Absent.into(),
            };
            let radius = bound.average_radius.filter(|_| bound.finished());
            rows.push(Verified {
                model: standing.model.name.clone(),
                label: bound.label.clone(),
                parameters: format::parameters(&bound.parameters),
                done: match bound.finished() {
                    true => bound.images.to_string(),
                    false => format!("{}/{}", bound.done, bound.images),
                },
                accuracy: board.verified.iter().map(field).collect(),
                average_radius: radius.map_or("–".into(), format::radius_down),
                seconds: format::duration(bound.seconds),
            });
        }
    }
    for column in 0..board.verified.len() {
        let mut fields: Vec<Field> = rows.iter().map(|row| row.accuracy[column].clone()).collect();
        mark_best(&mut fields);
        rows.iter_mut().zip(fields).for_each(|(row, field)| row.accuracy[column] = field);
    }
    rows
}
