//! A convolution of single pixels and the GELU after it in one pass over memory. Programs for the CPU are rewritten
//! to have it; no file and no GPU knows it.

use candle_core::{DType, Tensor};

use super::{Conv2d, Gelu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::activation;
use crate::ops::conv2d::gelu;

/// See [`super::Op::ConvGelu`].
#[derive(Debug, Clone)]
pub struct ConvGelu(Conv2d);

impl ConvGelu {
    /// The convolution, without a ReLU, and a GELU; `None` if it is not one of single pixels.
    pub(in crate::nn) fn new(conv: &Conv2d) -> Option<Self> {
        (conv.is_per_pixel() && !conv.cuts()).then(|| Self(conv.clone()))
    }

    fn pull(&self, saved: &Saved, g: &Tensor, x: Shape, onto: Option<&Tensor>) -> Result<Tensor> {
        let Saved::Tensor(slope) = saved else { return Err(foreign("conv, gelu")) };
        if g.dtype() == DType::F32 {
            return gelu::pullback(g, slope, self.0.packed_backward()?, self.0.geometry(), onto);
        }
        self.0.pull(&activation::gelu_pullback(g, slope)?, x, onto)
    }
}

impl Unary for ConvGelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.dtype() == DType::F32 {
            let (packed, geo) = (self.0.packed_forward()?, self.0.geometry());
            return Ok(gelu::forward(x, packed, self.0.bias(), geo, false)?.0);
        }
        Unary::forward(&Gelu, &Unary::forward(&self.0, x)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        if x.dtype() == DType::F32 {
            let (packed, geo) = (self.0.packed_forward()?, self.0.geometry());
            let (y, slope) = gelu::forward(x, packed, self.0.bias(), geo, true)?;
            return Ok((y, slope.map_or(Saved::Nothing, Saved::Tensor)));
        }
        Unary::save(&Gelu, &Unary::forward(&self.0, x)?)
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        self.pull(saved, g, input, None)
    }

    fn pullback_onto(
        &self,
        saved: &Saved,
        g: &Tensor,
        input: Shape,
        onto: &Tensor,
    ) -> Result<Tensor> {
        self.pull(saved, g, input, Some(onto))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Unary::reference(&Gelu, &Unary::reference(&self.0, x)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Unary::shape(&self.0, input)
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        Unary::multiply_adds(&self.0, input)
    }

    fn describe(&self) -> String {
        format!("{}, gelu", Unary::describe(&self.0))
    }
}
