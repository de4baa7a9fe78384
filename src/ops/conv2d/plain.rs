//! Convolution in f64, written as the definition reads: gradients are tested in it against finite
//! differences, and the f32 forms against it.

use super::{Geometry, View};

/// Weights `[group, tap, O / groups, I / groups]`, from weights given by
/// `at(group, tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f64) -> Vec<f64> {
    let (inputs, outputs) = (geo.group_inputs(), geo.group_outputs());
    let taps = geo.kernel[0] * geo.kernel[1];
    let mut packed = Vec::with_capacity(geo.groups * taps * inputs * outputs);
    for place in 0..geo.groups * taps * outputs {
        let (group, tap, o) = (place / outputs / taps, place / outputs % taps, place % outputs);
        packed.extend((0..inputs).map(|i| at(group, tap, i, o)));
    }
    packed
}

/// Calls `visit(group, output number, first input number, weights [I / groups])` for every output
/// number and every tap that falls inside its image.
fn for_each_dot(
    weights: &[f64],
    geo: &Geometry,
    view: View,
    pixels: usize,
    mut visit: impl FnMut(usize, usize, &[f64]),
) {
    let (inputs, outputs) = (geo.group_inputs(), geo.group_outputs());
    let taps = geo.kernel[0] * geo.kernel[1];
    for pixel in 0..pixels {
        view.for_taps(geo, pixel, |tap, from| {
            for channel in 0..geo.outputs {
                let (group, o) = (channel / outputs, channel % outputs);
                let weights = &weights[((group * taps + tap) * outputs + o) * inputs..][..inputs];
                let first = from * geo.inputs + group * inputs;
                visit(pixel * geo.outputs + channel, first, weights);
            }
        });
    }
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
    for_each_dot(weights, geo, view, out.len() / geo.outputs, |to, from, weights| {
        out[to] += x[from..].iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
    });
    if relu {
        out.iter_mut().for_each(|v| *v = v.max(0.0));
    }
}

/// The pullback; adds to `grad`.
pub(super) fn pullback(g: &[f64], weights: &[f64], geo: &Geometry, view: View, grad: &mut [f64]) {
    for_each_dot(weights, geo, view, g.len() / geo.outputs, |from, to, weights| {
        for (grad, weight) in grad[to..].iter_mut().zip(weights) {
            *grad += g[from] * weight;
        }
    });
}
