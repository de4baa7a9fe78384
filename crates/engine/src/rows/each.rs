//! Closures on the rows of several batches, and their kernels.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Data, Kernel, Location, Rows};
use crate::cuda::Array;
use crate::error::{Error, Result};

/// Below this many numbers a batch is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 14;

/// A new batch of the shape of the first input: `make(row, inputs, out)` sees row `row` of every input
/// and fills `out`.
///
/// # Errors
/// If the device fails.
pub fn map<const K: usize>(
    kernel: Kernel,
    inputs: [&Rows; K],
    make: impl Fn(usize, [&[f32]; K], &mut [f32]) + Sync,
) -> Result<Rows> {
    map_to(kernel, &inputs[0].shape[1..], inputs, make)
}

/// As [`map`], with rows of this shape, as many as the first input has that is neither left out nor for all.
///
/// # Errors
/// If the device fails.
pub fn map_to<const K: usize>(
    kernel: Kernel,
    shape: &[usize],
    inputs: [&Rows; K],
    make: impl Fn(usize, [&[f32]; K], &mut [f32]) + Sync,
) -> Result<Rows> {
    let rows = inputs.iter().filter_map(|rows| rows.given()).find(|rows| !rows.for_all);
    let rows = rows.map_or(0, Rows::len);
    let shape = [&[rows], shape].concat();
    let mut out = Rows::blank(&inputs[0].location(), shape)?;
    update(kernel, [&mut out], inputs, |row, [out], inputs| make(row, inputs, out))?;
    Ok(out)
}

/// Changes batches in place: `change(row, outputs, inputs)` sees row `row` of every one. All are at the
/// same place and have as many rows, apart from [`Rows::for_all`] and [`Rows::none`].
///
/// # Errors
/// If the batches have not as many rows, or the device fails.
pub fn update<const M: usize, const K: usize>(
    kernel: Kernel,
    outputs: [&mut Rows; M],
    inputs: [&Rows; K],
    change: impl Fn(usize, [&mut [f32]; M], [&[f32]; K]) + Sync,
) -> Result<()> {
    let (rows, place) = (outputs[0].len(), outputs[0].location());
    check_lengths(&kernel, rows, &outputs, &inputs)?;
    if place.is_gpu() && kernel.name.is_some() {
        return launch(kernel, rows, outputs, &inputs);
    }
    let inputs: Vec<(Arc<Vec<f32>>, usize, bool)> = inputs
        .iter()
        .map(|rows| Ok((rows.values()?, rows.width(), rows.for_all)))
        .collect::<Result<_>>()?;
    let mut outputs = outputs;
    let mut written = Vec::with_capacity(M);
    for rows in &mut outputs {
        written.push(rows.values()?);
        // Only what `written` holds is left, so that no buffer without another owner is copied.
        rows.data = Data::Host(Arc::default());
    }
    {
        let mut parts = Vec::with_capacity(M);
        for (numbers, rows) in written.iter_mut().zip(&outputs) {
            parts.push(Arc::make_mut(numbers).chunks_exact_mut(rows.width().max(1)));
        }
        let total: usize = outputs.iter().map(|rows| rows.width() * rows.len()).sum();
        let one = |(row, outputs): (usize, [&mut [f32]; M])| {
            let inputs: [&[f32]; K] = std::array::from_fn(|k| {
                let (numbers, width, shared) = &inputs[k];
                &numbers[if *shared { 0 } else { row * width }..][..*width]
            });
            change(row, outputs, inputs);
        };
        let mut next =
            || -> [&mut [f32]; M] { std::array::from_fn(|m| parts[m].next().unwrap_or_default()) };
        if total < PARALLEL_FROM {
            (0..rows).for_each(|row| one((row, next())));
        } else {
            let all: Vec<_> = (0..rows).map(|row| (row, next())).collect();
            all.into_par_iter().for_each(one);
        }
    }
    for (rows, numbers) in outputs.into_iter().zip(written) {
        rows.data = match &place {
            Location(None) => Data::Host(numbers),
            Location(Some(home)) => Data::Gpu(home.upload(&numbers)?),
        };
    }
    Ok(())
}

/// Refuses batches of other lengths: rows of one that was not shrunk with the others would be those of other
/// images.
fn check_lengths(
    kernel: &Kernel,
    rows: usize,
    outputs: &[&mut Rows],
    inputs: &[&Rows],
) -> Result<()> {
    let written = outputs.iter().map(|batch| &**batch).find(|batch| batch.len() != rows);
    let fits = |batch: &Rows| batch.given().is_none_or(|one| one.for_all || one.len() == rows);
    let read = inputs.iter().copied().find(|batch| !fits(batch));
    match written.or(read) {
        None => Ok(()),
        Some(other) => Err(Error::setting(
            format!("rows of {}", kernel.name.unwrap_or("a step")),
            format!("a batch has {} rows, the others {rows}", other.len()),
            "shrink all batches of the active images together",
        )),
    }
}

/// Launches one thread block per row of the `rows` rows. The other buffers may have any number of rows.
///
/// # Errors
/// If the device fails.
pub fn launch<const M: usize>(
    kernel: Kernel,
    rows: usize,
    outputs: [&mut Rows; M],
    inputs: &[&Rows],
) -> Result<()> {
    let (Some(name), width) = (kernel.name, outputs[0].width()) else { return Ok(()) };
    let mut written: Vec<&Array> = Vec::with_capacity(M);
    for rows in outputs {
        if let Data::Gpu(array) = &mut rows.data {
            written.push(array.unshared()?);
        }
    }
    let read: Vec<Option<&Array>> =
        inputs.iter().map(|rows| rows.given().and_then(Rows::array)).collect();
    let Some(home) = written.first().map(|array| array.gpu()) else { return Ok(()) };
    home.launch(name, [rows, width], (&written, &read), &kernel.arguments)
}
