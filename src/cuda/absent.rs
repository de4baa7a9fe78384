//! What stands in for GPUs in a program without CUDA: there is none, so nothing here is ever called.

use std::convert::Infallible;

use candle_core::Tensor;

use super::Noisy;
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Layer;

/// Number of GPUs.
pub(crate) fn count() -> usize {
    0
}

/// A network on a GPU, of which there is none.
#[derive(Debug)]
pub(crate) struct Network(Infallible);

/// A batch on a GPU.
#[derive(Debug)]
pub(crate) struct Linearised(Infallible);

#[allow(clippy::unused_self)]
impl Network {
    pub(crate) fn open(_: &Layer, _: [usize; 3], _: usize, _: &[usize]) -> Result<Self> {
        Err(crate::Error::setting("device cuda", "this epsball was built without CUDA", ""))
    }

    pub(crate) fn lanes(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn batch(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn logits(&self, _: &Tensor, _: Precision) -> Result<Tensor> {
        match self.0 {}
    }

    pub(crate) fn gradient(
        &self,
        _: &Tensor,
        _: Precision,
        _: &dyn Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        match self.0 {}
    }

    pub(crate) fn linearise(&self, _: &Tensor, _: Precision) -> Result<(Tensor, Linearised)> {
        match self.0 {}
    }

    pub(crate) fn pull(&self, at: &Linearised, _: &Tensor) -> Result<Tensor> {
        match at.0 {}
    }

    pub(crate) fn noisy_classes(&self, _: &Noisy<'_>, _: Precision) -> Result<Vec<Option<u32>>> {
        match self.0 {}
    }
}
