//! Layer norm along the channels of a pixel or a vector (Ba et al. 2016): centred, divided by the
//! standard deviation, scaled and shifted. Sums are taken in f64, in eight of them side by side.

use std::mem::MaybeUninit;

use candle_core::{Device, Tensor};
use pulp::{Arch, Simd, WithSimd};

use crate::error::Result;
use crate::ops::{Real, for_real, fresh, with_slice};

/// `(x - mean) / sqrt(variance + eps) * weight + bias` along the last axis, with the variance of a
/// population; `weight` and `bias` are `[C]`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn forward(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    for_real!(x, forward_cpu(x, weight, bias, eps))
}

/// Pullback of [`forward`] at `x`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn pullback(g: &Tensor, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    for_real!(g, pullback_cpu(g, x, weight, eps))
}

/// Sums that run side by side.
const LANES: usize = 8;

/// The sums of the terms `term(i)` for `i` below `len`. Its loops are written for whole vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // loops over lanes
fn sums<const N: usize>(len: usize, term: impl Fn(usize) -> [f64; N]) -> [f64; N] {
    let mut sums = [[0.0; LANES]; N];
    let whole = len - len % LANES;
    for first in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            let terms = term(first + lane);
            for n in 0..N {
                sums[n][lane] += terms[n];
            }
        }
    }
    let mut rest = [0.0; N];
    for i in whole..len {
        let terms = term(i);
        for n in 0..N {
            rest[n] += terms[n];
        }
    }
    std::array::from_fn(|n| sums[n].into_iter().sum::<f64>() + rest[n])
}

/// Mean and reciprocal standard deviation.
#[inline(always)]
fn moments<T: Real>(x: &[T], eps: f64) -> (f64, f64) {
    let count = x.len() as f64;
    let [sum] = sums(x.len(), |i| [x[i].to_f64()]);
    let mean = sum / count;
    let [squares] = sums(x.len(), |i| [(x[i].to_f64() - mean).powi(2)]);
    (mean, (squares / count + eps).sqrt().recip())
}

fn wide(values: &Tensor) -> Result<Vec<f64>> {
    Ok(values.to_dtype(candle_core::DType::F64)?.to_vec1()?)
}

#[allow(unsafe_code)]
fn forward_cpu<T: Real>(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (weight, bias) = (wide(weight)?, wide(bias)?);
    let out = with_slice::<T, _>(x, |x| {
        let (weight, bias) = (weight.as_slice(), bias.as_slice());
        assert!(x.len().is_multiple_of(weight.len()), "layer norm: channels");
        let write = |out: &mut [_]| {
            Arch::new().dispatch(Forward { x, weight, bias, eps, out });
            Ok(())
        };
        // SAFETY: `Forward` writes all channels of all pixels, of which there are whole ones.
        unsafe { fresh::vector(x.len(), write) }
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

#[allow(unsafe_code)]
fn pullback_cpu<T: Real>(g: &Tensor, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let weight = wide(weight)?;
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(g, |g| {
            let weight = weight.as_slice();
            assert!(
                x.len().is_multiple_of(weight.len()) && g.len() == x.len(),
                "layer norm: channels"
            );
            let write = |out: &mut [_]| {
                Arch::new().dispatch(Pullback { g, x, weight, eps, out });
                Ok(())
            };
            // SAFETY: `Pullback` writes all channels of all pixels, of which there are whole ones.
            unsafe { fresh::vector(x.len(), write) }
        })
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

/// Dispatched, so that the loops use the vectors of this machine.
struct Forward<'a, T> {
    x: &'a [T],
    weight: &'a [f64],
    bias: &'a [f64],
    eps: f64,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, weight, bias, eps, out } = self;
        let channels = weight.len();
        let bias = &bias[..channels];
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            let (mean, inverse) = moments(x, eps);
            for i in 0..channels {
                out[i].write(T::from_f64((x[i].to_f64() - mean) * inverse * weight[i] + bias[i]));
            }
        }
    }
}

struct Pullback<'a, T> {
    g: &'a [T],
    x: &'a [T],
    weight: &'a [f64],
    eps: f64,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Pullback<'_, T> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // loops over channels
    fn with_simd<S: Simd>(self, _: S) {
        let Self { g, x, weight, eps, out } = self;
        let channels = weight.len();
        let pixels = x.chunks_exact(channels).zip(g.chunks_exact(channels));
        for ((x, g), out) in pixels.zip(out.chunks_exact_mut(channels)) {
            let (mean, inverse) = moments(x, eps);
            let at = |i: usize| (g[i].to_f64() * weight[i], (x[i].to_f64() - mean) * inverse);
            let [of_mean, of_std] = sums(channels, |i| {
                let (scaled, normal) = at(i);
                [scaled, scaled * normal]
            })
            .map(|sum| sum / channels as f64);
            for i in 0..channels {
                let (scaled, normal) = at(i);
                out[i].write(T::from_f64(inverse * (scaled - of_mean - normal * of_std)));
            }
        }
    }
}
