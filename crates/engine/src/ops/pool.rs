//! Average and maximum over windows of NHWC images, and their pullbacks.

use std::mem::MaybeUninit;

use candle_core::{D, DType, Device, Tensor};
use pulp::{Arch, Simd, WithSimd};

use crate::error::Result;
use crate::ops::{Real, for_real, fresh, with_slice};

/// A square window, without padding; the last incomplete windows are dropped, as in published
/// frameworks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side in pixels.
    pub size: usize,
    /// Step in pixels.
    pub stride: usize,
}

impl Window {
    /// Height and width of the output; `None` if the window does not fit.
    pub fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let along = |size: usize| Some(size.checked_sub(self.size)? / self.stride + 1);
        Some([along(height)?, along(width)?])
    }

    /// Calls `visit(output pixel, input pixel)` for all pixels of all windows of `n` images.
    fn for_each(&self, n: usize, [h, w]: [usize; 2], mut visit: impl FnMut(usize, usize)) {
        let Some([oh, ow]) = self.output(h, w) else { return };
        for out in 0..n * oh * ow {
            let (line, ox) = (out / ow, out % ow);
            let (image, oy) = (line / oh, line % oh);
            for y in oy * self.stride..oy * self.stride + self.size {
                let start = (image * h + y) * w + ox * self.stride;
                (start..start + self.size).for_each(|pixel| visit(out, pixel));
            }
        }
    }
}

/// Mean over each window of `x` `[N, H, W, C]`.
///
/// # Errors
/// If the window does not fit or the tensor is not on the CPU.
pub fn average(x: &Tensor, window: Window) -> Result<Tensor> {
    for_real!(x, average_cpu(x, window))
}

/// Pullback of [`average`]; `size` is the input's height and width.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn average_pullback(g: &Tensor, window: Window, size: [usize; 2]) -> Result<Tensor> {
    for_real!(g, average_pullback_cpu(g, window, size))
}

/// Maximum over each window of `x` `[N, H, W, C]`, and for each the input element it came from (the
/// first one, if several are equal).
///
/// # Errors
/// If the window does not fit or the tensor is not on the CPU.
pub fn maximum(x: &Tensor, window: Window) -> Result<(Tensor, Vec<u32>)> {
    match (x.dtype(), x.dim(D::Minus1)?) {
        (DType::F32, channels) if channels % LANES == 0 => maximum_vectors(x, window, true),
        _ => for_real!(x, maximum_cpu(x, window)),
    }
}

/// [`maximum`] without the origins.
///
/// # Errors
/// If the window does not fit or the tensor is not on the CPU.
pub fn maximum_only(x: &Tensor, window: Window) -> Result<Tensor> {
    match (x.dtype(), x.dim(D::Minus1)?) {
        (DType::F32, channels) if channels % LANES == 0 => Ok(maximum_vectors(x, window, false)?.0),
        _ => Ok(maximum(x, window)?.0),
    }
}

/// Pullback of [`maximum`]; `shape` is the input's.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn maximum_pullback(g: &Tensor, origin: &[u32], shape: [usize; 4]) -> Result<Tensor> {
    for_real!(g, maximum_pullback_cpu(g, origin, shape))
}

fn output_shape(x: &Tensor, window: Window) -> Result<[usize; 4]> {
    let (n, h, w, c) = x.dims4()?;
    let [oh, ow] = window.output(h, w).ok_or_else(|| {
        crate::Error::setting(
            "pooling",
            format!("a window of {} does not fit into an image of {h} x {w}", window.size),
            "check the input size of the network",
        )
    })?;
    Ok([n, oh, ow, c])
}

fn average_cpu<T: Real>(x: &Tensor, window: Window) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let shape = output_shape(x, window)?;
    let out = with_slice::<T, _>(x, |x| {
        let mut out = vec![T::zero(); shape.iter().product()];
        window.for_each(n, [h, w], |o, i| {
            for (out, x) in out[o * c..][..c].iter_mut().zip(&x[i * c..]) {
                *out += *x;
            }
        });
        let count = count::<T>(window);
        out.iter_mut().for_each(|v| *v /= count);
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, &shape, &Device::Cpu)?)
}

fn average_pullback_cpu<T: Real>(g: &Tensor, window: Window, [h, w]: [usize; 2]) -> Result<Tensor> {
    let (n, _, _, c) = g.dims4()?;
    let grad = with_slice::<T, _>(g, |g| {
        let mut grad = vec![T::zero(); n * h * w * c];
        let count = count::<T>(window);
        window.for_each(n, [h, w], |o, i| {
            for (grad, g) in grad[i * c..][..c].iter_mut().zip(&g[o * c..]) {
                *grad += *g / count;
            }
        });
        Ok(grad)
    })?;
    Ok(Tensor::from_vec(grad, (n, h, w, c), &Device::Cpu)?)
}

