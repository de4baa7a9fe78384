//! Multiplication of every channel by a number that a branch computes from the whole image, as in
//! squeeze-excitation (Hu et al., CVPR 2018).

use candle_core::Tensor;

use super::lower::{Lowered, Op, Value};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;

/// See [`Layer::Gate`].
#[derive(Debug, Clone)]
pub struct Gate(pub Box<Layer>);

impl Node for Gate {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, _, _, c) = x.dims4()?;
        Ok(x.broadcast_mul(&self.0.forward(x)?.reshape((n, 1, 1, c))?)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (n, _, _, c) = x.dims4()?;
        let (gates, saved) = self.0.save(x)?;
        let gates = gates.reshape((n, 1, 1, c))?;
        let y = x.broadcast_mul(&gates)?;
        Ok((y, Saved::Inner(vec![Saved::Tensor(x.clone()), Saved::Tensor(gates), saved])))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Inner(inner) = saved else { return Err(foreign("gate")) };
        let [Saved::Tensor(x), Saved::Tensor(gates), saved] = inner.as_slice() else {
            return Err(foreign("gate"));
        };
        let (n, h, w, c) = x.dims4()?;
        let of_gates = (g * x)?.reshape((n, h * w, c))?.sum(1)?;
        Ok((g.broadcast_mul(gates)? + self.0.pullback(saved, &of_gates)?)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, _, _) = x.dims4()?;
        Ok(x.broadcast_mul(&self.0.reference(x)?.reshape((n, c, 1, 1))?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [_, _, channels] = input.image("gate")?;
        match self.0.shape(input)? {
            Shape::Flat(gates) if gates == channels => Ok(input),
            other => Err(misfit("gate", format!("has {other} gates for {channels} channels"))),
        }
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.0.multiply_adds(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let gates = self.0.lower(to, x)?;
        let shape = to.shapes[x];
        Ok(to.push(Op::Gate, x, Some(gates), shape))
    }

    fn describe(&self) -> String {
        "times gates of".into()
    }

    fn inner(&self) -> &[Layer] {
        std::slice::from_ref(&self.0)
    }
}
