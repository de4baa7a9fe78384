//! Convolution in f64, written as the definition reads: gradients are tested in it against finite
//! differences, the f32 forms against it, and deterministic bounds are computed with it.

use pulp::Arch;

use super::{Geometry, View};
use crate::ops::activation;

/// Weights `[group, tap, I / groups, O / groups]` for [`convolve`], from weights given by
/// `at(group, tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f64) -> Vec<f64> {
    let (inputs, outputs) = (geo.group_inputs(), geo.group_outputs());
    matrices(geo, inputs, outputs, at)
}

/// Weights `[group, tap, O / groups, I / groups]` for [`pullback`], likewise.
pub(super) fn pack_pullback(
    geo: &Geometry,
    at: impl Fn(usize, usize, usize, usize) -> f64,
) -> Vec<f64> {
    let (inputs, outputs) = (geo.group_inputs(), geo.group_outputs());
    matrices(geo, outputs, inputs, |group, tap, o, i| at(group, tap, i, o))
}

fn matrices(
    geo: &Geometry,
    rows: usize,
    columns: usize,
    at: impl Fn(usize, usize, usize, usize) -> f64,
) -> Vec<f64> {
    let taps = geo.kernel[0] * geo.kernel[1];
    let mut packed = Vec::with_capacity(geo.groups * taps * rows * columns);
    for place in 0..geo.groups * taps * rows {
        let (group, tap, row) = (place / rows / taps, place / rows % taps, place % rows);
        packed.extend((0..columns).map(|column| at(group, tap, row, column)));
    }
    packed
}

/// The convolution of the images `x` `[N, H, W, I]` into `out` `[N, H', W', O]`.
pub(super) fn convolve(
    x: &[f64],
    weights: &[f64],
    bias: Option<&[f64]>,
    relu: bool,
    geo: &Geometry,
    view: View,
    out: &mut [f64],
) {
    for out in out.chunks_exact_mut(geo.outputs) {
        match bias {
            Some(bias) => out.copy_from_slice(bias),
            None => out.fill(0.0),
        }
    }
    let size = geo.group_inputs() * geo.group_outputs();
    let taps = geo.kernel[0] * geo.kernel[1];
    Arch::new().dispatch(|| {
        for pixel in 0..out.len() / geo.outputs {
            view.for_taps(geo, pixel, |tap, from| {
                for group in 0..geo.groups {
                    let from = from * geo.inputs + group * geo.group_inputs();
                    let to = pixel * geo.outputs + group * geo.group_outputs();
                    add_product(
                        &x[from..][..geo.group_inputs()],
                        &weights[(group * taps + tap) * size..][..size],
                        &mut out[to..][..geo.group_outputs()],
                    );
                }
            });
        }
    });
    if relu {
        out.iter_mut().for_each(|v| *v = activation::cut(*v));
    }
}

/// The pullback; adds to `grad`.
pub(super) fn pullback(g: &[f64], weights: &[f64], geo: &Geometry, view: View, grad: &mut [f64]) {
    let size = geo.group_inputs() * geo.group_outputs();
    let taps = geo.kernel[0] * geo.kernel[1];
    Arch::new().dispatch(|| {
        for pixel in 0..g.len() / geo.outputs {
            view.for_taps(geo, pixel, |tap, to| {
                for group in 0..geo.groups {
                    let from = pixel * geo.outputs + group * geo.group_outputs();
                    let to = to * geo.inputs + group * geo.group_inputs();
                    add_product(
                        &g[from..][..geo.group_outputs()],
                        &weights[(group * taps + tap) * size..][..size],
                        &mut grad[to..][..geo.group_inputs()],
                    );
                }
            });
        }
    });
}

/// Adds the row `row` times the matrix `matrix` `[row, out]` to `out`.
#[inline(always)]
fn add_product(row: &[f64], matrix: &[f64], out: &mut [f64]) {
    for (factor, line) in row.iter().zip(matrix.chunks_exact(out.len())) {
        for (out, weight) in out.iter_mut().zip(line) {
            *out += factor * weight;
        }
    }
}
