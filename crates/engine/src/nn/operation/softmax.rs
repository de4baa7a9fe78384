//! Probabilities from logits, along the channels of every pixel or of a vector: the last layer of ensembles that
//! average probabilities, and attention that is written out.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::Softmax`].
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl Unary for Softmax {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        per_image::rows([x], x.dims(), |[x], to| {
            let (most, first) = (x.iter().copied().fold(f64::NEG_INFINITY, f64::max), to.len());
            to.extend(x.iter().map(|x| (x - most).exp()));
            let total: f64 = to[first..].iter().sum();
            to[first..].iter_mut().for_each(|power| *power /= total);
        })
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let y = self.forward(x)?;
        Ok((y.clone(), Saved::Tensor(y)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(y) = saved else { return Err(foreign("softmax")) };
        per_image::rows([g, y], g.dims(), |[g, y], to| {
            let mean: f64 = g.iter().zip(y).map(|(g, y)| g * y).sum();
            to.extend(g.iter().zip(y).map(|(g, y)| y * (g - mean)));
        })
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let powers = x.broadcast_sub(&x.max_keepdim(1)?)?.exp()?;
        Ok(powers.broadcast_div(&powers.sum_keepdim(1)?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::of_rows(["softmax", "softmax_pullback"], from).into())
    }

    fn describe(&self) -> String {
        "softmax".into()
    }
}
