//! The same numbers of an image, in the order of NHWC, under another shape of as many numbers: what other
//! frameworks call a reshape, if the values in between are in that order.

use candle_core::Tensor;

use super::{AffineForm, Kernels, OnGpu, Saved, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::View`].
#[derive(Debug, Clone, Copy)]
pub struct View(pub Shape);

impl Unary for View {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.reshape(self.0.batch(x.dim(0)?))?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        Ok(g.reshape(input.batch(g.dim(0)?))?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        from_nhwc(&to_nhwc(x)?.reshape(self.0.batch(x.dim(0)?))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if input.len() != self.0.len() {
            return Err(misfit("view", format!("of {input} as {} has other numbers", self.0)));
        }
        Ok(self.0)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::moves(from, self.0, None, 0.0).into())
    }

    fn describe(&self) -> String {
        format!("view as {}", self.0)
    }
}

/// Images of candle's order in the engine's; vectors are the same in both.
pub(super) fn to_nhwc(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.permute((0, 2, 3, 1))?.contiguous()? } else { x.clone() })
}

/// The other way round.
pub(super) fn from_nhwc(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.permute((0, 3, 1, 2))?.contiguous()? } else { x.clone() })
}
