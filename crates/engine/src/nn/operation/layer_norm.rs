//! Layer norm along the channels of every pixel, or of a vector.

use candle_core::Tensor;

use super::on_gpu::{numbers, slots};
use super::{Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::layer_norm;

/// See [`super::Op::LayerNorm`].
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias`, with `weight` and `bias` `[C]`.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }
}

impl Unary for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm::forward(x, &self.weight, &self.bias, self.eps)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("layer norm")) };
        layer_norm::pullback(g, x, &self.weight, self.eps)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let along = |t: &Tensor| match x.rank() {
            4 => t.reshape((1, (), 1, 1)),
            _ => t.reshape((1, ())),
        };
        let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
        let std = (centred.sqr()?.mean_keepdim(1)? + self.eps)?.sqrt()?;
        let normal = centred.broadcast_div(&std)?;
        Ok(normal.broadcast_mul(&along(&self.weight)?)?.broadcast_add(&along(&self.bias)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let channels = self.weight.elem_count();
        if input.channels() != channels {
            return Err(misfit("layer norm", format!("takes {channels} channels, gets {input}")));
        }
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let length = from.channels();
        let rows = from.len() / length.max(1);
        let [weight, bias] = [0, 1].map(Slot::Constant);
        let count = Slot::Count(rows);
        let forward = slots![Slot::X(0), weight, bias, Slot::Y, count, length, self.eps];
        let back =
            slots![Slot::X(0), Slot::G, weight, Slot::Gx, count, length, self.eps, Slot::Add];
        let forward = Launch::new("layer_norm", rows, forward);
        let kernels = Kernels::new(forward, Launch::new("layer_norm_pullback", rows, back))
            .with([numbers(&self.weight)?, numbers(&self.bias)?]);
        Ok(kernels.keeping(Keeps::Inputs).into())
    }

    fn describe(&self) -> String {
        format!("layer norm {} eps {:e}", self.weight.elem_count(), self.eps)
    }
}