fn maximum_cpu<T: Real>(x: &Tensor, window: Window) -> Result<(Tensor, Vec<u32>)> {
    let (_, h, w, c) = x.dims4()?;
    let shape = output_shape(x, window)?;
    let [_, oh, ow, _] = shape;
    let len = shape.iter().product();
    let (mut out, mut origin) = (vec![T::zero(); len], vec![0_u32; len]);
    with_slice::<T, _>(x, |x| {
        let corner = |o: usize| {
            let (line, ox) = (o / ow, o % ow);
            ((line / oh * h + line % oh * window.stride) * w + ox * window.stride) * c
        };
        for (o, (out, origin)) in out.chunks_mut(c).zip(origin.chunks_mut(c)).enumerate() {
            for (channel, (out, origin)) in out.iter_mut().zip(origin).enumerate() {
                let first = corner(o) + channel;
                (*out, *origin) = (T::neg_infinity(), first as u32);
                for tap in 0..window.size * window.size {
                    let at = first + (tap / window.size * w + tap % window.size) * c;
                    if x[at] > *out || x[at].is_nan() {
                        (*out, *origin) = (x[at], at as u32);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok((Tensor::from_vec(out, &shape, &Device::Cpu)?, origin))
}

/// [`maximum`] of f32 images whose channels fill whole vectors; the origins are left out unless wanted.
#[allow(unsafe_code)]
fn maximum_vectors(x: &Tensor, window: Window, origins: bool) -> Result<(Tensor, Vec<u32>)> {
    let (_, height, width, channels) = x.dims4()?;
    let shape = output_shape(x, window)?;
    let len = shape.iter().product();
    let mut origin = vec![0; if origins { len } else { 0 }];
    let out = with_slice::<f32, _>(x, |x| {
        let write = |out: &mut [MaybeUninit<f32>]| {
            Arch::new().dispatch(Maximum {
                x,
                window,
                size: [height, width],
                out_size: [shape[1], shape[2]],
                channels,
                out,
                origin: &mut origin,
            });
            Ok(())
        };
        // SAFETY: `Maximum` writes all vectors of all pixels, and the channels fill whole vectors.
        unsafe { fresh::vector(len, write) }
    })?;
    Ok((Tensor::from_vec(out, &shape, &Device::Cpu)?, origin))
}

/// Channels that fill whole vectors on every machine.
const LANES: usize = 16;

struct Maximum<'a> {
    x: &'a [f32],
    window: Window,
    size: [usize; 2],
    out_size: [usize; 2],
    channels: usize,
    out: &'a mut [MaybeUninit<f32>],
    /// Empty if not wanted.
    origin: &'a mut [u32],
}

impl WithSimd for Maximum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, window, size: [h, w], out_size: [oh, ow], channels, out, origin } = self;
        let lanes = S::F32_LANES;
        let vectors = channels / lanes;
        let (x, _) = S::as_simd_f32s(x);
        let (out, _) = S::as_uninit_mut_simd_f32s(out);
        let (origin, _) = S::as_mut_simd_u32s(origin);
        let mut counting = [0; LANES];
        for (lane, count) in counting.iter_mut().enumerate() {
            *count = lane as u32;
        }
        let counting = simd.partial_load_u32s(&counting[..lanes]);
        for (pixel, out) in out.chunks_exact_mut(vectors).enumerate() {
            let (line, ox) = (pixel / ow, pixel % ow);
            let first = (line / oh * h + line % oh * window.stride) * w + ox * window.stride;
            for (vector, out) in out.iter_mut().enumerate() {
                let mut best = simd.splat_f32s(f32::NEG_INFINITY);
                let mut place = simd.splat_u32s((first * channels + vector * lanes) as u32);
                for tap in 0..window.size * window.size {
                    let at = first + tap / window.size * w + tap % window.size;
                    let value = x[at * vectors + vector];
                    // NaN wins over everything and stays.
                    let number = simd.equal_f32s(value, value);
                    let worse =
                        simd.and_m32s(simd.not_m32s(simd.greater_than_f32s(value, best)), number);
                    let here = simd.splat_u32s((at * channels + vector * lanes) as u32);
                    best = simd.select_f32s(worse, best, value);
                    place = simd.select_u32s(worse, place, here);
                }
                out.write(best);
                if let Some(origin) = origin.get_mut(pixel * vectors + vector) {
                    *origin = simd.add_u32s(place, counting);
                }
            }
        }
    }
}

fn maximum_pullback_cpu<T: Real>(g: &Tensor, origin: &[u32], shape: [usize; 4]) -> Result<Tensor> {
    let grad = with_slice::<T, _>(g, |g| {
        let mut grad = vec![T::zero(); shape.iter().product()];
        for (g, to) in g.iter().zip(origin) {
            grad[*to as usize] += *g;
        }
        Ok(grad)
    })?;
    Ok(Tensor::from_vec(grad, &shape, &Device::Cpu)?)
}

fn count<T: Real>(window: Window) -> T {
    T::from_f64((window.size * window.size) as f64)
}
