//! Logarithms of probabilities, from logits: along the channels of every pixel, or of a vector.

use candle_core::Tensor;

use super::reduce::log_sum_exp;
use super::{Kernels, OnGpu, Saved, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::LogSoftmax`].
#[derive(Debug, Clone, Copy)]
pub struct LogSoftmax;

impl Unary for LogSoftmax {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        per_image::rows([x], x.dims(), |[row], to| {
            let total = log_sum_exp(row);
            to.extend(row.iter().map(|x| x - total));
        })
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("log softmax")) };
        per_image::rows([x, g], x.dims(), |[row, g], to| {
            let (total, sum) = (log_sum_exp(row), g.iter().sum::<f64>());
            to.extend(row.iter().zip(g).map(|(x, g)| g - sum * (x - total).exp()));
        })
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let less = x.broadcast_sub(&x.max_keepdim(1)?.detach())?;
        Ok(less.broadcast_sub(&less.exp()?.sum_keepdim(1)?.log()?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::of_rows(["log_softmax", "log_softmax_pullback"], from).into())
    }

    fn describe(&self) -> String {
        "log softmax".into()
    }
}
