//! Standardisation of each image by its own mean and standard deviation, an input normalisation of a
//! few published networks. Unlike [`super::Normalise`] it depends on the image, so the gradient flows
//! through mean and deviation too.

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::Shape;

/// See [`super::Op::Standardise`].
#[derive(Debug, Clone, Copy)]
pub struct Standardise;

/// Mean of an image and its standard deviation (of a sample: divided by d - 1), which is at least
/// 1 / sqrt(d); `true` if it is that bound.
fn moments(image: &[f64]) -> (f64, f64, bool) {
    let d = image.len() as f64;
    let mean = image.iter().sum::<f64>() / d;
    let squares = image.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let (std, least) = ((squares / (d - 1.0)).sqrt(), d.sqrt().recip());
    if std > least { (mean, std, false) } else { (mean, least, true) }
}

impl Unary for Standardise {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        per_image::map([x], |[x]| {
            let (mean, std, _) = moments(x);
            x.iter().map(|x| (x - mean) / std).collect()
        })
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("standardise")) };
        per_image::map([g, x], |[g, x]| {
            let (mean, std, bounded) = moments(x);
            let d = x.len() as f64;
            let mean_g = g.iter().sum::<f64>() / d;
            let along: f64 = g.iter().zip(x).map(|(g, x)| g * (x - mean)).sum();
            let slope = if bounded { 0.0 } else { along / ((d - 1.0) * std.powi(3)) };
            g.iter().zip(x).map(|(g, x)| (g - mean_g) / std - (x - mean) * slope).collect()
        })
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let flat = x.flatten_from(1)?;
        let d = flat.dim(1)? as f64;
        let centred = flat.broadcast_sub(&flat.mean_keepdim(1)?)?;
        let std = (centred.sqr()?.sum_keepdim(1)? / (d - 1.0))?.sqrt()?;
        let std = std.maximum(&(std.zeros_like()? + d.sqrt().recip())?)?;
        Ok(centred.broadcast_div(&std)?.reshape(x.shape())?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        Ok(Kernels::of_whole(["standardise", "standardise_pullback"], from).into())
    }

    fn describe(&self) -> String {
        "standardise each image".into()
    }
}
