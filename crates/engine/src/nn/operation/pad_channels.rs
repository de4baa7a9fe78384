//! Zero channels before and after those of an image: the second half of the option-A shortcut of CIFAR
//! ResNets, whose first one is [`super::Subsample`].

use candle_core::Tensor;

use super::pad_pixels::padding;
use super::{AffineForm, OnGpu, Saved, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::PadChannels`].
#[derive(Debug, Clone, Copy)]
pub struct PadChannels {
    /// Zero channels in front.
    pub before: usize,
    /// Zero channels behind.
    pub after: usize,
}

impl Unary for PadChannels {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(3, self.before, self.after)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        Ok(g.narrow(3, self.before, input.channels())?.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(1, self.before, self.after)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("pad channels")?;
        Ok(Shape::of_image([height, width], channels + self.before + self.after))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        Ok(padding(from, to, [0, 0, self.before]).into())
    }

    fn describe(&self) -> String {
        format!("pad channels {} + {}", self.before, self.after)
    }
}
