//! The table of certified accuracy.

use crate::report::format::{self, Cell};
use crate::report::grid::{self, Field};
use crate::report::leaderboard::Board;

/// One certificate of one network.
pub(super) struct Certificate {
    pub(super) model: String,
    pub(super) label: String,
    pub(super) sigma: String,
    pub(super) parameters: String,
    pub(super) done: String,
    pub(super) accuracy: Vec<Field>,
    pub(super) abstained: String,
    pub(super) average_radius: String,
}

/// A row per network and certificate.
pub(super) fn certificates(board: &Board) -> Vec<Certificate> {
    let radii = board.radii();
    let mut rows = Vec::new();
    for standing in &board.standings {
        for certificate in &standing.certificates {
            let cell = |p| Cell::of(p, certificate.done, certificate.images);
            rows.push(Certificate {
                model: standing.model.name.clone(),
                label: certificate.label.clone(),
                sigma: format::eps(certificate.sigma),
                parameters: format::parameters(&certificate.parameters),
                done: match certificate.finished() {
                    true => certificate.images.to_string(),
                    false => format!("{}/{}", certificate.done, certificate.images),
                },
                accuracy: radii.iter().map(|r| cell(certificate.at(*r)).into()).collect(),
                abstained: cell(certificate.abstained).to_string(),
                average_radius: certificate
                    .average_radius
                    .filter(|_| certificate.finished())
                    .map_or("–".into(), format::radius_down),
            });
        }
    }
    for column in 0..radii.len() {
        let mut fields: Vec<Field> = rows.iter().map(|row| row.accuracy[column].clone()).collect();
        grid::mark_best(&mut fields);
        rows.iter_mut().zip(fields).for_each(|(row, field)| row.accuracy[column] = field);
    }
    rows
}
