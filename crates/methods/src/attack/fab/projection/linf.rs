//! Linf: every element moves by the same amount, or as far as the box lets it.

use super::{down, room, threshold};

pub(super) fn project(x: &[f32], w: &[f32], c: f64, d: &mut [f32]) {
    let sign = if c >= 0.0 { 1.0_f32 } else { -1.0 };
    let lambda = threshold::solve(x, w, c.abs(), |x, w| {
        [f64::from(w.abs()), 1.0, f64::from(room(x, sign * w))]
    }) as f32;
    for ((d, x), w) in d.iter_mut().zip(x).zip(w) {
        let slope = sign * *w;
        *d = if slope == 0.0 { 0.0 } else { down(room(*x, slope).min(lambda), slope) };
    }
}
