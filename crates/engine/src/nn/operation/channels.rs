//! Some of the channels of an image or of the values of a vector: networks that split a value among branches
//! (Res2Net, ShuffleNet) read each part by one of these.

use candle_core::Tensor;

use super::tokens::part;
use super::{AffineForm, OnGpu, Saved, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Channels`].
#[derive(Debug, Clone, Copy)]
pub struct Channels {
    /// The first one.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Unary for Channels {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(x.rank() - 1, self.first, self.count)?.contiguous()?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let after = input.channels() - self.first - self.count;
        Ok(g.pad_with_zeros(g.rank() - 1, self.first, after)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(1, self.first, self.count)?.contiguous()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let end = self.first.checked_add(self.count);
        if self.count == 0 || end.is_none_or(|end| end > input.channels()) {
            return Err(misfit("channels", format!("{} are not in {input}", self.describe())));
        }
        Ok(input.with_channels(self.count))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        Ok(part(from, to, from.channels(), self.first, self.count).into())
    }

    fn describe(&self) -> String {
        format!(
            "channels {} to {}",
            self.first,
            self.first.saturating_add(self.count).saturating_sub(1)
        )
    }
}
