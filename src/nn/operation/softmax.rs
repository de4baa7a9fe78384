//! Probabilities from logits: the last layer of ensembles that average probabilities.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Softmax`].
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl Unary for Softmax {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        per_image::map([x], |[x]| {
            let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = x.iter().map(|x| (x - most).exp()).collect();
            let total: f64 = powers.iter().sum();
            powers.into_iter().map(|power| power / total).collect()
        })
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let y = self.forward(x)?;
        Ok((y.clone(), Saved::Tensor(y)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(y) = saved else { return Err(foreign("softmax")) };
        per_image::map([g, y], |[g, y]| {
            let mean: f64 = g.iter().zip(y).map(|(g, y)| g * y).sum();
            g.iter().zip(y).map(|(g, y)| y * (g - mean)).collect()
        })
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let powers = x.broadcast_sub(&x.max_keepdim(1)?)?.exp()?;
        Ok(powers.broadcast_div(&powers.sum_keepdim(1)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        match input {
            Shape::Flat(_) => Ok(input),
            other => Err(misfit("softmax", format!("needs a vector, gets {other}"))),
        }
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::of_whole(["softmax", "softmax_pullback"], from).into())
    }

    fn describe(&self) -> String {
        "softmax".into()
    }
}
