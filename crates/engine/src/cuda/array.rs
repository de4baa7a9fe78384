//! Batches that stay on a GPU: what attacks compute with between two passes of a network there.

use std::sync::Arc;

use super::Argument;
use super::gpu::{Gpu, Memory, NONE, arguments, size};
use crate::error::Result;

/// A GPU as the place of batches.
#[derive(Clone)]
pub(crate) struct SharedGpu(pub(super) Arc<Gpu>);

/// f32 numbers in the memory of a GPU; clones share them until one is written to.
#[derive(Clone)]
pub(crate) struct Array {
    home: SharedGpu,
    memory: Arc<Memory>,
    len: usize,
}

impl SharedGpu {
    /// `len` numbers, not initialised.
    pub(crate) fn array(&self, len: usize) -> Result<Array> {
        let memory = Arc::new(self.0.allocate(len * size_of::<f32>())?);
        Ok(Array { home: self.clone(), memory, len })
    }

    /// A copy of `numbers`.
    pub(crate) fn upload(&self, numbers: &[f32]) -> Result<Array> {
        let array = self.array(numbers.len())?;
        self.0.write(array.memory.at(), numbers)?;
        Ok(array)
    }

    /// Starts kernel `name` with a block for each of `rows` rows: it writes `outputs`, reads `inputs`, some
    /// of which may be left out, and is given `width` and the other arguments.
    pub(crate) fn launch(
        &self,
        name: &'static str,
        [rows, width]: [usize; 2],
        (outputs, inputs): (&[&Array], &[Option<&Array>]),
        rest: &[Argument],
    ) -> Result<()> {
        let outputs = outputs.iter().map(|array| array.memory.at());
        let inputs = inputs.iter().map(|array| array.map_or(NONE, |array| array.memory.at()));
        let mut all: Vec<Argument> = outputs.chain(inputs).map(Argument::from).collect();
        all.push(width.into());
        all.extend(rest);
        self.0.launch_rows(name, [rows, width], &all)
    }
}

impl Array {
    /// Where it is.
    pub(crate) fn gpu(&self) -> &SharedGpu {
        &self.home
    }

    /// Its address.
    pub(super) fn at(&self) -> u64 {
        self.memory.at()
    }

    /// Its numbers, after all that was asked for before.
    pub(crate) fn read(&self) -> Result<Vec<f32>> {
        let mut numbers = vec![0.0; self.len];
        self.home.0.read(self.memory.at(), &mut numbers)?;
        Ok(numbers)
    }

    /// Ready to be written to: shared numbers are copied.
    pub(crate) fn unshared(&mut self) -> Result<&Self> {
        if Arc::get_mut(&mut self.memory).is_none() {
            let own = self.home.array(self.len)?;
            self.home.0.copy(self.memory.at(), own.memory.at(), self.memory.bytes())?;
            *self = own;
        }
        Ok(self)
    }

    /// The rows `keep`, of `width` numbers each.
    pub(crate) fn select(&self, keep: &[usize], width: usize) -> Result<Self> {
        let gpu = &self.home.0;
        let numbers: Vec<i32> = keep.iter().map(|row| *row as i32).collect();
        let (which, chosen) = (gpu.upload(&numbers)?, self.home.array(keep.len() * width)?);
        let total = keep.len() * width;
        let arguments = arguments![self.at(), which.at(), chosen.at(), size(total), width];
        gpu.launch("gather", total, &arguments)?;
        Ok(chosen)
    }
}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Array").field("len", &self.len).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SharedGpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedGpu").finish_non_exhaustive()
    }
}
