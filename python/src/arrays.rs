//! Batches as arrays of NumPy. A copy is made in either direction: a network of a user's program may write to what it
//! is given, and an attack keeps its candidates. Beside a pass of any network it is not seen.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use epsball::data::Batch;
use epsball::rows::{Location, Rows};
use numpy::{
    IntoPyArray as _, PyArrayDyn, PyArrayMethods as _, PyReadonlyArray1, PyReadonlyArray4,
    PyReadonlyArrayDyn, PyUntypedArrayMethods as _,
};
use pyo3::prelude::*;

use crate::errors::{raise, refuse};

/// Rows as an array of the same shape.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    rows: &Rows,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let numbers = Arc::unwrap_or_clone(rows.values().map_err(raise)?);
    array(py, numbers, rows.shape())
}

/// Numbers as an array of this shape.
pub(crate) fn array<'py>(
    py: Python<'py>,
    numbers: Vec<f32>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    numbers.into_pyarray(py).reshape(shape.to_vec())
}

/// What `object`, an f32 array, holds.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Rows> {
    let array: PyReadonlyArrayDyn<'_, f32> = object.extract()?;
    let numbers = match array.as_slice() {
        Ok(numbers) => numbers.to_vec(),
        // Not in the order of C.
        Err(_) => array.as_array().iter().copied().collect(),
    };
    Rows::new(&Location::default(), array.shape(), numbers).map_err(raise)
}

/// Images `[N, C, H, W]`, their labels `[N]` and their indices in the data set as a batch.
pub(crate) fn batch(
    images: &PyReadonlyArray4<'_, f32>,
    labels: &PyReadonlyArray1<'_, i64>,
    ids: Vec<u64>,
) -> PyResult<Batch> {
    let shape = images.shape().to_vec();
    let pixels: Vec<f32> = images.as_array().iter().copied().collect();
    let labels: Vec<u32> = labels
        .as_array()
        .iter()
        .map(|label| {
            let problem = || format!("hold {label}, which is not a class number");
            u32::try_from(*label).map_err(|_| refuse("y", problem(), "number the classes from 0"))
        })
        .collect::<PyResult<_>>()?;
    if labels.len() != shape[0] || ids.len() != shape[0] {
        let problem = format!("has {} labels for {} images", labels.len(), shape[0]);
        return Err(refuse("y", problem, "give one class number per image"));
    }
    Ok(Batch {
        ids,
        images: Tensor::from_vec(pixels, shape, &Device::Cpu).map_err(|e| raise(e.into()))?,
        labels,
    })
}
