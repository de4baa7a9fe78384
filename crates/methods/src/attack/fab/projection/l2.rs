//! L2: every element moves in proportion to its weight, or as far as the box lets it.

use super::{down, room, threshold};

/// Elements of smaller weight stay where they are, as in the published code.
pub(super) const SMALLEST: f32 = 1e-8;

pub(super) fn project(x: &[f32], w: &[f32], c: f64, d: &mut [f32]) {
    let sign = if c >= 0.0 { 1.0_f32 } else { -1.0 };
    let size = |w: f32| if w.abs() > SMALLEST { f64::from(w.abs()) } else { 0.0 };
    let lambda =
        threshold::solve(x, w, c.abs(), |x, w| [size(w), size(w), f64::from(room(x, sign * w))]);
    for ((d, x), w) in d.iter_mut().zip(x).zip(w) {
        let slope = sign * *w;
        *d = if slope.abs() > SMALLEST {
            down(room(*x, slope).min((lambda * size(*w)) as f32), slope)
        } else {
            0.0
        };
    }
}
