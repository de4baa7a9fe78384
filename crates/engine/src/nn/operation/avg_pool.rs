//! Mean over windows.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::pool::{self, Window};

/// See [`super::Op::AvgPool`].
#[derive(Debug, Clone, Copy)]
pub struct AvgPool(pub Window);

impl Unary for AvgPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool::average(x, self.0)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [height, width, _] = input.image("average pool")?;
        pool::average_pullback(g, self.0, [height, width])
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.avg_pool2d_with_stride(self.0.size, self.0.stride)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        windows(self.0, input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let terms = self.0.size * self.0.size;
        Ok(Some(AffineForm::new(*self, *self, terms)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let ([h, w, c], [oh, ow, _], Window { size, stride }) = (from.sides(), to.sides(), self.0);
        let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
        let forward = slots![Slot::X(0), Slot::Y, count, h, w, c, oh, ow, size, stride];
        let back = slots![Slot::G, Slot::Gx, all, h, w, c, oh, ow, size, stride, Slot::Add];
        let forward = Launch::new("avg_pool", to.len(), forward);
        Ok(Kernels::new(forward, Launch::new("avg_pool_pullback", from.len(), back)).into())
    }

    fn describe(&self) -> String {
        format!("average pool {} stride {}", self.0.size, self.0.stride)
    }
}

/// Shape of the outputs of windows.
pub(super) fn windows(window: Window, input: Shape) -> Result<Shape> {
    let [height, width, channels] = input.image("pool")?;
    let out = window.output(height, width).ok_or_else(|| {
        misfit("pool", format!("a window of {} does not fit into {input}", window.size))
    })?;
    Ok(Shape::of_image(out, channels))
}
