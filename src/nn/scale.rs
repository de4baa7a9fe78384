//! A constant factor: the mean of several branches is their sum times one.

use candle_core::Tensor;

use super::bounds::AffineForm;
use super::lower::{Lowered, Op, Value};
use super::{Layer, Node, Saved, Shape};
use crate::error::Result;

/// See [`super::Layer::Scale`].
#[derive(Debug, Clone, Copy)]
pub struct Scale(pub f64);

impl Node for Scale {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.affine(self.0, 0.0)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        self.forward(g)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let absolute = Layer::Scale(Self(self.0.abs()));
        Ok(Some(AffineForm::new(Layer::Scale(*self), absolute, 1)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Scale(self.0 as f32), x)
    }

    fn describe(&self) -> String {
        format!("scale {:.4}", self.0)
    }
}
