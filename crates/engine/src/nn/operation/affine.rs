//! Scale and shift per channel, which is what a batch norm does in evaluation mode.

use candle_core::{DType, Tensor};

use super::affine_form::wide;
use super::on_gpu::{numbers, slots};
use super::{AffineForm, Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::{activation, affine};

/// See [`super::Op::Affine`].
#[derive(Debug, Clone)]
pub struct Affine {
    scale: Tensor,
    shift: Tensor,
    /// A ReLU is part of it.
    relu: bool,
    /// The output is stored in bf16.
    narrow: bool,
}

impl Affine {
    /// `x * scale + shift`, both `[C]`.
    pub fn new(scale: Tensor, shift: Tensor) -> Self {
        Self { scale, shift, relu: false, narrow: false }
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
        Ok(Self::new(scale, shift))
    }

    /// Factors, `[C]`.
    pub(super) fn scale(&self) -> &Tensor {
        &self.scale
    }

    /// Summands, `[C]`.
    pub(super) fn shift(&self) -> &Tensor {
        &self.shift
    }

    /// Factor and summand, if all channels have the same and no ReLU is part of it.
    pub(in crate::nn) fn uniform(&self) -> Option<[f64; 2]> {
        let one = |t: &Tensor| {
            let numbers: Vec<f64> = t.to_dtype(DType::F64).ok()?.to_vec1().ok()?;
            let first = *numbers.first()?;
            numbers.iter().all(|number| *number == first).then_some(first)
        };
        (!self.relu).then(|| Some([one(&self.scale)?, one(&self.shift)?])).flatten()
    }

    /// This layer and a ReLU after it as one.
    pub(in crate::nn) fn cut(&self) -> Self {
        Self { relu: true, ..self.clone() }
    }

    /// This layer without the ReLU that is part of it; `None` if there is none.
    pub(in crate::nn) fn uncut(&self) -> Option<Self> {
        self.relu.then(|| Self { relu: false, ..self.clone() })
    }

    /// The same, stored in bf16.
    pub(in crate::nn) fn narrow(&self) -> Self {
        Self { narrow: true, ..self.clone() }
    }

    /// Whether a ReLU is part of it.
    pub(in crate::nn) fn cuts(&self) -> bool {
        self.relu
    }
}

impl Unary for Affine {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        affine::scale_shift(x, &self.scale, Some(&self.shift), self.relu, self.narrow)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let y = self.forward(x)?;
        let saved = if self.relu { Saved::Bits(activation::positive(&y)?) } else { Saved::Nothing };
        Ok((y, saved))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let g = match saved {
            Saved::Bits(positive) if self.relu => &activation::relu_pullback(g, positive)?,
            _ => g,
        };
        affine::scale_shift(g, &self.scale, None, false, false)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let along = |t: &Tensor| match x.rank() {
            4 => t.reshape((1, (), 1, 1)),
            _ => t.reshape((1, ())),
        };
        let y = x.broadcast_mul(&along(&self.scale)?)?.broadcast_add(&along(&self.shift)?)?;
        Ok(if self.relu { y.relu()? } else { y })
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
        let absolute = Self::new(scale.abs()?, shift.zeros_like()?);
        Ok(Some(AffineForm::new(Self::new(scale, shift), absolute, 1)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (len, channels) = (from.len(), from.channels());
        let (bits, count) = (Slot::Kept(0), Slot::Count(len));
        let [scale, shift] = [0, 1].map(Slot::Constant);
        let forward = slots![Slot::X(0), scale, shift, Slot::Y, bits, count, channels, self.relu];
        let back = slots![Slot::G, scale, bits, Slot::Gx, count, channels, Slot::Add];
        let forward = Launch::eights("affine", len, forward);
        let kernels = Kernels::new(forward, Launch::eights("affine_pullback", len, back))
            .with([numbers(&self.scale)?, numbers(&self.shift)?]);
        Ok(kernels.keeping(if self.relu { Keeps::Bits } else { Keeps::Nothing }).into())
    }

    fn describe(&self) -> String {
        format!("affine {}", self.scale.elem_count())
    }
}
