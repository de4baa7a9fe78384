//! Elementwise activations.

use candle_core::Tensor;

use super::lower::{Lowered, Map, Op, Value};
use super::{Node, Saved, Shape, foreign};
use crate::error::Result;
use crate::ops::activation;

/// See [`super::Layer::Relu`].
#[derive(Debug, Clone, Copy)]
pub struct Relu;

impl Node for Relu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::relu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, positive) = activation::relu_saving(x)?;
        Ok((y, Saved::Bits(positive)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Bits(positive) = saved else { return Err(foreign("relu")) };
        activation::relu_pullback(g, positive)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.relu()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Affine { scale: None, shift: None, relu: true }, x)
    }

    fn describe(&self) -> String {
        "relu".into()
    }
}

/// See [`super::Layer::Silu`].
#[derive(Debug, Clone, Copy)]
pub struct Silu;

impl Node for Silu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::silu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((activation::silu(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("silu")) };
        activation::silu_pullback(g, x)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.silu()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Map(Map::Silu), x)
    }

    fn describe(&self) -> String {
        "silu".into()
    }
}

/// See [`super::Layer::Gelu`].
#[derive(Debug, Clone, Copy)]
pub struct Gelu;

impl Node for Gelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::gelu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, slope) = activation::gelu_saving(x)?;
        Ok((y, Saved::Tensor(slope)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Tensor(slope) = saved else { return Err(foreign("gelu")) };
        Ok((g * slope)?)
    }

    /// Not by candle's `gelu_erf`, whose gradient has a constant of seven digits.
    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let below = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
        Ok((x * (below * 0.5)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Map(Map::Gelu), x)
    }

    fn describe(&self) -> String {
        "gelu".into()
    }
}
