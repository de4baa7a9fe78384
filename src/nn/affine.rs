//! Scale and shift per channel, which is what a batch norm does in evaluation mode.

use candle_core::Tensor;

use super::bounds::{AffineForm, wide};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape};
use crate::error::Result;
use crate::ops::affine;

/// See [`Layer::Affine`].
#[derive(Debug, Clone)]
pub struct Affine {
    scale: Tensor,
    shift: Tensor,
}

impl Affine {
    /// `x * scale + shift`, both `[C]`.
    pub fn new(scale: Tensor, shift: Tensor) -> Self {
        Self { scale, shift }
    }

    /// An evaluation-mode batch norm: `(x - mean) / sqrt(var + eps) * weight + bias`, all `[C]`;
    /// `weight` and `bias` are absent in a norm without affine parameters.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn batch_norm(
        mean: &Tensor,
        var: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Self> {
        let inverse = (var + eps)?.sqrt()?.recip()?;
        let scale = match weight {
            Some(weight) => (weight * inverse)?,
            None => inverse,
        };
        let minus = (mean * &scale)?.neg()?;
        let shift = match bias {
            Some(bias) => (bias + minus)?,
            None => minus,
        };
        Ok(Self { scale, shift })
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Affine(self)
    }
}

impl Node for Affine {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        affine::scale_shift(x, &self.scale, Some(&self.shift))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        affine::scale_shift(g, &self.scale, None)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let along = |t: &Tensor| match x.rank() {
            4 => t.reshape((1, (), 1, 1)),
            _ => t.reshape((1, ())),
        };
        Ok(x.broadcast_mul(&along(&self.scale)?)?.broadcast_add(&along(&self.shift)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let channels = self.scale.elem_count();
        if input.channels() != channels {
            return Err(misfit("affine", format!("takes {channels} channels, gets {input}")));
        }
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let (scale, shift) = (wide(&self.scale)?, wide(&self.shift)?);
        Ok(Some(AffineForm {
            absolute: Self::new(scale.abs()?, shift.zeros_like()?).layer(),
            layer: Self::new(scale, shift).layer(),
            terms: 1,
        }))
    }

    fn describe(&self) -> String {
        format!("affine {}", self.scale.elem_count())
    }
}
