//! The tables of certified accuracy: one per norm, and one for patches.

use crate::report::format::{self, Cell};
use crate::report::grid::{self, Field};
use crate::report::leaderboard::Board;

/// The certificates in one norm.
pub(super) struct Certificates {
    pub(super) norm: String,
    pub(super) radii: Vec<String>,
    pub(super) rows: Vec<Certificate>,
}

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
    pub(super) samples: String,
}

/// A row per network and certificate in `norm`.
pub(super) fn certificates(board: &Board, norm: &str) -> Certificates {
    let radii = board.radii(norm);
    let mut rows = Vec::new();
    for standing in &board.standings {
        for certificate in standing.certificates.iter().filter(|c| c.norm == norm) {
            let cell = |p| Cell::of(p, certificate.done, certificate.images);
            rows.push(Certificate {
                model: standing.model.name.clone(),
                label: certificate.label.clone(),
                sigma: match certificate.sigma {
                    0.0 => "–".into(),
                    sigma => format::eps(sigma),
                },
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
                samples: format::count(certificate.samples),
            });
        }
    }
    for column in 0..radii.len() {
        let mut fields: Vec<Field> = rows.iter().map(|row| row.accuracy[column].clone()).collect();
        grid::mark_best(&mut fields);
        rows.iter_mut().zip(fields).for_each(|(row, field)| row.accuracy[column] = field);
    }
    let radii = radii.into_iter().map(format::eps).collect();
    Certificates { norm: norm.into(), radii, rows }
}

/// One certificate against patches of one network.
pub(super) struct Patch {
    pub(super) model: String,
    pub(super) label: String,
    pub(super) parameters: String,
    pub(super) patch: String,
    pub(super) done: String,
    pub(super) accuracy: Field,
    pub(super) certified: Field,
    pub(super) forwards: String,
}

/// A row per network and certificate against patches.
pub(super) fn patches(board: &Board) -> Vec<Patch> {
    let of = board.standings.iter().flat_map(|s| s.patches.iter().map(move |patch| (s, patch)));
    of.map(|(standing, patch)| {
        let cell = |p| Cell::of(p, patch.done, patch.images);
        Patch {
            model: standing.model.name.clone(),
            label: patch.label.clone(),
            parameters: format::parameters(&patch.parameters),
            patch: patch.patch.clone(),
            done: match patch.finished() {
                true => patch.images.to_string(),
                false => format!("{}/{}", patch.done, patch.images),
            },
            accuracy: cell(patch.accuracy).into(),
            certified: cell(patch.certified).into(),
            forwards: format::count(patch.forwards),
        }
    })
    .collect()
}
