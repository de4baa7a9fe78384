//! Operations that treat each image of a batch as a row of numbers, in parallel over the images:
//! what attacks do between two calls of the network.

use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::ops::with_slice;

/// Below this many numbers a batch is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 14;

/// Computes a new batch of the shape of `x` row by row: `make(row, inputs, out)` sees row `row` of
/// every tensor of `inputs` (all `[N, ...]` f32 with equal row lengths) and fills `out`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn map<const K: usize>(
    inputs: [&Tensor; K],
    make: impl Fn(usize, [&[f32]; K], &mut [f32]) + Sync,
) -> Result<Tensor> {
    let shape = inputs[0].dims().to_vec();
    let rows = shape[0];
    let width = inputs[0].elem_count() / rows.max(1);
    let mut out = vec![0.0_f32; rows * width];
    with_slices(inputs, |slices| {
        let one = |(row, out): (usize, &mut [f32])| {
            make(row, slices.map(|s| &s[row * width..(row + 1) * width]), out);
        };
        if rows * width < PARALLEL_FROM {
            out.chunks_mut(width.max(1)).enumerate().for_each(one);
        } else {
            out.par_chunks_mut(width).enumerate().for_each(one);
        }
        Ok(())
    })?;
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

/// One value per row: `reduce(row, inputs)` as in [`map`].
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn reduce<const K: usize, R: Send>(
    inputs: [&Tensor; K],
    reduce: impl Fn(usize, [&[f32]; K]) -> R + Sync,
) -> Result<Vec<R>> {
    let rows = inputs[0].dim(0)?;
    let width = inputs[0].elem_count() / rows.max(1);
    with_slices(inputs, |slices| {
        let one = |row: usize| reduce(row, slices.map(|s| &s[row * width..(row + 1) * width]));
        Ok(if rows * width < PARALLEL_FROM {
            (0..rows).map(one).collect()
        } else {
            (0..rows).into_par_iter().map(one).collect()
        })
    })
}

/// The rows `keep` of `x`, in that order.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn select(x: &Tensor, keep: &[usize]) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let width = x.elem_count() / shape[0].max(1);
    shape[0] = keep.len();
    let out = with_slice::<f32, Vec<f32>>(x, |x| {
        Ok(keep.iter().flat_map(|row| &x[row * width..(row + 1) * width]).copied().collect())
    })?;
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

/// A batch of the shape of `like`, `fill(row, out)` filling its rows.
///
/// # Errors
/// If the tensor cannot be made.
pub fn generate(like: &Tensor, fill: impl Fn(usize, &mut [f32]) + Sync) -> Result<Tensor> {
    let shape = like.dims().to_vec();
    let width = like.elem_count() / shape[0].max(1);
    let mut out = vec![0.0_f32; like.elem_count()];
    out.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, out)| fill(row, out));
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

fn with_slices<const K: usize, R>(
    tensors: [&Tensor; K],
    work: impl FnOnce([&[f32]; K]) -> Result<R>,
) -> Result<R> {
    let contiguous =
        tensors.iter().map(|t| t.contiguous()).collect::<candle_core::Result<Vec<_>>>()?;
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; K] = [&[]; K];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            return Err(candle_core::Error::Msg("rows are read on the CPU".into()).into());
        };
        let all = storage.as_slice::<f32>()?;
        *slice = &all[layout.start_offset()..][..layout.shape().elem_count()];
    }
    work(slices)
}
