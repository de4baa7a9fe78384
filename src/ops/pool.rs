//! Average and maximum over windows of NHWC images, and their pullbacks.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

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
    for_real!(x, maximum_cpu(x, window))
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
    let (out, origin) = with_slice::<T, _>(x, |x| {
        let len = shape.iter().product();
        let mut out = vec![T::zero(); len];
        let mut origin = vec![0_u32; len];
        for (o, (out, origin)) in out.chunks_mut(c).zip(origin.chunks_mut(c)).enumerate() {
            let (line, ox) = (o / ow, o % ow);
            let first = ((line / oh * h + line % oh * window.stride) * w + ox * window.stride) * c;
            for start in (0..c).step_by(LANES) {
                let lanes = start..c.min(start + LANES);
                let at = first + start;
                maximum_of(
                    x,
                    at,
                    window.size,
                    w * c,
                    c,
                    &mut out[lanes.clone()],
                    &mut origin[lanes],
                );
            }
        }
        Ok((out, origin))
    })?;
    Ok((Tensor::from_vec(out, &shape, &Device::Cpu)?, origin))
}

/// Channels that are compared at a time, in registers.
const LANES: usize = 16;

/// The maxima of up to [`LANES`] neighbouring channels over a window whose upper left element is
/// number `first`; NaN wins over everything and stays.
fn maximum_of<T: Real>(
    x: &[T],
    first: usize,
    size: usize,
    line: usize,
    pixel: usize,
    out: &mut [T],
    origin: &mut [u32],
) {
    let mut best = [T::neg_infinity(); LANES];
    let mut place = [first as u32; LANES];
    for tap in 0..size * size {
        let at = first + tap / size * line + tap % size * pixel;
        let taken = &x[at..at + out.len()];
        for ((best, place), value) in best.iter_mut().zip(&mut place).zip(taken) {
            let better = (*value > *best) | value.is_nan();
            *best = if better { *value } else { *best };
            *place = if better { at as u32 } else { *place };
        }
    }
    out.copy_from_slice(&best[..out.len()]);
    for (channel, (origin, place)) in origin.iter_mut().zip(place).enumerate() {
        *origin = place + channel as u32;
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
