//! The CPU form: the receptive fields of a tile of output pixels are copied into a matrix that stays
//! in the L2 cache (rows of NHWC images are copied whole), and one matrix product makes the tile.

use std::cell::RefCell;

use candle_core::{Device, Tensor};

use super::Geometry;
use crate::error::{Error, Result};
use crate::ops::gemm::matmul;
use crate::ops::{Real, with_slice};

/// Bytes of a tile's matrix of receptive fields: what leaves room for the weights in an L2 cache.
const TILE_BYTES: usize = 512 * 1024;

/// `[group, kh, kw, I / groups, O / groups]`: per group the right factor of the product.
pub(super) fn pack_forward_cpu<T: Real>(weight: &Tensor, geo: &Geometry) -> Result<Tensor> {
    let (inputs, outputs, depth) = (geo.group_inputs(), geo.group_outputs(), geo.depth());
    let taps = geo.kernel[0] * geo.kernel[1];
    with_slice::<T, _>(weight, |w| {
        let mut packed = vec![T::zero(); w.len()];
        for (o, filter) in w.chunks_exact(depth).enumerate() {
            let group = &mut packed[(o / outputs) * depth * outputs..];
            for i in 0..inputs {
                for tap in 0..taps {
                    group[(tap * inputs + i) * outputs + o % outputs] = filter[i * taps + tap];
                }
            }
        }
        Ok(Tensor::from_vec(packed, w.len(), &Device::Cpu)?)
    })
}

/// For the turned convolution: its forward packing. Otherwise `[group, O / groups, kh, kw, I / groups]`.
pub(super) fn pack_backward_cpu<T: Real>(weight: &Tensor, geo: &Geometry) -> Result<Tensor> {
    let (inputs, outputs, depth) = (geo.group_inputs(), geo.group_outputs(), geo.depth());
    let taps = geo.kernel[0] * geo.kernel[1];
    let turned = geo.pullback_is_convolution();
    with_slice::<T, _>(weight, |w| {
        let mut packed = vec![T::zero(); w.len()];
        for (o, filter) in w.chunks_exact(depth).enumerate() {
            let group = &mut packed[(o / outputs) * depth * outputs..];
            let o = o % outputs;
            for i in 0..inputs {
                for tap in 0..taps {
                    let to = if turned {
                        ((taps - 1 - tap) * outputs + o) * inputs + i
                    } else {
                        (o * taps + tap) * inputs + i
                    };
                    group[to] = filter[i * taps + tap];
                }
            }
        }
        Ok(Tensor::from_vec(packed, w.len(), &Device::Cpu)?)
    })
}

pub(super) fn forward_cpu<T: Real>(
    x: &Tensor,
    packed: &Tensor,
    bias: Option<&Tensor>,
    geo: &Geometry,
) -> Result<Tensor> {
    let (n, height, width, _) = x.dims4()?;
    let Some([out_height, out_width]) = geo.output(height, width) else {
        return Err(kernel_too_large(geo, height, width));
    };
    let bias = bias.map(Tensor::to_vec1::<T>).transpose()?;
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(packed, |w| {
            let mut out = vec![T::zero(); n * out_height * out_width * geo.outputs];
            let view = View { height, width, out_height, out_width };
            convolve(x, w, bias.as_deref(), geo, view, &mut out);
            Ok(out)
        })
    })?;
    Ok(Tensor::from_vec(out, (n, out_height, out_width, geo.outputs), &Device::Cpu)?)
}

pub(super) fn pullback_cpu<T: Real>(
    g: &Tensor,
    packed: &Tensor,
    [height, width]: [usize; 2],
    geo: &Geometry,
) -> Result<Tensor> {
    let (n, out_height, out_width, _) = g.dims4()?;
    let grad = with_slice::<T, _>(g, |g| {
        with_slice::<T, _>(packed, |w| {
            let mut grad = vec![T::zero(); n * height * width * geo.inputs];
            match geo.turned() {
                Some(turned) if geo.pullback_is_convolution() => {
                    let view = View {
                        height: out_height,
                        width: out_width,
                        out_height: height,
                        out_width: width,
                    };
                    convolve(g, w, None, &turned, view, &mut grad);
                }
                _ => scatter(g, w, geo, View { height, width, out_height, out_width }, &mut grad),
            }
            Ok(grad)
        })
    })?;
    Ok(Tensor::from_vec(grad, (n, height, width, geo.inputs), &Device::Cpu)?)
}

