//! Certified accuracies and radii image by image, for a comparison of two certificates: of a job, or of a
//! log of Cohen et al.'s scripts.

use crate::certify::CertificateRow;
use crate::certify::log::Log;
use crate::record::Work;
use crate::results::{ImageKey, format};
use crate::stats::rounding::{ceil_decimals, floor_decimals};
use crate::work::per_image::{PerImage, Value};
use crate::work::rows::Keyed;

/// The columns of a job, at `radii` or those of its report.
pub(super) fn columns(work: &Work, rows: &Keyed<CertificateRow>, radii: &[f64]) -> Vec<PerImage> {
    let value = |row: &CertificateRow| {
        let value = if row.correct == 1 { row.radius } else { -1.0 };
        Value { idx: row.idx, label: row.label, value }
    };
    let rows: Vec<(ImageKey, Value)> =
        rows.iter().map(|(key, row)| (key.clone(), value(row))).collect();
    certified(&work.threat, &rows, if radii.is_empty() { &work.eps } else { radii })
}

/// The columns of a log, whose images are known by their indices only, at `radii` or the usual ones.
pub(crate) fn log_columns(log: &Log, radii: &[f64]) -> Vec<PerImage> {
    let rows: Vec<(ImageKey, Value)> = log
        .rows()
        .iter()
        .map(|row| {
            let value = if row.correct { row.radius } else { -1.0 };
            (ImageKey::of_index(row.idx), Value { idx: row.idx, label: row.label, value })
        })
        .collect();
    let usual = [0.0, 0.25, 0.5, 0.75, 1.0];
    certified("L2", &rows, if radii.is_empty() { &usual } else { radii })
}

/// Certified accuracy at `radii`, then the average certified radius. A value is the radius of a correct
/// prediction, -1 for a wrong one.
fn certified(norm: &str, rows: &[(ImageKey, Value)], radii: &[f64]) -> Vec<PerImage> {
    // As `Log::certified_accuracy`: decimals compare exactly, and no other rounding helps.
    let reaches = |radius: f64, at: f64| floor_decimals(radius, 6) >= ceil_decimals(at, 6);
    let column = |at: &f64| PerImage {
        column: format!("certified {norm} {}", format::eps(*at)),
        share: true,
        lists: false,
        values: rows
            .iter()
            .map(|(key, row)| {
                (key.clone(), Value::yes(row.idx, row.label, reaches(row.value, *at)))
            })
            .collect(),
    };
    let radius = PerImage {
        column: format!("average {norm} radius"),
        share: false,
        lists: false,
        values: rows
            .iter()
            .map(|(key, row)| (key.clone(), Value { value: row.value.max(0.0), ..*row }))
            .collect(),
    };
    radii.iter().map(column).chain([radius]).collect()
}
