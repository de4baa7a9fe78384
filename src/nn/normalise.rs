//! The input normalisation of a published network. It is part of the network, so that attacks and
//! certificates speak of pixels in [0, 1].

use candle_core::Tensor;

use super::bounds::{AffineForm, wide};
use super::lower::{Lowered, Op, Value, numbers};
use super::shape::misfit;
use super::{Affine, Layer, Node, Saved, Shape};
use crate::error::Result;
use crate::ops::affine;

/// See [`Layer::Normalise`].
#[derive(Debug, Clone)]
pub struct Normalise {
    mean: Tensor,
    std: Tensor,
}

impl Normalise {
    /// `(x - mean) / std`, both `[C]`.
    pub fn new(mean: Tensor, std: Tensor) -> Self {
        Self { mean, std }
    }

    /// The mean of each channel.
    ///
    /// # Errors
    /// If the device fails.
    pub fn mean(&self) -> Result<Vec<f32>> {
        Ok(self.mean.to_dtype(candle_core::DType::F32)?.to_vec1()?)
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Normalise(self)
    }
}

impl Node for Normalise {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        affine::standardise(x, &self.mean, &self.std)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        affine::scale_shift(g, &self.std.recip()?, None, false)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let along = |t: &Tensor| t.reshape((1, (), 1, 1));
        Ok(x.broadcast_sub(&along(&self.mean)?)?.broadcast_div(&along(&self.std)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let channels = self.mean.elem_count();
        if input.channels() != channels {
            return Err(misfit("normalise", format!("takes {channels} channels, gets {input}")));
        }
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let (mean, std) = (wide(&self.mean)?, wide(&self.std)?);
        let absolute = Affine::new(std.recip()?.abs()?, std.zeros_like()?).layer();
        Ok(Some(AffineForm::new(Self::new(mean, std).layer(), absolute, 1)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let (mean, std) = (numbers(&self.mean)?, numbers(&self.std)?);
        to.apply(self, Op::Normalise { mean, std }, x)
    }

    fn describe(&self) -> String {
        let list = |t: &Tensor| {
            let t = t.to_dtype(candle_core::DType::F64).and_then(|t| t.to_vec1::<f64>());
            t.map_or_else(|e| e.to_string(), |v| format!("{v:.4?}"))
        };
        format!("normalise mean {} std {}", list(&self.mean), list(&self.std))
    }
}
