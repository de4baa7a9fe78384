//! Convolution in which every channel sees itself only: no product of matrices, but a sum over the
//! kernel's taps in which the channels lie side by side.

use super::{Geometry, View};
use crate::ops::product::Finish;

/// Whether a convolution is of this kind.
pub(super) fn is(geo: &Geometry) -> bool {
    geo.group_inputs() == 1 && geo.group_outputs() == 1
}

/// Weights `[tap, channel]`, from weights given by `at(group, tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f32) -> Vec<f32> {
    let taps = geo.kernel[0] * geo.kernel[1];
    (0..taps * geo.groups).map(|i| at(i % geo.groups, i / geo.groups, 0, 0)).collect()
}

/// The convolution of the images `x` `[N, H, W, C]` into `out` `[N, H', W', C]`.
pub(super) fn convolve(
    x: &[f32],
    weights: &[f32],
    finish: Finish<'_>,
    geo: &Geometry,
    view: View,
    out: &mut [f32],
) {
    let channels = geo.groups;
    for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
        match finish.bias {
            Some(bias) => out.copy_from_slice(bias),
            None => out.fill(0.0),
        }
        view.for_taps(geo, pixel, |tap, from| {
            let terms = x[from * channels..].iter().zip(&weights[tap * channels..]);
            for (out, (x, weight)) in out.iter_mut().zip(terms) {
                *out += x * weight;
            }
        });
        if finish.relu {
            out.iter_mut().for_each(|v| *v = v.max(0.0));
        }
    }
}

/// The pullback for any stride; adds to `grad`.
pub(super) fn scatter(g: &[f32], weights: &[f32], geo: &Geometry, view: View, grad: &mut [f32]) {
    let channels = geo.groups;
    for (pixel, g) in g.chunks_exact(channels).enumerate() {
        view.for_taps(geo, pixel, |tap, to| {
            let terms = g.iter().zip(&weights[tap * channels..]);
            for (grad, (g, weight)) in grad[to * channels..].iter_mut().zip(terms) {
                *grad += g * weight;
            }
        });
    }
}
