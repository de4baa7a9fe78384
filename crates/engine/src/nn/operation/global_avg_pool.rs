//! Mean over the whole image.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::GlobalAvgPool`].
#[derive(Debug, Clone, Copy)]
pub struct GlobalAvgPool;

impl Unary for GlobalAvgPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        // A sum along the middle axis by candle is one addition after the other, image by image.
        Ok((x.reshape((n, h * w, c))?.sum(1)? / (h * w) as f64)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [h, w, c] = input.image("global pool")?;
        let n = g.dim(0)?;
        let share = (g / (h * w) as f64)?.reshape((n, 1, 1, c))?;
        Ok(share.broadcast_as((n, h, w, c))?.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.mean((2, 3))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(Shape::Flat(input.image("global pool")?[2]))
    }

    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        let [height, width, _] = input.image("global pool")?;
        Ok(Some(AffineForm::new(*self, *self, height * width)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let [h, w, c] = from.sides();
        let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
        let forward = slots![Slot::X(0), Slot::Y, count, c, h * w];
        let back = slots![Slot::G, Slot::Gx, all, c, h * w, Slot::Add];
        let forward = Launch::new("global_avg_pool", to.len(), forward);
        let back = Launch::new("global_avg_pool_pullback", from.len(), back);
        Ok(Kernels::new(forward, back).into())
    }

    fn describe(&self) -> String {
        "global average pool".into()
    }
}
