//! Data sets of a run whose images are asked for by their indices, as rows name them.

use std::collections::HashMap;

use crate::data::{self, Batch, Dataset};
use crate::error::{Error, Result};

/// An image set in which an image is found by its index.
pub(crate) struct Indexed {
    pub(crate) data: Box<dyn Dataset>,
    positions: HashMap<u64, usize>,
}

impl Indexed {
    /// Opens a data set as a suite names it.
    ///
    /// # Errors
    /// If it cannot be.
    pub(crate) fn open(spec: &str) -> Result<Self> {
        let data = data::open(spec)?;
        let positions = (0..data.info().len).map(|at| (data.id(at), at)).collect();
        Ok(Self { data, positions })
    }

    /// The images of these indices.
    ///
    /// # Errors
    /// If one is not there or cannot be read.
    pub(crate) fn read(&self, indices: &[u64]) -> Result<Batch> {
        let position = |idx: &u64| {
            self.positions.get(idx).copied().ok_or_else(|| {
                let name = &self.data.info().name;
                Error::setting(format!("image {idx} of {name}"), "there is none any more", "")
            })
        };
        self.data.read(&indices.iter().map(position).collect::<Result<Vec<_>>>()?)
    }
}
