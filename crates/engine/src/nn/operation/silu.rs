//! `x * sigmoid(x)`, also called swish.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::activation;

/// See [`super::Op::Silu`].
#[derive(Debug, Clone, Copy)]
pub struct Silu;

impl Unary for Silu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::silu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((activation::silu(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("silu")) };
        activation::silu_pullback(g, x)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.silu()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::map(0, from.len(), [0.0; 2]).into())
    }

    fn describe(&self) -> String {
        "silu".into()
    }
}
