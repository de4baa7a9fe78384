//! Elementwise activations and their pullbacks. ReLU keeps one bit per element.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

/// One bit per element of a tensor.
#[derive(Debug, Clone)]
pub struct Bits(Vec<u64>);

/// `max(x, 0)`.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    for_real!(x, relu_cpu(x))
}

/// `max(x, 0)` and where x > 0 (the derivative at 0 is 0, as in published frameworks).
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn relu_saving(x: &Tensor) -> Result<(Tensor, Bits)> {
    for_real!(x, relu_saving_cpu(x))
}

/// The cotangent where the bit is set, 0 elsewhere.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn relu_pullback(g: &Tensor, positive: &Bits) -> Result<Tensor> {
    for_real!(g, relu_pullback_cpu(g, positive))
}

/// `x / (1 + exp(-x))`, also called swish.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    for_real!(x, silu_cpu(x))
}

/// Pullback of [`silu`] at `x`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn silu_pullback(g: &Tensor, x: &Tensor) -> Result<Tensor> {
    for_real!(g, silu_pullback_cpu(g, x))
}

fn relu_cpu<T: Real>(x: &Tensor) -> Result<Tensor> {
    map::<T>(x, |x| if x > T::zero() { x } else { T::zero() })
}

fn relu_saving_cpu<T: Real>(x: &Tensor) -> Result<(Tensor, Bits)> {
    let bits = with_slice::<T, _>(x, |x| {
        let word = |chunk: &[T]| {
            chunk
                .iter()
                .enumerate()
                .fold(0_u64, |word, (i, v)| word | (u64::from(*v > T::zero()) << i))
        };
        Ok(Bits(x.chunks(64).map(word).collect()))
    })?;
    Ok((relu_cpu::<T>(x)?, bits))
}

fn relu_pullback_cpu<T: Real>(g: &Tensor, positive: &Bits) -> Result<Tensor> {
    let out = with_slice::<T, _>(g, |g| {
        let mut out = Vec::with_capacity(g.len());
        for (chunk, word) in g.chunks(64).zip(&positive.0) {
            out.extend(
                chunk
                    .iter()
                    .enumerate()
                    .map(|(i, g)| if (word >> i) & 1 == 1 { *g } else { T::zero() }),
            );
        }
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, g.dims(), &Device::Cpu)?)
}

fn silu_cpu<T: Real>(x: &Tensor) -> Result<Tensor> {
    map::<T>(x, |x| x / (T::one() + (-x).exp()))
}

fn silu_pullback_cpu<T: Real>(g: &Tensor, x: &Tensor) -> Result<Tensor> {
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(g, |g| {
            Ok(g.iter()
                .zip(x)
                .map(|(g, x)| {
                    let s = T::one() / (T::one() + (-*x).exp());
                    *g * s * (T::one() + *x * (T::one() - s))
                })
                .collect::<Vec<T>>())
        })
    })?;
    Ok(Tensor::from_vec(out, g.dims(), &Device::Cpu)?)
}

fn map<T: Real>(x: &Tensor, f: impl Fn(T) -> T) -> Result<Tensor> {
    let out = with_slice::<T, _>(x, |x| Ok(x.iter().map(|v| f(*v)).collect::<Vec<T>>()))?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}
