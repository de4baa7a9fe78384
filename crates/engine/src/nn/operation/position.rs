//! A trained image that is added to every image: the positions of tokens.

use candle_core::Tensor;

use super::affine_form::wide;
use super::on_gpu::{numbers, slots};
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Position`].
#[derive(Debug, Clone)]
pub struct Position(Tensor);

impl Position {
    /// What is added to every image, `[H, W, C]`.
    pub fn new(embedding: Tensor) -> Self {
        Self(embedding)
    }
}

impl Unary for Position {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_add(&self.0)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        Ok(g.clone())
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_add(&self.0.permute((2, 0, 1))?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let (height, width, channels) = self.0.dims3()?;
        let own = Shape::of_image([height, width], channels);
        if input != own {
            return Err(misfit("position embedding", format!("is for {own}, gets {input}")));
        }
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let embedding = wide(&self.0)?;
        let absolute = Self(embedding.zeros_like()?);
        Ok(Some(AffineForm::new(Self(embedding), absolute, 1)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (numbers, len) = (numbers(&self.0)?, from.len());
        let forward = slots![Slot::X(0), Slot::Constant(0), Slot::Y, Slot::Count(len), len];
        let forward = Launch::new("add_constant", len, forward);
        Ok(Kernels::new(forward, Launch::scaled_cotangent(len, 1.0)).with([numbers]).into())
    }

    fn describe(&self) -> String {
        "position embedding".into()
    }
}
