//! `1 / (1 + exp(-x))`, the last step of a gate.

use candle_core::Tensor;

use super::lower::{Lowered, Map, Op, Value};
use super::{Node, Saved, Shape, foreign};
use crate::error::Result;

/// See [`super::Layer::Sigmoid`].
#[derive(Debug, Clone, Copy)]
pub struct Sigmoid;

impl Node for Sigmoid {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.reference(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let y = self.forward(x)?;
        Ok((y.clone(), Saved::Tensor(y)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Tensor(y) = saved else { return Err(foreign("sigmoid")) };
        Ok((g * (y * y.affine(-1.0, 1.0)?)?)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x.neg()?.exp()? + 1.0)?.recip()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Map(Map::Sigmoid), x)
    }

    fn describe(&self) -> String {
        "sigmoid".into()
    }
}
