//! `[H, W, C]` to a vector in the order of published weights, (C, H, W).

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::layout;

/// See [`super::Op::Flatten`].
#[derive(Debug, Clone, Copy)]
pub struct Flatten;

impl Unary for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layout::nhwc_to_nchw(x)?.flatten_from(1)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [height, width, channels] = input.image("flatten")?;
        layout::nchw_to_nhwc(&g.reshape((g.dim(0)?, channels, height, width))?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.flatten_from(1)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        input.image("flatten")?;
        Ok(Shape::Flat(input.len()))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let ([h, w, c], len) = (from.sides(), from.len());
        let count = Slot::Count(len);
        let forward = slots![Slot::X(0), Slot::Y, count, c, h * w, false];
        let back = slots![Slot::G, Slot::Gx, count, c, h * w, Slot::Add];
        let forward = Launch::new("to_nchw", len, forward);
        Ok(Kernels::new(forward, Launch::new("to_nhwc", len, back)).into())
    }

    fn describe(&self) -> String {
        "flatten".into()
    }
}
