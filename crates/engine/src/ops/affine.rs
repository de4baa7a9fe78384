//! Scale and shift per channel: an evaluation-mode batch norm, and the input normalisation.

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor, WithDType};
use half::bf16;
use pulp::{Arch, Simd, WithSimd};

use crate::error::Result;
use crate::ops::bf16::Stored;
use crate::ops::{Real, for_real, fresh, with_slice};

/// `x * scale + shift` along the last axis, cut at 0 with `relu`; `scale` and `shift` are `[C]`,
/// `shift` may be absent. The result of an f32 tensor is stored in bf16 if it is to be `narrow`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn scale_shift(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    relu: bool,
    narrow: bool,
) -> Result<Tensor> {
    if narrow && x.dtype() == DType::F32 {
        return scale_shift_cpu::<f32, bf16>(x, scale, shift, relu, bf16::store);
    }
    for_real!(x, scale_shift_same(x, scale, shift, relu))
}

/// `(x - mean) / std` along the last axis, with the division that published networks do.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn standardise(x: &Tensor, mean: &Tensor, std: &Tensor) -> Result<Tensor> {
    for_real!(x, standardise_cpu(x, mean, std))
}

fn scale_shift_same<T: Real>(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    scale_shift_cpu::<T, T>(x, scale, shift, relu, |y| y)
}

fn scale_shift_cpu<T: Real, Y: WithDType + Default>(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    relu: bool,
    store: impl Fn(T) -> Y,
) -> Result<Tensor> {
    let scale = scale.to_vec1::<T>()?;
    let shift = match shift {
        Some(shift) => shift.to_vec1::<T>()?,
        None => vec![T::zero(); scale.len()],
    };
    let floor = if relu { T::zero() } else { T::neg_infinity() };
    let scaled = with_slice::<T, _>(x, |x| {
        assert!(
            x.len().is_multiple_of(scale.len()) && shift.len() == scale.len(),
            "affine: channels"
        );
        let write = |out: &mut [MaybeUninit<Y>]| {
            let (scale, shift) = (&scale, &shift);
            Arch::new().dispatch(ScaleShift { x, scale, shift, floor, store, out });
            Ok(())
        };
        // SAFETY: a multiple of the channels is written channel by channel.
        #[allow(unsafe_code)]
        unsafe {
            fresh::vector(x.len(), write)
        }
    })?;
    Ok(Tensor::from_vec(scaled, x.dims(), &Device::Cpu)?)
}

struct ScaleShift<'a, T, Y, F> {
    x: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    floor: T,
    store: F,
    out: &'a mut [MaybeUninit<Y>],
}

impl<T: Real, Y, F: Fn(T) -> Y> WithSimd for ScaleShift<'_, T, Y, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, scale, shift, floor, store, out } = self;
        let pixels = x.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len()));
        for (x, out) in pixels {
            for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                let y = *x * *scale + *shift;
                out.write(store(if y < floor { floor } else { y }));
            }
        }
    }
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
