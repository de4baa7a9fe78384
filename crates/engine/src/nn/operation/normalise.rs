//! The input normalisation of a published network. It is part of the network, so that attacks and
//! certificates speak of pixels in [0, 1].

use candle_core::Tensor;

use super::affine_form::wide;
use super::on_gpu::{numbers, slots};
use super::{Affine, AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::affine;

/// See [`super::Op::Normalise`].
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
}

impl Unary for Normalise {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        affine::standardise(x, &self.mean, &self.std)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        affine::scale_shift(g, &self.std.recip()?, None, false, false)
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
        let absolute = Affine::new(std.recip()?.abs()?, std.zeros_like()?);
        Ok(Some(AffineForm::new(Self::new(mean, std), absolute, 1)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (mean, std) = (numbers(&self.mean)?, numbers(&self.std)?);
        let inverse: Vec<f32> = std.iter().map(|std| 1.0 / std).collect();
        let (len, channels, count) = (from.len(), from.channels(), Slot::Count(from.len()));
        let constants = [0, 1, 2].map(Slot::Constant);
        let forward = slots![Slot::X(0), constants[0], constants[1], Slot::Y, count, channels];
        let none = Slot::Nowhere;
        let back = slots![Slot::G, constants[2], none, Slot::Gx, count, channels, Slot::Add];
        let forward = Launch::new("normalise", len, forward);
        let back = Launch::eights("affine_pullback", len, back);
        Ok(Kernels::new(forward, back).with([mean, std, inverse]).into())
    }

    fn describe(&self) -> String {
        let list = |t: &Tensor| {
            let t = t.to_dtype(candle_core::DType::F64).and_then(|t| t.to_vec1::<f64>());
            t.map_or_else(|e| e.to_string(), |v| format!("{v:.4?}"))
        };
        format!("normalise mean {} std {}", list(&self.mean), list(&self.std))
    }
}
