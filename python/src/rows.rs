//! The rows of an attack, batch after batch, as columns for NumPy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use epsball::work::AttackRow;
use numpy::IntoPyArray as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A row per image, as in the tables of the program.
#[pyclass(frozen, module = "epsball._epsball")]
#[derive(Default)]
pub(crate) struct AttackRows(Mutex<Vec<AttackRow>>);

impl AttackRows {
    pub(crate) fn get(&self) -> MutexGuard<'_, Vec<AttackRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl AttackRows {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        self.get().len()
    }

    /// Every column by its name in the tables of the program: arrays of NumPy, but `image`, `by` and `adversarial`,
    /// which are lists of texts.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let rows = self.get().clone();
        let columns = PyDict::new(py);
        macro_rules! numbers {
            ($($name:literal: $value:expr),* $(,)?) => {
                $(columns.set_item($name, rows.iter().map($value).collect::<Vec<_>>().into_pyarray(py))?;)*
            };
        }
        macro_rules! texts {
            ($($name:literal: $value:expr),* $(,)?) => {
                $(columns.set_item($name, rows.iter().map($value).collect::<Vec<&str>>())?;)*
            };
        }
        numbers!("idx": |row| row.idx as i64);
        texts!("image": |row| row.image.as_str());
        numbers!(
            "label": |row| i64::from(row.label),
            "clean": |row| i64::from(row.clean),
            // -1 where there is none: NumPy has no missing whole number.
            "target": |row| row.target.map_or(-1, i64::from),
        );
        texts!("by": |row| row.by.as_str());
        numbers!(
            "prediction": |row| i64::from(row.prediction),
            "found": |row| row.found == 1,
            "distance": |row| row.distance,
            "linf": |row| row.linf,
            "l2": |row| row.l2,
            "l1": |row| row.l1,
            "l0": |row| row.l0 as i64,
            "height": |row| row.height as i64,
            "width": |row| row.width as i64,
        );
        if rows.iter().any(|row| row.features.is_some()) {
            numbers!("features": |row| row.features.map_or(-1, |features| features as i64));
        }
        if rows.iter().any(|row| row.top.is_some()) {
            let number = |at: Option<Option<u64>>| at.flatten().map_or(-1, |at| at as i64);
            numbers!("top": |row| number(row.top), "left": |row| number(row.left));
        }
        texts!("adversarial": |row| row.adversarial.as_str());
        numbers!(
            "found_8bit": |row| row.found_8bit == 1,
            "forwards": |row| row.forwards as i64,
            "backwards": |row| row.backwards as i64,
            "seconds": |row| row.seconds,
        );
        Ok(columns)
    }
}
