//! Scale and shift per channel: an evaluation-mode batch norm, and the input normalisation.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

/// `x * scale + shift` along the last axis, cut at 0 with `relu`; `scale` and `shift` are `[C]`,
/// `shift` may be absent.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn scale_shift(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    for_real!(x, scale_shift_cpu(x, scale, shift, relu))
}

/// `(x - mean) / std` along the last axis, with the division that published networks do.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn standardise(x: &Tensor, mean: &Tensor, std: &Tensor) -> Result<Tensor> {
    for_real!(x, standardise_cpu(x, mean, std))
}

fn scale_shift_cpu<T: Real>(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let scale = scale.to_vec1::<T>()?;
    let shift = match shift {
        Some(shift) => shift.to_vec1::<T>()?,
        None => vec![T::zero(); scale.len()],
    };
    let floor = if relu { T::zero() } else { T::neg_infinity() };
    with_slice::<T, _>(x, |x| {
        let mut out = Vec::with_capacity(x.len());
        for pixel in x.chunks_exact(scale.len()) {
            out.extend(pixel.iter().zip(&scale).zip(&shift).map(|((x, scale), shift)| {
                let y = *x * *scale + *shift;
                if y < floor { floor } else { y }
            }));
        }
        Ok(out)
    })
    .and_then(|out| Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?))
}

fn standardise_cpu<T: Real>(x: &Tensor, mean: &Tensor, std: &Tensor) -> Result<Tensor> {
    let (mean, std) = (mean.to_vec1::<T>()?, std.to_vec1::<T>()?);
    with_slice::<T, _>(x, |x| {
        let mut out = Vec::with_capacity(x.len());
        for pixel in x.chunks_exact(mean.len()) {
            out.extend(
                pixel.iter().zip(&mean).zip(&std).map(|((x, mean), std)| (*x - *mean) / *std),
            );
        }
        Ok(out)
    })
    .and_then(|out| Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?))
}
