//! Layer norm along the channels of every pixel, or of a vector.

use candle_core::Tensor;

use super::lower::{Lowered, Op, Row, Value, numbers};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;
use crate::ops::layer_norm;

/// See [`Layer::LayerNorm`].
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

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::LayerNorm(self)
    }
}

impl Node for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm::forward(x, &self.weight, &self.bias, self.eps)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
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

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let (weight, bias) = (numbers(&self.weight)?, numbers(&self.bias)?);
        to.apply(self, Op::Row(Row::LayerNorm { weight, bias, eps: self.eps }), x)
    }

    fn describe(&self) -> String {
        format!("layer norm {} eps {:e}", self.weight.elem_count(), self.eps)
    }
}