/// Sizes of the images on both sides of a convolution.
#[derive(Clone, Copy)]
struct View {
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
}

/// Splits the output pixels of a batch into tiles of whole pixels.
fn tile_rows<T>(depth: usize) -> usize {
    (TILE_BYTES / (depth * size_of::<T>()).max(1)).clamp(16, 1024)
}

fn convolve<T: Real>(
    x: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    geo: &Geometry,
    view: View,
    out: &mut [T],
) {
    let (depth, outputs) = (geo.depth(), geo.group_outputs());
    let pixels = out.len() / geo.outputs;
    let pointwise = geo.kernel == [1, 1]
        && geo.stride == [1, 1]
        && geo.padding == Default::default()
        && geo.groups == 1;
    if pointwise {
        matmul(pixels, outputs, depth, x, weights, out);
        add_bias(out, bias);
        return;
    }
    let rows = tile_rows::<T>(depth).min(pixels);
    with_scratch(rows * depth, |fields: &mut [T]| {
        let mut tile_out = vec![T::zero(); if geo.groups > 1 { rows * outputs } else { 0 }];
        for first in (0..pixels).step_by(rows) {
            let count = rows.min(pixels - first);
            let tile = &mut out[first * geo.outputs..(first + count) * geo.outputs];
            for group in 0..geo.groups {
                let weights = &weights[group * depth * outputs..][..depth * outputs];
                gather(x, geo, view, group, first, &mut fields[..count * depth]);
                if geo.groups == 1 {
                    matmul(count, outputs, depth, fields, weights, tile);
                    continue;
                }
                matmul(count, outputs, depth, fields, weights, &mut tile_out);
                for (to, from) in tile.chunks_mut(geo.outputs).zip(tile_out.chunks(outputs)) {
                    to[group * outputs..][..outputs].copy_from_slice(from);
                }
            }
            add_bias(tile, bias);
        }
    });
}

/// The pullback for any stride: a row of the product holds what one output pixel sends back to its
/// receptive field.
fn scatter<T: Real>(g: &[T], weights: &[T], geo: &Geometry, view: View, grad: &mut [T]) {
    let (depth, outputs) = (geo.depth(), geo.group_outputs());
    let pixels = g.len() / geo.outputs;
    let rows = tile_rows::<T>(depth).min(pixels.max(1));
    with_scratch(rows * depth, |fields: &mut [T]| {
        let mut group_g = vec![T::zero(); if geo.groups > 1 { rows * outputs } else { 0 }];
        for first in (0..pixels).step_by(rows) {
            let count = rows.min(pixels - first);
            let tile = &g[first * geo.outputs..(first + count) * geo.outputs];
            for group in 0..geo.groups {
                let weights = &weights[group * depth * outputs..][..depth * outputs];
                let left = if geo.groups == 1 {
                    tile
                } else {
                    for (to, from) in group_g.chunks_mut(outputs).zip(tile.chunks(geo.outputs)) {
                        to.copy_from_slice(&from[group * outputs..][..outputs]);
                    }
                    &group_g
                };
                matmul(count, depth, outputs, left, weights, fields);
                let (inputs, offset) = (geo.group_inputs(), group * geo.group_inputs());
                for (row, field) in fields[..count * depth].chunks_exact(depth).enumerate() {
                    for_taps(geo, view, first + row, |tap, pixel| {
                        let to = &mut grad[pixel * geo.inputs + offset..][..inputs];
                        for (to, from) in to.iter_mut().zip(&field[tap * inputs..]) {
                            *to += *from;
                        }
                    });
                }
            }
        }
    });
}

