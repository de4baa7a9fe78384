//! An operation as `y = W x + b`, which is all that bounds need to know of most of them: products with W, |W|
//! and the transpose are its own readings in f64, on copies of it.

use candle_core::{DType, Tensor};

use super::Op;
use crate::error::Result;

/// What an operation tells about itself: see [`super::Operation::affine_form`].
#[derive(Debug)]
pub struct AffineForm {
    /// The operation with weights in f64.
    pub op: Op,
    /// The operation with the weights' absolute values in f64 and no bias.
    pub absolute: Op,
    /// Products and summands behind one output value, 0 if values are only moved. A division counts.
    pub terms: usize,
    /// If the engine convolves by minimal filtering, `sum |w|` of each output channel.
    pub minimal: Option<Vec<f64>>,
}

impl AffineForm {
    /// Of an operation whose output values are plain sums of products.
    pub fn new(op: impl Into<Op>, absolute: impl Into<Op>, terms: usize) -> Self {
        Self { op: op.into(), absolute: absolute.into(), terms, minimal: None }
    }

    /// Of an operation that only moves values.
    pub fn moving(op: impl Into<Op>) -> Self {
        let op = op.into();
        Self::new(op.clone(), op, 0)
    }
}

/// A weight in f64.
pub(super) fn wide(weight: &Tensor) -> Result<Tensor> {
    Ok(weight.to_dtype(DType::F64)?)
}
