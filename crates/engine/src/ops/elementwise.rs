//! Functions of one number, or of two at the same place, given in f64: a result is rounded once, so that
//! f32 loses nothing to the way a function is computed.

use std::mem::MaybeUninit;

use candle_core::{Device, Tensor};
use pulp::{Arch, Simd, WithSimd};

use crate::error::Result;
use crate::ops::{Real, for_real, fresh, with_slice};

/// `f` of every element.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn map(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    for_real!(x, map_cpu(x, f))
}

/// `f` of every pair of elements of two tensors of the same shape and type.
///
/// # Errors
/// If the shapes or types differ, or a tensor is not on the CPU.
pub fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Result<Tensor> {
    same(a, b)?;
    for_real!(a, zip_cpu(a, b, f))
}

/// `f` of every triple of elements of three tensors of the same shape and type.
///
/// # Errors
/// As [`zip()`].
pub fn zip3(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    f: impl Fn(f64, f64, f64) -> f64,
) -> Result<Tensor> {
    same(a, b)?;
    same(a, c)?;
    for_real!(a, zip3_cpu(a, b, c, f))
}

/// The sum of two tensors of the same shape and type, on the calling thread.
///
/// # Errors
/// As [`zip()`].
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same(a, b)?;
    for_real!(a, add_cpu(a, b))
}

/// The product of two tensors of the same shape and type, on the calling thread.
///
/// # Errors
/// As [`zip()`].
pub fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same(a, b)?;
    for_real!(a, multiply_cpu(a, b))
}

/// Writes the products of two slices of as many numbers to a third one, whole.
pub(super) fn multiply_into<T: Real>(a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
    assert!(a.len() == out.len() && b.len() == out.len(), "multiply: pairs");
    Arch::new().dispatch(Multiply(a, b, out));
}

fn same(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() == b.dims() {
        return Ok(());
    }
    let problem = format!("elements of {:?} and {:?} are no pairs", a.dims(), b.dims());
    Err(candle_core::Error::Msg(problem).into())
}

fn map_cpu<T: Real>(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let out = with_slice::<T, _>(x, |x| {
        Ok(x.iter().map(|x| T::from_f64(f((*x).to_f64()))).collect::<Vec<T>>())
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

fn add_cpu<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let sums: Vec<T> =
        with_slice::<T, _>(a, |a| with_slice::<T, _>(b, |b| Ok(Arch::new().dispatch(Add(a, b)))))?;
    Ok(Tensor::from_vec(sums, a.dims(), &Device::Cpu)?)
}

#[allow(unsafe_code)]
fn multiply_cpu<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let products = with_slice::<T, _>(a, |a| {
        with_slice::<T, _>(b, |b| {
            let write = |out: &mut [_]| {
                multiply_into(a, b, out);
                Ok(())
            };
            // SAFETY: `multiply_into` writes every element.
            unsafe { fresh::vector(a.len(), write) }
        })
    })?;
    Ok(Tensor::from_vec(products, a.dims(), &Device::Cpu)?)
}

struct Multiply<'a, T>(&'a [T], &'a [T], &'a mut [MaybeUninit<T>]);

impl<T: Real> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((out, a), b) in self.2.iter_mut().zip(self.0).zip(self.1) {
            out.write(*a * *b);
        }
    }
}

struct Add<'a, T>(&'a [T], &'a [T]);

impl<T: Real> WithSimd for Add<'_, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<T> {
        self.0.iter().zip(self.1).map(|(a, b)| *a + *b).collect()
    }
}

fn zip_cpu<T: Real>(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Result<Tensor> {
    let out: Vec<T> = with_slice::<T, _>(a, |a| {
        with_slice::<T, _>(b, |b| {
            let pairs = a.iter().zip(b);
            Ok(pairs.map(|(a, b)| T::from_f64(f((*a).to_f64(), (*b).to_f64()))).collect())
        })
    })?;
    Ok(Tensor::from_vec(out, a.dims(), &Device::Cpu)?)
}

fn zip3_cpu<T: Real>(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    f: impl Fn(f64, f64, f64) -> f64,
) -> Result<Tensor> {
    let out: Vec<T> = with_slice::<T, _>(a, |a| {
        with_slice::<T, _>(b, |b| {
            with_slice::<T, _>(c, |c| {
                let of = |((a, b), c): ((&T, &T), &T)| {
                    T::from_f64(f((*a).to_f64(), (*b).to_f64(), (*c).to_f64()))
                };
                Ok(a.iter().zip(b).zip(c).map(of).collect())
            })
        })
    })?;
    Ok(Tensor::from_vec(out, a.dims(), &Device::Cpu)?)
}
