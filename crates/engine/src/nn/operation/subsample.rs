//! `x[:, ::step, ::step, :]`: the first half of the option-A shortcut of CIFAR ResNets (He et al. 2016,
//! section 3.3); [`super::PadChannels`] is the other one.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::Subsample`].
#[derive(Debug, Clone, Copy)]
pub struct Subsample(pub usize);

impl Subsample {
    fn indices(self, size: usize, like: &Tensor) -> Result<Tensor> {
        let kept: Vec<u32> = (0..size as u32).step_by(self.0).collect();
        Ok(Tensor::new(kept, like.device())?)
    }
}

impl Unary for Subsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, h, w, _) = x.dims4()?;
        Ok(x.index_select(&self.indices(h, x)?, 1)?.index_select(&self.indices(w, x)?, 2)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let ([h, w, c], (n, rows, _, _)) = (input.image("subsample")?, g.dims4()?);
        let wide = Tensor::zeros((n, rows, w, c), g.dtype(), g.device())?;
        let wide = wide.index_add(&self.indices(w, g)?, g, 2)?;
        let full = Tensor::zeros((n, h, w, c), g.dtype(), g.device())?;
        Ok(full.index_add(&self.indices(h, g)?, &wide, 1)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        Ok(x.index_select(&self.indices(h, x)?, 2)?.index_select(&self.indices(w, x)?, 3)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("subsample")?;
        Ok(Shape::of_image([height.div_ceil(self.0), width.div_ceil(self.0)], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let ([h, w, c], [oh, ow, _], step) = (from.sides(), to.sides(), self.0);
        let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
        let forward = slots![Slot::X(0), Slot::Y, count, h, w, c, oh, ow, step];
        let back = slots![Slot::G, Slot::Gx, all, h, w, c, oh, ow, step, Slot::Add];
        let forward = Launch::new("subsample", to.len(), forward);
        Ok(Kernels::new(forward, Launch::new("subsample_pullback", from.len(), back)).into())
    }

    fn describe(&self) -> String {
        format!("subsample {}", self.0)
    }
}
