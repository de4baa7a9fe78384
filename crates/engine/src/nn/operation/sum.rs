//! Values added, one after the other: residual connections and ensembles.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Operation, Saved, Slot};
use crate::error::{Error, Result};
use crate::nn::shape::{Shape, misfit};
use crate::ops::elementwise;

/// See [`super::Op::Sum`].
#[derive(Debug, Clone, Copy)]
pub struct Sum;

impl Operation for Sum {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let Some(first) = inputs.first() else {
            return Err(misfit("sum", "there is nothing to add".into()));
        };
        if let Some(other) = inputs.iter().find(|shape| *shape != first) {
            return Err(misfit("sum", format!("adds {first} and {other}")));
        }
        Ok(*first)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        total(inputs.iter().copied())
    }

    fn pullback(&self, _: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>> {
        Ok(vec![g.clone(); inputs.len()])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (first, rest) = inputs.split_first().ok_or_else(nothing)?;
        rest.iter().try_fold((*first).clone(), |total, term| Ok((total + *term)?))
    }

    fn on_gpu(&self, inputs: &[Shape], output: Shape) -> Result<OnGpu> {
        let (len, count) = (output.len(), Slot::Count(output.len()));
        let mut forward = Vec::new();
        if inputs.len() == 1 {
            let copy = slots![Slot::X(0), 1.0_f32, Slot::Y, count, false];
            forward.push(Launch::eights("scale", len, copy));
        }
        for term in 1..inputs.len() {
            let so_far = if term == 1 { Slot::X(0) } else { Slot::Y };
            let slots = slots![so_far, Slot::X(term), Slot::Y, count];
            forward.push(Launch::eights("sum", len, slots));
        }
        let pullback = inputs.iter().map(|_| vec![Launch::scaled_cotangent(len, 1.0)]).collect();
        let (constants, keeps) = (Vec::new(), Keeps::Nothing);
        Ok(Kernels { constants, keeps, forward, pullback }.into())
    }

    fn describe(&self) -> String {
        "sum".into()
    }
}

/// `((a + b) + c) + ...`
///
/// # Errors
/// If there is nothing to add, or shapes differ.
pub(in crate::nn) fn total<'a>(mut terms: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
    let first = terms.next().ok_or_else(nothing)?;
    let Some(second) = terms.next() else { return Ok(first.clone()) };
    terms.try_fold(elementwise::add(first, second)?, |total, term| elementwise::add(&total, term))
}

fn nothing() -> Error {
    misfit("sum", "there is nothing to add".into())
}
