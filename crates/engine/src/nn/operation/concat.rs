//! Values side by side along the channels: dense and multi-branch networks.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Operation, Saved};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Concat`].
#[derive(Debug, Clone, Copy)]
pub struct Concat;

impl Operation for Concat {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let Some(first) = inputs.first() else {
            return Err(misfit("concat", "there is nothing to put side by side".into()));
        };
        // Equal but for the channels.
        let fits = |shape: &&Shape| shape.with_channels(first.channels()) != *first;
        if let Some(other) = inputs.iter().find(fits) {
            return Err(misfit("concat", format!("puts {first} and {other} side by side")));
        }
        Ok(first.with_channels(inputs.iter().map(|shape| shape.channels()).sum()))
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let last = inputs.first().map_or(0, |x| x.rank() - 1);
        Ok(Tensor::cat(inputs, last)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>> {
        let mut start = 0;
        let part = |input: &Shape| {
            let part = g.narrow(g.rank() - 1, start, input.channels())?.contiguous()?;
            start += input.channels();
            Ok(part)
        };
        inputs.iter().map(part).collect()
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn on_gpu(&self, inputs: &[Shape], _: Shape) -> Result<OnGpu> {
        let lengths: Vec<usize> = inputs.iter().map(|shape| shape.channels()).collect();
        Ok(Kernels::side_by_side(inputs, &lengths).into())
    }

    fn describe(&self) -> String {
        "concat".into()
    }
}
