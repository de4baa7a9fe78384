//! `max(x, 0)`. The pullback keeps a bit per element.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::activation;

/// See [`super::Op::Relu`].
#[derive(Debug, Clone, Copy)]
pub struct Relu;

impl Unary for Relu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::relu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, positive) = activation::relu_saving(x)?;
        Ok((y, Saved::Bits(positive)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Bits(positive) = saved else { return Err(foreign("relu")) };
        activation::relu_pullback(g, positive)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.relu()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (len, channels, none) = (from.len(), from.channels(), Slot::Nowhere);
        let (bits, count) = (Slot::Kept(0), Slot::Count(len));
        let forward = slots![Slot::X(0), none, none, Slot::Y, bits, count, channels, true];
        let back = slots![Slot::G, none, bits, Slot::Gx, count, channels, Slot::Add];
        let forward = Launch::eights("affine", len, forward);
        let back = Launch::eights("affine_pullback", len, back);
        Ok(Kernels::new(forward, back).keeping(Keeps::Bits).into())
    }

    fn describe(&self) -> String {
        "relu".into()
    }
}
