//! Convolution of f32 images by the definition, for any kernel, stride, dilation and groups: receptive
//! fields are read where they lie, in an image that is copied only if it needs a border of zeros.

use std::mem::MaybeUninit;

use super::{Geometry, View};
use crate::ops::product::{Finish, Rows, Weights, product, product_into};
use crate::ops::scratch::Scratch;

/// Numbers of padded images, or of a product to be scattered, that are worked on at a time.
const BLOCK: usize = 1 << 18;

/// One factor `[kh * kw * I / groups, O / groups]` per group, from weights given by
/// `at(group, tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f32) -> Vec<Weights> {
    let inputs = geo.group_inputs();
    let factor = |group| {
        Weights::pack(geo.depth(), geo.group_outputs(), |k, o| at(group, k / inputs, k % inputs, o))
    };
    (0..geo.groups).map(factor).collect()
}

/// The factors for [`scatter`]: those of [`pack`], transposed.
pub(super) fn pack_scatter(
    geo: &Geometry,
    at: impl Fn(usize, usize, usize, usize) -> f32,
) -> Vec<Weights> {
    let inputs = geo.group_inputs();
    let factor = |group| {
        Weights::pack(geo.group_outputs(), geo.depth(), |o, k| at(group, k / inputs, k % inputs, o))
    };
    (0..geo.groups).map(factor).collect()
}

/// The convolution of the images `x` `[N, H, W, I]` into `out` `[N, H', W', O]`.
pub(super) fn convolve(
    x: &[f32],
    weights: &[Weights],
    finish: Finish<'_>,
    geo: &Geometry,
    view: View,
    scratch: &mut Scratch,
    out: &mut [MaybeUninit<f32>],
) {
    let padded = Border::of(geo, view);
    let (image_in, image_out) =
        (view.height * view.width * geo.inputs, view.pixels() * geo.outputs);
    if image_out == 0 {
        return;
    }
    let at_once = (BLOCK / padded.numbers(geo).max(1)).clamp(1, (out.len() / image_out).max(1));
    let offsets = padded.offsets(geo);
    let run = geo.depth() / offsets.len();
    let border = geo.padding != Default::default();
    let (numbers, starts) = scratch
        .lend(if border { at_once * padded.numbers(geo) } else { 0 }, at_once * view.pixels());
    let chunks = x.chunks(at_once * image_in).zip(out.chunks_mut(at_once * image_out));
    for (chunk, (x, out)) in chunks.enumerate() {
        let onto = finish.onto.map(|onto| &onto[chunk * at_once * image_out..][..out.len()]);
        let images = out.len() / image_out;
        let values = if border {
            padded.copy(x, geo, view, numbers);
            &*numbers
        } else {
            x
        };
        let starts = &mut starts[..images * view.pixels()];
        for (group, weights) in weights.iter().enumerate() {
            for (line, starts) in starts.chunks_exact_mut(view.out_width).enumerate() {
                let (image, oy) = (line / view.out_height, line % view.out_height);
                let first = (image * padded.height + oy * geo.stride[0]) * padded.width;
                for (ox, start) in starts.iter_mut().enumerate() {
                    *start = (first + ox * geo.stride[1]) * geo.inputs + group * geo.group_inputs();
                }
            }
            let rows = Rows { values, starts, offsets: &offsets, run };
            let columns = group * geo.group_outputs()..(group + 1) * geo.group_outputs();
            let finish = Finish {
                bias: finish.bias.map(|b| &b[columns.clone()]),
                onto: onto.map(|onto| &onto[columns.start..]),
                ..finish
            };
            product_into(rows, weights, finish, &mut out[columns.start..], geo.outputs);
        }
    }
}

