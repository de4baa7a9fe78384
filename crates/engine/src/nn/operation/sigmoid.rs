//! `1 / (1 + exp(-x))`, the last step of a gate.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::Sigmoid`].
#[derive(Debug, Clone, Copy)]
pub struct Sigmoid;

impl Unary for Sigmoid {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.reference(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let y = self.forward(x)?;
        Ok((y.clone(), Saved::Tensor(y)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(y) = saved else { return Err(foreign("sigmoid")) };
        Ok((g * (y * y.affine(-1.0, 1.0)?)?)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x.neg()?.exp()? + 1.0)?.recip()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::map(2, from.len(), [0.0; 2]).into())
    }

    fn describe(&self) -> String {
        "sigmoid".into()
    }
}
