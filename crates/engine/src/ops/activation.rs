//! Elementwise activations and their pullbacks. ReLU keeps one bit per element.

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor, WithDType};
use half::bf16;
use pulp::{Arch, Simd, WithSimd};

use crate::error::Result;
use crate::ops::{Real, elementwise, for_real, fresh, with_slice};

/// One bit per element of a tensor.
#[derive(Debug, Clone)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// The memory they take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

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

/// Where x > 0, f32, f64 or bf16.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn positive(x: &Tensor) -> Result<Bits> {
    if x.dtype() == DType::BF16 {
        return positive_bf16(x);
    }
    for_real!(x, positive_cpu(x))
}

/// The cotangent, f32, f64 or bf16, where the bit is set, 0 elsewhere.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn relu_pullback(g: &Tensor, positive: &Bits) -> Result<Tensor> {
    if g.dtype() == DType::BF16 {
        return relu_pullback_cpu::<bf16>(g, positive);
    }
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

/// `x Phi(x)` with the distribution function Phi of the standard normal distribution (Hendrycks and
/// Gimpel 2016), not by its approximation with a hyperbolic tangent.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    for_real!(x, gelu_cpu(x))
}

/// [`gelu`] and its derivative, which have all but one exponential in common.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn gelu_saving(x: &Tensor) -> Result<(Tensor, Tensor)> {
    for_real!(x, gelu_saving_cpu(x))
}

/// ReLU of one number. NaN stays NaN, or a broken network would look like one that works.
#[inline(always)]
pub(super) fn cut<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

/// The same of a vector.
#[inline(always)]
pub(super) fn cut_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
}

fn relu_cpu<T: Real>(x: &Tensor) -> Result<Tensor> {
    map::<T>(x, cut)
}

fn relu_saving_cpu<T: Real>(x: &Tensor) -> Result<(Tensor, Bits)> {
    Ok((relu_cpu::<T>(x)?, positive_cpu::<T>(x)?))
}

fn positive_cpu<T: Real>(x: &Tensor) -> Result<Bits> {
    with_slice::<T, _>(x, |x| Ok(Bits(Arch::new().dispatch(Positive(x, |x| x > T::zero())))))
}

fn positive_bf16(x: &Tensor) -> Result<Bits> {
    const INFINITY: u16 = bf16::INFINITY.to_bits();
    // Neither 0 nor NaN nor with the sign bit.
    let positive = |x: bf16| x.to_bits().wrapping_sub(1) < INFINITY;
    with_slice::<bf16, _>(x, |x| Ok(Bits(Arch::new().dispatch(Positive(x, positive)))))
}

/// The loops below are written for whole vectors; dispatching lets them use this machine's.
struct Positive<'a, T, F>(&'a [T], F);

impl<T: Copy, F: Fn(T) -> bool> WithSimd for Positive<'_, T, F> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u64> {
        let Self(values, is_positive) = self;
        let mut bits = Vec::with_capacity(values.len().div_ceil(64));
        let (words, rest) = values.as_chunks::<64>();
        for word in words {
            let mut positive = [0_u8; 64];
            for i in 0..64 {
                positive[i] = u8::from(is_positive(word[i]));
            }
            bits.push(pack(&positive));
        }
        if !rest.is_empty() {
            let mut positive = [0_u8; 64];
            for (byte, v) in positive.iter_mut().zip(rest) {
                *byte = u8::from(is_positive(*v));
            }
            bits.push(pack(&positive));
        }
        bits
    }
}

/// The lowest bits of 64 bytes, byte i becoming bit i.
fn pack(bytes: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (i, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
        // The product moves bit 0 of byte k to bit 56 + k; the sums below it never carry into them.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= gathered << (8 * i);
    }
    word
}

fn relu_pullback_cpu<T: WithDType + Default>(g: &Tensor, positive: &Bits) -> Result<Tensor> {
    let out = with_slice::<T, _>(g, |g| Ok(Arch::new().dispatch(Masked(g, &positive.0))))?;
    Ok(Tensor::from_vec(out, g.dims(), &Device::Cpu)?)
}

/// Numbers where their bit is set.
struct Masked<'a, T>(&'a [T], &'a [u64]);

