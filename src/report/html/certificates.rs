//! The tables of certified accuracy: one per norm, and one for patches.

use crate::report::board::Board;
use crate::report::format::{self, Cell};
use crate::report::grid::{self, Field};
use crate::report::p_a::ProbabilityBounds;
use crate::report::standing::Standing;

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
    /// Quartiles of pA.
    pub(super) p_a: String,
    /// A small histogram of pA.
    pub(super) bars: String,
    pub(super) samples: String,
    /// Small, under each accuracy: of the best certificate, which one it is.
    pub(super) notes: Vec<String>,
}

/// A row per network and certificate in `norm`.
pub(super) fn certificates(board: &Board, norm: &str) -> Certificates {
    let radii = board.radii(norm);
    let mut rows = Vec::new();
    for standing in &board.standings {
        for certificate in standing.certificates.iter().filter(|c| c.norm == norm) {
            let cell = |p| Cell::of(p, certificate.done, certificate.images);
            let p_a = certificate.p_a.as_ref().filter(|_| certificate.finished());
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
                p_a: p_a.map_or("–".into(), |p_a| p_a.quartiles()),
                bars: p_a.map_or(String::new(), bars),
                samples: format::samples(certificate.samples, certificate.saved),
                notes: vec![String::new(); radii.len()],
            });
        }
    }
    for column in 0..radii.len() {
        let mut fields: Vec<Field> = rows.iter().map(|row| row.accuracy[column].clone()).collect();
        grid::mark_best(&mut fields);
        rows.iter_mut().zip(fields).for_each(|(row, field)| row.accuracy[column] = field);
    }
    for envelope in board.standings.iter().flat_map(|s| best(s, norm, &radii)) {
        let last = rows.iter().rposition(|row| row.model == envelope.model);
        rows.insert(last.map_or(rows.len(), |last| last + 1), envelope);
    }
    let radii = radii.into_iter().map(format::eps).collect();
    Certificates { norm: norm.into(), radii, rows }
}

/// The envelope of a network's certificates as a row under them.
fn best(standing: &Standing, norm: &str, radii: &[f64]) -> Option<Certificate> {
    let envelope = standing.envelopes.iter().find(|envelope| envelope.norm == norm)?;
    let at = |radius: &f64| envelope.points.iter().find(|point| point.radius == *radius);
    let field =
        |radius| at(radius).map_or(Cell::Absent, |p| Cell::measured(p.accuracy, false)).into();
    let note = |radius| at(radius).map_or(String::new(), |point| envelope.source(point));
    Some(Certificate {
        model: standing.model.name.clone(),
        label: "best of them".into(),
        sigma: "–".into(),
        parameters: "which one, under each share".into(),
        done: String::new(),
        accuracy: radii.iter().map(field).collect(),
        abstained: String::new(),
        average_radius: String::new(),
        p_a: String::new(),
        bars: String::new(),
        samples: String::new(),
        notes: radii.iter().map(note).collect(),
    })
}

/// A histogram of pA, a bar per bin.
fn bars(p_a: &ProbabilityBounds) -> String {
    let most = p_a.histogram.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let ends = p_a.histogram.iter().skip(1).map(|bin| bin.from).chain([1.0]);
    let bars = p_a.histogram.iter().zip(ends).enumerate().map(|(at, (bin, end))| {
        let height = 22.0 * bin.count as f64 / most as f64;
        format!(
            "<rect x=\"{}\" y=\"{:.1}\" width=\"10\" height=\"{height:.1}\" fill=\"var(--heat)\">\
             <title>pA from {} to {end}: {}</title></rect>",
            12 * at,
            23.0 - height,
            bin.from,
            bin.count
        )
    });
    format!(
        "<svg viewBox=\"0 0 70 24\" width=\"70\" height=\"24\" role=\"img\">{}\
         <path d=\"M0 23.5h70\" stroke=\"var(--strong)\" /></svg>",
        bars.collect::<String>()
    )
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
