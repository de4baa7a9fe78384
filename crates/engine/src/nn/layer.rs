//! How networks are written down: operations in sequence and in branches on the same input. A layer has no
//! readings of its own; it adds its steps to a [`super::Program`], which has them.

use std::sync::Arc;

use super::operation::{
    AvgPool, Concat, Flatten, Gate, Gelu, GlobalAvgPool, MaxPool, Op, Relu, Scale, Sigmoid, Silu,
    Softmax, Stack, Sum,
};
use super::program::{Builder, Program, Value};
use crate::error::Result;
use crate::ops::pool::Window;

/// A part of a network that maps one value to one value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Layer {
    /// The input itself; the identity branch of a residual block.
    Identity,
    /// An operation.
    Op(Arc<Op>),
    /// Layers one after the other.
    Seq(Vec<Layer>),
    /// Branches on the same input, and the operation that reads their outputs.
    Branches(Arc<Op>, Vec<Layer>),
    /// A whole program, whose image is the input.
    Program(Arc<Program>),
}

impl From<Op> for Layer {
    fn from(op: Op) -> Self {
        Self::Op(Arc::new(op))
    }
}

impl From<Program> for Layer {
    fn from(program: Program) -> Self {
        Self::Program(Arc::new(program))
    }
}

impl Layer {
    /// Adds the layer's steps on the value `x`; returns its output.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub(super) fn append(&self, to: &mut Builder, x: Value) -> Result<Value> {
        match self {
            Self::Identity => Ok(x),
            Self::Op(op) => to.push(Arc::clone(op), &[x]),
            Self::Seq(layers) => layers.iter().try_fold(x, |x, layer| layer.append(to, x)),
            // There is nothing to join.
            Self::Branches(_, branches) if branches.len() == 1 => branches[0].append(to, x),
            Self::Branches(op, branches) => {
                let outputs: Result<Vec<Value>> =
                    branches.iter().map(|branch| branch.append(to, x)).collect();
                to.push(Arc::clone(op), &outputs?)
            }
            Self::Program(program) => to.append(program, x),
        }
    }
}

fn branches(op: impl Into<Op>, branches: Vec<Layer>) -> Layer {
    Layer::Branches(Arc::new(op.into()), branches)
}

/// Layers one after the other.
pub fn seq(layers: impl Into<Vec<Layer>>) -> Layer {
    Layer::Seq(layers.into())
}

/// Branches on the same input, added: `sum([residual, Layer::Identity])`.
pub fn sum(terms: impl Into<Vec<Layer>>) -> Layer {
    branches(Sum, terms.into())
}

/// Branches on the same input, averaged.
pub fn mean(terms: impl Into<Vec<Layer>>) -> Layer {
    let terms = terms.into();
    let share = 1.0 / terms.len().max(1) as f64;
    seq([sum(terms), Scale(share).layer()])
}

/// Branches on the same input, side by side along the channels.
pub fn concat(parts: impl Into<Vec<Layer>>) -> Layer {
    branches(Concat, parts.into())
}

/// Branches on the same input, one below the other.
pub fn stack(parts: impl Into<Vec<Layer>>) -> Layer {
    branches(Stack, parts.into())
}

/// Every channel times the number that `branch`, which ends in one number per channel, gives for it.
pub fn gate(branch: impl Into<Vec<Layer>>) -> Layer {
    branches(Gate, vec![Layer::Identity, seq(branch)])
}

/// `max(x, 0)`.
pub fn relu() -> Layer {
    Relu.layer()
}

/// `x * sigmoid(x)`, also called swish.
pub fn silu() -> Layer {
    Silu.layer()
}

/// `x Phi(x)`, Phi the standard normal distribution.
pub fn gelu() -> Layer {
    Gelu.layer()
}

/// `1 / (1 + exp(-x))`.
pub fn sigmoid() -> Layer {
    Sigmoid.layer()
}

/// Probabilities from logits.
pub fn softmax() -> Layer {
    Softmax.layer()
}

/// Mean over windows of `size` pixels, `stride` apart, without padding.
pub fn avg_pool(size: usize, stride: usize) -> Layer {
    AvgPool(Window { size, stride }).layer()
}

/// Maximum over windows of `size` pixels, `stride` apart, without padding.
pub fn max_pool(size: usize, stride: usize) -> Layer {
    MaxPool(Window { size, stride }).layer()
}

/// Mean over the whole image: `[N, H, W, C]` to `[N, C]`.
pub fn global_avg_pool() -> Layer {
    GlobalAvgPool.layer()
}

/// `[N, H, W, C]` to `[N, C * H * W]`, in the order of published weights.
pub fn flatten() -> Layer {
    Flatten.layer()
}
