//! A constant factor: the mean of several branches is their sum times one.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::Scale`].
#[derive(Debug, Clone, Copy)]
pub struct Scale(pub f64);

impl Unary for Scale {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.affine(self.0, 0.0)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        self.forward(g)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::new(*self, Self(self.0.abs()), 1)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (len, factor) = (from.len(), self.0 as f32);
        let forward = slots![Slot::X(0), factor, Slot::Y, Slot::Count(len), false];
        let forward = Launch::eights("scale", len, forward);
        Ok(Kernels::new(forward, Launch::scaled_cotangent(len, factor)).into())
    }

    fn describe(&self) -> String {
        format!("scale {:.4}", self.0)
    }
}
