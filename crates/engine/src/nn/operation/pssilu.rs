//! The parametric shifted SiLU of Dai et al. (2021): `x (sigmoid(alpha x) - beta) / (1 - beta)`, with
//! absolute values of two trained numbers.

use candle_core::{Device, Tensor};

use super::{Kernels, OnGpu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::{Real, for_real, with_slice};

/// See [`super::Op::PsSilu`].
#[derive(Debug, Clone, Copy)]
pub struct PsSilu {
    alpha: f64,
    beta: f64,
}

impl PsSilu {
    /// The activation for trained values of either sign.
    pub fn new(alpha: f64, beta: f64) -> Self {
        Self { alpha: alpha.abs(), beta: beta.abs() }
    }
}

fn forward_cpu<T: Real>(layer: &PsSilu, x: &Tensor) -> Result<Tensor> {
    let (alpha, beta) = (T::from_f64(layer.alpha), T::from_f64(layer.beta));
    let one = T::one();
    let out = with_slice::<T, _>(x, |x| {
        let value = |x: &T| *x * (one / (one + (-alpha * *x).exp()) - beta) / (one - beta);
        Ok(x.iter().map(value).collect::<Vec<T>>())
    })?;
    Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
}

fn pullback_cpu<T: Real>(layer: &PsSilu, x: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (alpha, beta) = (T::from_f64(layer.alpha), T::from_f64(layer.beta));
    let one = T::one();
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(g, |g| {
            let slope = |x: T| {
                let s = one / (one + (-alpha * x).exp());
                (s + alpha * x * s * (one - s) - beta) / (one - beta)
            };
            Ok(g.iter().zip(x).map(|(g, x)| *g * slope(*x)).collect::<Vec<T>>())
        })
    })?;
    Ok(Tensor::from_vec(out, g.dims(), &Device::Cpu)?)
}

impl Unary for PsSilu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        for_real!(x, forward_cpu(self, x))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("pssilu")) };
        for_real!(x, pullback_cpu(self, x, g))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let sigmoid = ((x * -self.alpha)?.exp()? + 1.0)?.recip()?;
        Ok(((x * (sigmoid - self.beta)?)? / (1.0 - self.beta))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::map(3, from.len(), [self.alpha as f32, self.beta as f32]).into())
    }

    fn describe(&self) -> String {
        format!("pssilu alpha {:.4} beta {:.4}", self.alpha, self.beta)
    }
}
