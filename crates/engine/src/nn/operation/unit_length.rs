//! Vectors scaled to unit L2 length: with rows of unit length behind them, logits are cosines.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// Shorter vectors are divided by this, as in published frameworks.
const SHORTEST: f64 = 1e-12;

/// See [`super::Op::UnitLength`].
#[derive(Debug, Clone, Copy)]
pub struct UnitLength;

impl UnitLength {
    /// A weight `[O, I]` with rows of unit length.
    ///
    /// # Errors
    /// If the tensor is not on the CPU.
    pub fn of_rows(self, weight: &Tensor) -> Result<Tensor> {
        self.forward(weight)
    }
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|v| v.powi(2)).sum::<f64>().sqrt()
}

impl Unary for UnitLength {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        per_image::map([x], |[x]| {
            let length = length(x).max(SHORTEST);
            x.iter().map(|x| x / length).collect()
        })
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("unit length")) };
        per_image::map([g, x], |[g, x]| {
            let length = length(x);
            let along: f64 = g.iter().zip(x).map(|(g, x)| g * x).sum();
            let slope = if length > SHORTEST { along / length.powi(3) } else { 0.0 };
            g.iter().zip(x).map(|(g, x)| g / length.max(SHORTEST) - x * slope).collect()
        })
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let length = x.sqr()?.sum_keepdim(1)?.sqrt()?;
        let length = length.maximum(&(length.zeros_like()? + SHORTEST)?)?;
        Ok(x.broadcast_div(&length)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        match input {
            Shape::Flat(_) => Ok(input),
            other => Err(misfit("unit length", format!("needs a vector, gets {other}"))),
        }
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::of_whole(["unit_length", "unit_length_pullback"], from).into())
    }

    fn describe(&self) -> String {
        "unit length".into()
    }
}