impl<T: Copy + Default> WithSimd for Masked<'_, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<T> {
        let Self(g, bits) = self;
        let mut out = Vec::with_capacity(g.len());
        for (chunk, word) in g.chunks(64).zip(bits) {
            let mut kept = [T::default(); 64];
            for (i, (kept, g)) in kept.iter_mut().zip(chunk).enumerate() {
                *kept = if (word >> i) & 1 == 1 { *g } else { T::default() };
            }
            out.extend_from_slice(&kept[..chunk.len()]);
        }
        out
    }
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

#[allow(unsafe_code)]
fn gelu_cpu<T: Real>(x: &Tensor) -> Result<Tensor> {
    let out = with_slice::<T, _>(x, |x| {
        let write = |y: &mut [_]| {
            Arch::new().dispatch(Gelu(x, y));
            Ok(())
        };
        // SAFETY: `Gelu` writes as many elements as it reads.
        unsafe { fresh::vector(x.len(), write) }
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

struct Gelu<'a, T>(&'a [T], &'a mut [MaybeUninit<T>]);

impl<T: Real> WithSimd for Gelu<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (y, x) in self.1.iter_mut().zip(self.0) {
            y.write(*x * x.normal().0);
        }
    }
}

#[allow(unsafe_code)]
fn gelu_saving_cpu<T: Real>(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let mut slope = Vec::new();
    let y = with_slice::<T, _>(x, |x| {
        let both = |y: &mut [_]| {
            let write = |slope: &mut [_]| {
                Arch::new().dispatch(GeluSaving(x, y, slope));
                Ok(())
            };
            // SAFETY: `GeluSaving` writes as many elements as it reads, of both.
            slope = unsafe { fresh::vector(x.len(), write)? };
            Ok(())
        };
        // SAFETY: as above.
        unsafe { fresh::vector(x.len(), both) }
    })?;
    let like_x = |values| Tensor::from_vec(values, x.dims(), &Device::Cpu);
    Ok((like_x(y)?, like_x(slope)?))
}

/// [`gelu`] of a slice, into one of as many numbers, all of which are written.
pub(super) fn gelu_into(x: &[f32], y: &mut [MaybeUninit<f32>]) {
    assert_eq!(x.len(), y.len(), "gelu: lengths");
    Arch::new().dispatch(Gelu(x, y));
}

/// [`gelu_saving`] of a slice, likewise.
pub(super) fn gelu_saving_into(
    x: &[f32],
    y: &mut [MaybeUninit<f32>],
    slope: &mut [MaybeUninit<f32>],
) {
    assert_eq!([x.len(); 2], [y.len(), slope.len()], "gelu: lengths");
    Arch::new().dispatch(GeluSaving(x, y, slope));
}

/// Pullback of [`gelu`], whose derivative [`gelu_saving`] gives: their product.
///
/// # Errors
/// If a tensor is not on the CPU, or they differ in shape or type.
pub fn gelu_pullback(g: &Tensor, slope: &Tensor) -> Result<Tensor> {
    elementwise::multiply(g, slope)
}

struct GeluSaving<'a, T>(&'a [T], &'a mut [MaybeUninit<T>], &'a mut [MaybeUninit<T>]);

impl<T: Real> WithSimd for GeluSaving<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(x, y, slope) = self;
        for ((y, slope), x) in y.iter_mut().zip(slope).zip(x) {
            let (below, density) = x.normal();
            y.write(*x * below);
            slope.write(below + *x * density);
        }
    }
}

fn map<T: Real>(x: &Tensor, f: impl Fn(T) -> T) -> Result<Tensor> {
    let out = with_slice::<T, _>(x, |x| Ok(x.iter().map(|v| f(*v)).collect::<Vec<T>>()))?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::pack;
    use crate::rng::Stream;

    #[test]
    fn packing_puts_byte_i_into_bit_i() {
        for trial in 0..100 {
            let mut bytes = [0_u8; 64];
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = Stream::new(0, "pack").draw(trial, 0).below(i as u32, 2) as u8;
            }
            let word = pack(&bytes);
            assert!((0..64).all(|i| (word >> i) & 1 == u64::from(bytes[i])));
        }
    }
}