/// The pullback for any stride: a row of the product holds what one output pixel sends back to its
/// receptive field. Adds to `grad`.
pub(super) fn scatter(
    g: &[f32],
    weights: &[Weights],
    geo: &Geometry,
    view: View,
    scratch: &mut Scratch,
    grad: &mut [f32],
) {
    let depth = geo.depth();
    let pixels = g.len() / geo.outputs.max(1);
    let at_once = (BLOCK / 4 / depth.max(1)).clamp(16, 1024).min(pixels.max(1));
    let (fields, starts) = scratch.lend(at_once * depth, at_once);
    for first in (0..pixels).step_by(at_once) {
        let count = at_once.min(pixels - first);
        for (group, weights) in weights.iter().enumerate() {
            for (row, start) in starts[..count].iter_mut().enumerate() {
                *start = (first + row) * geo.outputs + group * geo.group_outputs();
            }
            let rows = Rows {
                values: g,
                starts: &starts[..count],
                offsets: &[0],
                run: geo.group_outputs(),
            };
            product(rows, weights, Finish::default(), fields, depth);
            for (row, field) in fields.chunks_exact(depth).take(count).enumerate() {
                send_back(field, geo, view, group, first + row, grad);
            }
        }
    }
}

/// Adds a receptive field's share to the pixels it covers, whole lines of it where pixels are
/// neighbours and all channels are used.
fn send_back(
    field: &[f32],
    geo: &Geometry,
    view: View,
    group: usize,
    pixel: usize,
    grad: &mut [f32],
) {
    let inputs = geo.group_inputs();
    if geo.dilation[1] != 1 || geo.groups > 1 {
        return view.for_taps(geo, pixel, |tap, pixel| {
            let to = &mut grad[pixel * geo.inputs + group * inputs..][..inputs];
            for (to, from) in to.iter_mut().zip(&field[tap * inputs..]) {
                *to += *from;
            }
        });
    }
    let [image, oy, ox] = view.place(pixel);
    let left = (ox * geo.stride[1]) as isize - geo.padding.left as isize;
    // A window may lie in the padding as a whole.
    let begin = (-left).clamp(0, geo.kernel[1] as isize) as usize;
    let end = (view.width as isize - left).clamp(begin as isize, geo.kernel[1] as isize) as usize;
    for (ky, line) in field.chunks_exact(geo.kernel[1] * inputs).enumerate() {
        let iy = (oy * geo.stride[0] + ky * geo.dilation[0]).wrapping_sub(geo.padding.top);
        if iy < view.height && begin < end {
            let first = ((image * view.height + iy) * view.width) as isize + left;
            let to = &mut grad[(first + begin as isize) as usize * inputs..];
            for (to, from) in to.iter_mut().zip(&line[begin * inputs..end * inputs]) {
                *to += *from;
            }
        }
    }
}

/// Images with a border of zeros.
#[derive(Clone, Copy)]
struct Border {
    height: usize,
    width: usize,
}

impl Border {
    fn of(geo: &Geometry, view: View) -> Self {
        let p = geo.padding;
        Self { height: view.height + p.top + p.bottom, width: view.width + p.left + p.right }
    }

    /// Numbers of one image.
    fn numbers(&self, geo: &Geometry) -> usize {
        self.height * self.width * geo.inputs
    }

    /// Where the runs of a receptive field are: whole lines of the kernel where pixels are neighbours
    /// and all channels are used, single pixels otherwise.
    fn offsets(&self, geo: &Geometry) -> Vec<usize> {
        let whole = geo.dilation[1] == 1 && geo.groups == 1;
        let columns = if whole { 1 } else { geo.kernel[1] };
        (0..geo.kernel[0])
            .flat_map(|y| (0..columns).map(move |x| [y, x]))
            .map(|[y, x]| (y * geo.dilation[0] * self.width + x * geo.dilation[1]) * geo.inputs)
            .collect()
    }

    fn copy(&self, x: &[f32], geo: &Geometry, view: View, to: &mut [f32]) {
        let (line, padded) = (view.width * geo.inputs, self.width * geo.inputs);
        let left = geo.padding.left * geo.inputs;
        let images = x.chunks_exact(view.height * line);
        for (x, to) in images.zip(to.chunks_exact_mut(self.numbers(geo))) {
            let (top, rest) = to.split_at_mut(geo.padding.top * padded);
            let (lines, bottom) = rest.split_at_mut(view.height * padded);
            top.fill(0.0);
            bottom.fill(0.0);
            for (x, to) in x.chunks_exact(line).zip(lines.chunks_exact_mut(padded)) {
                to[..left].fill(0.0);
                to[left..left + line].copy_from_slice(x);
                to[left + line..].fill(0.0);
            }
        }
    }
}
