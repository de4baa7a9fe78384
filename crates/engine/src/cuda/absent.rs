//! What stands in for GPUs in a program without CUDA: there is none, so nothing here is ever called.

use std::convert::Infallible;

use super::{Argument, GpuFacts, Noisy};
use crate::device::Precision;
use crate::error::Result;
use crate::loss::Loss;
use crate::nn::Program;

/// Number of GPUs.
pub fn count() -> usize {
    0
}

/// What the driver can run.
pub fn driver() -> Option<String> {
    None
}

/// Every GPU.
pub fn survey() -> Vec<Result<GpuFacts>> {
    Vec::new()
}

/// A network on a GPU, of which there is none.
#[derive(Debug)]
pub(crate) struct Network(Infallible);

/// A batch on a GPU.
#[derive(Debug)]
pub(crate) struct Linearised(Infallible);

/// A GPU as the place of batches.
#[derive(Debug, Clone)]
pub(crate) struct SharedGpu(Infallible);

/// A batch that stays on a GPU.
#[derive(Debug, Clone)]
pub(crate) struct Array(Infallible);

impl SharedGpu {
    pub(crate) fn array(&self, _: usize) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn upload(&self, _: &[f32]) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn launch(
        &self,
        _: &'static str,
        _: [usize; 2],
        _: (&[&Array], &[Option<&Array>]),
        _: &[Argument],
    ) -> Result<()> {
        match self.0 {}
    }
}

impl Array {
    pub(crate) fn gpu(&self) -> &SharedGpu {
        match self.0 {}
    }

    pub(crate) fn read(&self) -> Result<Vec<f32>> {
        match self.0 {}
    }

    pub(crate) fn unshared(&mut self) -> Result<&Self> {
        match self.0 {}
    }

    pub(crate) fn select(&self, _: &[usize], _: usize) -> Result<Self> {
        match self.0 {}
    }
}

#[allow(clippy::unused_self)]
impl Network {
    pub(crate) fn open(_: &Program, _: usize, _: &[usize], _: Precision) -> Result<Self> {
        Err(crate::Error::setting("device cuda", "this epsball was built without CUDA", ""))
    }

    pub(crate) fn open_beside(&self, _: &Program, _: usize, _: Precision) -> Result<Self> {
        match self.0 {}
    }

    pub(crate) fn lanes(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn batch(&self, _: Precision) -> usize {
        match self.0 {}
    }

    pub(crate) fn noisy_classes(&self, _: &Noisy<'_>, _: Precision) -> Result<Vec<Option<u32>>> {
        match self.0 {}
    }

    pub(crate) fn gpu(&self) -> SharedGpu {
        match self.0 {}
    }

    pub(crate) fn logits(&self, _: &Array, _: usize, _: Precision) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn evaluate(
        &self,
        _: (&Array, &Array, Option<&Array>),
        _: usize,
        _: Precision,
        _: Loss,
    ) -> Result<[Array; 3]> {
        match self.0 {}
    }

    pub(crate) fn linearise(
        &self,
        _: &Array,
        _: usize,
        _: Precision,
    ) -> Result<(Array, Linearised)> {
        match self.0 {}
    }

    pub(crate) fn pull(&self, at: &Linearised, _: &Array) -> Result<Array> {
        match at.0 {}
    }
}
