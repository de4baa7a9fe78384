//! Rows made up for tests.

use super::AttackRow;
use crate::certify::{BoundRow, CertificateRow};

/// Digest of image `idx`.
pub(crate) fn image(idx: u64) -> String {
    format!("{idx:016x}")
}

/// A row of image `idx`, label 0: `correct` on the clean image, broken at `distance` if there is one. How far
/// that is in other norms than the attack's is left open.
pub(crate) fn attack_row(idx: u64, correct: bool, distance: Option<f64>) -> AttackRow {
    let found = !correct || distance.is_some_and(f64::is_finite);
    let far = if correct { f64::INFINITY } else { 0.0 };
    let side = if correct && found { u64::MAX } else { 0 };
    AttackRow {
        idx,
        image: image(idx),
        label: 0,
        clean: u32::from(!correct),
        target: None,
        linf: far,
        l2: far,
        l1: far,
        l0: side,
        features: None,
        height: side,
        width: side,
        top: None,
        left: None,
        adversarial: format!("{:016x}", if correct && found { !idx } else { idx }),
        by: if found { "pgd".into() } else { String::new() },
        prediction: u32::from(found),
        found: u8::from(found),
        distance: if correct { distance.unwrap_or(f64::INFINITY) } else { 0.0 },
        found_8bit: u8::from(found),
        forwards: 10,
        backwards: 9,
        unconfirmed: None,
        reference: None,
        seconds: 0.01,
    }
}

/// A row of image `idx`, label 0.
pub(crate) fn certificate_row(idx: u64, predict: i64, radius: f64) -> CertificateRow {
    CertificateRow {
        idx,
        label: 0,
        predict,
        radius,
        correct: u8::from(predict == 0),
        time: "0:00:00.250000".into(),
        sigma: 0.25,
        n0: 100,
        n: 1000,
        alpha: 0.001,
        n_a: 990,
        selected: predict.max(0) as u32,
        p_low: if predict < 0 { 0.4 } else { 0.9 },
        seed: 0,
        model: String::new(),
        mode: "cohen".into(),
        level: 0.001,
        image: image(idx),
    }
}

/// A row of image `idx`, label 0.
pub(crate) fn bound_row(idx: u64, correct: bool, radius: f64) -> BoundRow {
    BoundRow {
        idx,
        label: 0,
        predict: u32::from(!correct),
        radius,
        correct: u8::from(correct),
        time: "0:00:00.250000".into(),
        margin: 0.5,
        tried: 4,
        model: String::new(),
        image: image(idx),
    }
}