/// Copies the receptive fields of output pixels `first..` into the rows of `fields`.
fn gather<T: Real>(
    x: &[T],
    geo: &Geometry,
    view: View,
    group: usize,
    first: usize,
    fields: &mut [T],
) {
    let (inputs, depth) = (geo.group_inputs(), geo.depth());
    let whole_rows = geo.groups == 1 && geo.dilation[1] == 1;
    for (row, field) in fields.chunks_exact_mut(depth).enumerate() {
        if !whole_rows {
            field.fill(T::zero());
            for_taps(geo, view, first + row, |tap, pixel| {
                field[tap * inputs..][..inputs]
                    .copy_from_slice(&x[pixel * geo.inputs + group * inputs..][..inputs]);
            });
            continue;
        }
        let [image, oy, ox] = split(first + row, view);
        let left = (ox * geo.stride[1]) as isize - geo.padding.left as isize;
        let begin = (-left).clamp(0, geo.kernel[1] as isize) as usize;
        let end =
            (view.width as isize - left).clamp(begin as isize, geo.kernel[1] as isize) as usize;
        for (ky, line) in field.chunks_exact_mut(geo.kernel[1] * inputs).enumerate() {
            let iy =
                (oy * geo.stride[0] + ky * geo.dilation[0]) as isize - geo.padding.top as isize;
            if iy < 0 || iy >= view.height as isize {
                line.fill(T::zero());
                continue;
            }
            line[..begin * inputs].fill(T::zero());
            line[end * inputs..].fill(T::zero());
            if end > begin {
                let pixel = (image * view.height + iy as usize) * view.width;
                let from = (pixel as isize + left + begin as isize) as usize;
                line[begin * inputs..end * inputs]
                    .copy_from_slice(&x[from * inputs..][..(end - begin) * inputs]);
            }
        }
    }
}

/// Calls `visit(tap, input pixel)` for the taps of an output pixel that fall inside the image.
fn for_taps(geo: &Geometry, view: View, pixel: usize, mut visit: impl FnMut(usize, usize)) {
    let [image, oy, ox] = split(pixel, view);
    for ky in 0..geo.kernel[0] {
        let iy = (oy * geo.stride[0] + ky * geo.dilation[0]).wrapping_sub(geo.padding.top);
        if iy >= view.height {
            continue;
        }
        for kx in 0..geo.kernel[1] {
            let ix = (ox * geo.stride[1] + kx * geo.dilation[1]).wrapping_sub(geo.padding.left);
            if ix < view.width {
                visit(ky * geo.kernel[1] + kx, (image * view.height + iy) * view.width + ix);
            }
        }
    }
}

fn split(pixel: usize, view: View) -> [usize; 3] {
    let (line, ox) = (pixel / view.out_width, pixel % view.out_width);
    [line / view.out_height, line % view.out_height, ox]
}

fn add_bias<T: Real>(out: &mut [T], bias: Option<&[T]>) {
    let Some(bias) = bias else { return };
    for pixel in out.chunks_exact_mut(bias.len()) {
        for (o, b) in pixel.iter_mut().zip(bias) {
            *o += *b;
        }
    }
}

/// Lends this thread's scratch memory, which is allocated once and only grows.
fn with_scratch<T: Real, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|words| {
        let needed = (len * size_of::<T>()).div_ceil(size_of::<u64>());
        if words.len() < needed {
            words.resize(needed, 0);
        }
        work(as_reals(words, len))
    })
}

#[allow(unsafe_code)]
fn as_reals<T: Real>(words: &mut [u64], len: usize) -> &mut [T] {
    assert!(len * size_of::<T>() <= size_of_val(words) && align_of::<T>() <= align_of::<u64>());
    // SAFETY: the memory is initialised, long enough and aligned (asserted above); `T` is f32 or f64,
    // for which every bit pattern is a value; the borrow of `words` lasts as long as the result.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<T>(), len) }
}

fn kernel_too_large(geo: &Geometry, height: usize, width: usize) -> Error {
    Error::setting(
        "convolution",
        format!("kernel {:?} does not fit into an image of {height} x {width}", geo.kernel),
        "check the input size of the network",
    )
}
