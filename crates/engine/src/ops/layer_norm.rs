//! Layer norm along the channels of a pixel or a vector (Ba et al. 2016): centred, divided by the
//! standard deviation, scaled and shifted. Sums are taken in f64, in eight of them side by side.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

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

/// The sum of `term(i)` for `i` below `len`.
fn sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let whole = len - len % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    sums.into_iter().sum::<f64>() + (whole..len).map(term).sum::<f64>()
}

/// Mean and reciprocal standard deviation.
fn moments<T: Real>(x: &[T], eps: f64) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = sum(x.len(), |i| x[i].to_f64()) / count;
    let variance = sum(x.len(), |i| (x[i].to_f64() - mean).powi(2)) / count;
    (mean, (variance + eps).sqrt().recip())
}

fn wide(values: &Tensor) -> Result<Vec<f64>> {
    Ok(values.to_dtype(candle_core::DType::F64)?.to_vec1()?)
}

fn forward_cpu<T: Real>(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (weight, bias) = (wide(weight)?, wide(bias)?);
    let out = with_slice::<T, _>(x, |x| {
        let mut out = Vec::with_capacity(x.len());
        for x in x.chunks_exact(weight.len()) {
            let (mean, inverse) = moments(x, eps);
            out.extend(x.iter().zip(&weight).zip(&bias).map(|((x, weight), bias)| {
                T::from_f64(((*x).to_f64() - mean) * inverse * weight + bias)
            }));
        }
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

fn pullback_cpu<T: Real>(g: &Tensor, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let weight = wide(weight)?;
    let channels = weight.len();
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(g, |g| {
            let mut out = Vec::with_capacity(x.len());
            for (x, g) in x.chunks_exact(channels).zip(g.chunks_exact(channels)) {
                let (mean, inverse) = moments(x, eps);
                let scaled = |i: usize| g[i].to_f64() * weight[i];
                let normal = |i: usize| (x[i].to_f64() - mean) * inverse;
                let of_mean = sum(channels, scaled) / channels as f64;
                let of_std = sum(channels, |i| scaled(i) * normal(i)) / channels as f64;
                out.extend(
                    (0..channels)
                        .map(|i| T::from_f64(inverse * (scaled(i) - of_mean - normal(i) * of_std))),
                );
            }
            Ok(out)
        })
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}
