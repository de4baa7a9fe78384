//! A trained token before the pixels of an image, which become a list of tokens: an image one pixel wide.

use candle_core::Tensor;

use super::affine_form::wide;
use super::on_gpu::{numbers, slots};
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::ClassToken`].
#[derive(Debug, Clone)]
pub struct ClassToken(Tensor);

impl ClassToken {
    /// The token, `[C]`.
    pub fn new(token: Tensor) -> Self {
        Self(token)
    }
}

impl Unary for ClassToken {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let token = self.0.reshape((1, 1, 1, c))?.broadcast_as((n, 1, 1, c))?;
        Ok(Tensor::cat(&[token.contiguous()?, x.reshape((n, h * w, 1, c))?], 1)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [h, w, c] = input.image("class token")?;
        let pixels = g.narrow(1, 1, h * w)?.contiguous()?;
        Ok(pixels.reshape((g.dim(0)?, h, w, c))?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let token = self.0.reshape((1, c, 1, 1))?.broadcast_as((n, c, 1, 1))?;
        Ok(Tensor::cat(&[token.contiguous()?, x.reshape((n, c, h * w, 1))?], 2)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("class token")?;
        if self.0.elem_count() != channels {
            let own = self.0.elem_count();
            return Err(misfit("class token", format!("has {own} channels, gets {input}")));
        }
        Ok(Shape::of_image([1 + height * width, 1], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let token = wide(&self.0)?;
        let absolute = Self(token.zeros_like()?);
        Ok(Some(AffineForm::new(Self(token), absolute, 1)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let token = numbers(&self.0)?;
        let (length, count, all) = (token.len(), Slot::Count(to.len()), Slot::Count(from.len()));
        let forward = slots![Slot::Constant(0), Slot::X(0), Slot::Y, count, length, from.len()];
        let back = slots![Slot::G, Slot::Gx, all, to.len(), length, from.len(), Slot::Add];
        let forward = Launch::new("before", to.len(), forward);
        Ok(Kernels::new(forward, Launch::new("part", from.len(), back)).with([token]).into())
    }

    fn describe(&self) -> String {
        "class token".into()
    }
}
