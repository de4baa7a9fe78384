//! Images one below the other: tokens that went through different layers become one list again.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Operation, Saved};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Stack`].
#[derive(Debug, Clone, Copy)]
pub struct Stack;

impl Operation for Stack {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let images = inputs.iter().map(|shape| shape.image("stack")).collect::<Result<Vec<_>>>()?;
        let Some([_, width, channels]) = images.first() else {
            return Err(misfit("stack", "there is nothing to put one below the other".into()));
        };
        if let Some([_, w, c]) = images.iter().find(|[_, w, c]| (w, c) != (width, channels)) {
            let problem = format!("puts {width} x {channels} and {w} x {c} one below the other");
            return Err(misfit("stack", problem));
        }
        let height = images.iter().map(|[height, _, _]| height).sum();
        Ok(Shape::of_image([height, *width], *channels))
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>> {
        let mut start = 0;
        let part = |input: &Shape| {
            let [height, _, _] = input.image("stack")?;
            let part = g.narrow(1, start, height)?.contiguous()?;
            start += height;
            Ok(part)
        };
        inputs.iter().map(part).collect()
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 2)?)
    }

    fn on_gpu(&self, inputs: &[Shape], _: Shape) -> Result<OnGpu> {
        let lengths: Vec<usize> = inputs.iter().map(|shape| shape.len()).collect();
        Ok(Kernels::side_by_side(inputs, &lengths).into())
    }

    fn describe(&self) -> String {
        "stack".into()
    }
}
