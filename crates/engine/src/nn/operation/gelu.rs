//! `x Phi(x)`, Phi the standard normal distribution. The pullback keeps the derivative, which has all but one
//! exponential in common with the value.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::activation;

/// See [`super::Op::Gelu`].
#[derive(Debug, Clone, Copy)]
pub struct Gelu;

impl Unary for Gelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        activation::gelu(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, slope) = activation::gelu_saving(x)?;
        Ok((y, Saved::Tensor(slope)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(slope) = saved else { return Err(foreign("gelu")) };
        activation::gelu_pullback(g, slope)
    }

    /// Not by candle's `gelu_erf`, whose gradient has a constant of seven digits.
    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let below = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
        Ok((x * (below * 0.5)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::map(1, from.len(), [0.0; 2]).into())
    }

    fn describe(&self) -> String {
        "gelu".into()
    }
}
