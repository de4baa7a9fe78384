//! Data sets of the formats that epsball reads, as arrays.

use epsball::data::{Dataset, Selection, Subset, open};
use epsball::ops::with_slice;
use numpy::{IntoPyArray as _, PyArray1, PyArrayDyn};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::errors::refuse;
use crate::{logging, wait};

/// Images `[N, C, H, W]`, labels `[N]` and indices in the data set `[N]` of what `spec` names: the first so many, every
/// so-manyth, or all.
#[pyfunction]
#[pyo3(signature = (spec, first=None, every=None))]
#[allow(clippy::type_complexity)]
pub(crate) fn read_images<'py>(
    py: Python<'py>,
    spec: &str,
    first: Option<usize>,
    every: Option<usize>,
) -> PyResult<(Bound<'py, PyArrayDyn<f32>>, Bound<'py, PyArray1<i64>>, Vec<u64>)> {
    logging::start();
    let selection = match (first, every) {
        (Some(_), Some(_)) => {
            return Err(refuse("every", "there is first too", "choose one of them"));
        }
        (Some(n), None) => Some(Selection::First(n)),
        (None, Some(k)) => Some(Selection::Every(k)),
        (None, None) => None,
    };
    let (pixels, shape, labels, ids) = wait::aside(py, |_| {
        let whole = open(spec)?;
        let data: Box<dyn Dataset> = match &selection {
            Some(selection) => Box::new(Subset::new(whole, selection)?),
            None => whole,
        };
        let batch = data.read(&(0..data.info().len).collect::<Vec<_>>())?;
        let pixels = with_slice::<f32, _>(&batch.images, |pixels| Ok(pixels.to_vec()))?;
        Ok((pixels, batch.images.dims().to_vec(), batch.labels, batch.ids))
    })?;
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    Ok((array(py, pixels, &shape)?, labels.into_pyarray(py), ids))
}
