//! From the outcomes of an attack to the rows of its table.

use super::row::AttackRow;
use crate::attack::Outcome;
use crate::data::{Batch, image_digest};
use crate::error::Result;
use crate::ops::with_slice;
use crate::threat::{Change, Threat};

/// The rows of `outcomes`, which are of the images of `batch` under `threat`, each after `seconds`.
///
/// # Errors
/// If the images of the batch are not f32 `[N, C, H, W]` on the CPU.
pub fn attack_rows(
    threat: &Threat,
    batch: &Batch,
    outcomes: &[Outcome],
    seconds: f64,
) -> Result<Vec<AttackRow>> {
    let (digests, (_, c, h, w)) = (batch.digests()?, batch.images.dims4()?);
    let shape = [c, h, w];
    let counted = matches!(threat, Threat::Ball { norm, .. } if norm.counts());
    let placed = matches!(threat, Threat::Patch(_));
    with_slice::<f32, _>(&batch.images, |pixels| {
        let clean = pixels.chunks_exact((c * h * w).max(1));
        let rows = outcomes.iter().zip(clean).zip(digests);
        let row = |((o, clean), digest)| {
            let row = attack_row(o, clean, shape, digest, seconds);
            let (top, left) = (row.top.filter(|_| placed), row.left.filter(|_| placed));
            AttackRow { features: row.features.filter(|_| counted), top, left, ..row }
        };
        Ok(rows.map(row).collect())
    })
}

fn attack_row(
    outcome: &Outcome,
    clean: &[f32],
    shape: [usize; 3],
    image: String,
    seconds: f64,
) -> AttackRow {
    let Change { mut linf, mut l2, mut l1, l0, features, height, width, place } =
        Change::of(&outcome.image, clean, shape);
    if !outcome.found {
        (linf, l2, l1) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    }
    AttackRow {
        idx: outcome.id,
        adversarial: match l0 {
            0 => image.clone(),
            _ => image_digest(outcome.label, shape, &outcome.image),
        },
        image,
        label: outcome.label,
        clean: outcome.clean_prediction,
        target: outcome.target,
        by: outcome.by.clone(),
        prediction: outcome.prediction,
        found: u8::from(outcome.found),
        distance: outcome.distance,
        linf,
        l2,
        l1,
        l0,
        features,
        height,
        width,
        top: Some(place.map(|[top, _]| top)),
        left: Some(place.map(|[_, left]| left)),
        found_8bit: u8::from(outcome.found_8bit),
        forwards: outcome.forwards,
        backwards: outcome.backwards,
        unconfirmed: outcome.unconfirmed,
        reference: None,
        seconds,
    }
}
