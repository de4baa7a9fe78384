//! Zero pixels around an image, for layers that do not pad themselves.

use candle_core::Tensor;

use super::bounds::AffineForm;
use super::lower::{Lowered, Op, Value};
use super::{Layer, Node, Saved, Shape};
use crate::error::Result;
use crate::ops::conv2d::Padding;

/// See [`Layer::PadPixels`].
#[derive(Debug, Clone, Copy)]
pub struct PadPixels(pub usize);

impl PadPixels {
    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::PadPixels(self)
    }
}

impl Node for PadPixels {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(1, self.0, self.0)?.pad_with_zeros(2, self.0, self.0)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        let (_, h, w, _) = g.dims4()?;
        let inside = g.narrow(1, self.0, h - 2 * self.0)?.narrow(2, self.0, w - 2 * self.0)?;
        Ok(inside.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(2, self.0, self.0)?.pad_with_zeros(3, self.0, self.0)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("pad pixels")?;
        Ok(Shape::of_image([height + 2 * self.0, width + 2 * self.0], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(self.layer())))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Pad { pixels: Padding::all(self.0), channels: [0, 0] }, x)
    }

    fn describe(&self) -> String {
        format!("pad pixels {}", self.0)
    }
}
