//! A convolution and the sum of what it makes with another value, cut at 0 if a ReLU follows: the end of a residual
//! block in one pass over memory. Programs for the CPU are rewritten to have it; no file and no GPU knows it.

use candle_core::Tensor;

use super::{Conv2d, OnGpu, Operation, Saved, Unary, absent};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::ConvSum`].
#[derive(Debug, Clone)]
pub struct ConvSum(Conv2d);

impl ConvSum {
    /// The convolution of the first value plus the second one. A ReLU that is part of the convolution cuts the sum.
    pub(in crate::nn) fn new(conv: Conv2d) -> Self {
        Self(conv)
    }

    /// This step and a ReLU after it as one; `None` if there is one already.
    pub(in crate::nn) fn cut(&self) -> Option<Self> {
        (!self.0.cuts()).then(|| Self(self.0.cut()))
    }

    /// The two inputs.
    fn pair<T: Copy>(&self, inputs: &[T]) -> Result<[T; 2]> {
        inputs.try_into().map_err(|_| {
            let problem = format!("reads two values, gets {}", inputs.len());
            misfit(&self.describe(), problem)
        })
    }
}

impl Operation for ConvSum {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [x, onto] = self.pair(inputs)?;
        let made = Unary::shape(&self.0, x)?;
        if made != onto {
            return Err(misfit(&self.describe(), format!("adds {made} and {onto}")));
        }
        Ok(made)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [x, onto] = self.pair(inputs)?;
        self.0.forward_onto(x, Some(onto))
    }

    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        let [x, onto] = self.pair(inputs)?;
        self.0.save_onto(x, Some(onto))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>> {
        let [x, _] = self.pair(inputs)?;
        let g = self.0.before(saved, g)?;
        Ok(vec![self.0.pull(&g, x, None)?, g])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [x, onto] = self.pair(inputs)?;
        match self.0.uncut() {
            Some(conv) => Ok((Unary::reference(&conv, x)? + onto)?.relu()?),
            None => Ok((Unary::reference(&self.0, x)? + onto)?),
        }
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> u64 {
        inputs.first().map_or(0, |x| Unary::multiply_adds(&self.0, *x))
    }

    fn on_gpu(&self, _: &[Shape], _: Shape) -> Result<OnGpu> {
        Err(absent(&self.describe()))
    }

    fn describe(&self) -> String {
        match self.0.uncut() {
            Some(conv) => format!("{}, sum, relu", Unary::describe(&conv)),
            None => format!("{}, sum", Unary::describe(&self.0)),
        }
    }
}
