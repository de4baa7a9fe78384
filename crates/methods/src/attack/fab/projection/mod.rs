//! The smallest move, in a norm, from a point of the box [0, 1] to a hyperplane
//! without leaving the box (Croce and Hein, ICML 2020, section 3.1). FAB makes two of them per
//! iteration. Where the hyperplane does not meet the box, the move goes to the corner nearest to it.

mod l1;
mod l2;
mod linf;
mod threshold;

use crate::threat::Norm;

/// Writes to `d` the move of smallest norm from `x` to {w . z = b} inside the box; `c` is
/// w . x - b.
pub(super) fn project(norm: Norm, x: &[f32], w: &[f32], c: f64, d: &mut [f32]) {
    match norm {
        Norm::Linf => linf::project(x, w, c, d),
        Norm::L2 => l2::project(x, w, c, d),
        Norm::L1 | Norm::L0 | Norm::L0Pixels => l1::project(x, w, c, d),
    }
}

/// How far `x` may go in the direction that takes `slope` * x down.
fn room(x: f32, slope: f32) -> f32 {
    if slope > 0.0 { x } else { 1.0 - x }
}

/// `by` in the direction that takes `slope` * x down.
fn down(by: f32, slope: f32) -> f32 {
    if slope > 0.0 { -by } else { by }
}

/// Length of `v` in a norm; in L0, of pixels too, the number of its components that are not 0.
pub(in crate::attack) fn length(norm: Norm, v: &[f32]) -> f64 {
    match norm {
        Norm::Linf => f64::from(v.iter().fold(0.0_f32, |most, v| most.max(v.abs()))),
        Norm::L2 => sum(v, v, |v, _| [f64::from(v) * f64::from(v)])[0].sqrt(),
        Norm::L1 => sum(v, v, |v, _| [f64::from(v.abs())])[0],
        Norm::L0 | Norm::L0Pixels => v.iter().filter(|v| **v != 0.0).count() as f64,
    }
}

/// The norm in which a gradient has to be measured: of all moves of length 1 in `norm`, the best
/// gains the gradient's length in this one. In L0 that is what a change of one value by 1 gains.
pub(in crate::attack) fn dual(norm: Norm) -> Norm {
    match norm {
        Norm::Linf => Norm::L1,
        Norm::L2 => Norm::L2,
        Norm::L1 | Norm::L0 | Norm::L0Pixels => Norm::Linf,
    }
}

/// Inner product.
pub(super) fn dot(x: &[f32], w: &[f32]) -> f64 {
    sum(x, w, |x, w| [f64::from(x) * f64::from(w)])[0]
}

/// Sums `term(x, w)` over the elements, in eight interleaved sums that the compiler can vectorise.
fn sum<const K: usize>(x: &[f32], w: &[f32], term: impl Fn(f32, f32) -> [f64; K]) -> [f64; K] {
    const LANES: usize = 8;
    let mut lanes = [[0.0; LANES]; K];
    let (xs, ws) = (x.chunks_exact(LANES), w.chunks_exact(LANES));
    for (l, (x, w)) in xs.remainder().iter().zip(ws.remainder()).enumerate() {
        let terms = term(*x, *w);
        (0..K).for_each(|k| lanes[k][l] += terms[k]);
    }
    for (x, w) in xs.zip(ws) {
        for l in 0..LANES {
            let terms = term(x[l], w[l]);
            (0..K).for_each(|k| lanes[k][l] += terms[k]);
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}

#[cfg(test)]
mod tests;
