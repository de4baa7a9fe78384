//! Numbers of an image in another order, some of them several times, some left out, some constant: every
//! transposition, slice, gather, padding, expansion and nearest resize at once.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::view::{from_nhwc, to_nhwc};
use super::{AffineForm, Kernels, OnGpu, Saved, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::pick::{self, GatherPlan};

/// In an index: the constant.
pub const NOTHING: u32 = u32::MAX;

/// See [`super::Op::Pick`].
#[derive(Debug, Clone)]
pub struct Pick {
    from: usize,
    to: Shape,
    index: Arc<[u32]>,
    plan: Arc<GatherPlan>,
    fill: f64,
}

impl Pick {
    /// Of images of `from` numbers, images of the shape `to`: number `i` of the output is number `index[i]` of
    /// the input, both in the order of NHWC, or `fill` where that is [`NOTHING`].
    ///
    /// # Errors
    /// If there is not an index for each number of the output, or one is beyond the input.
    pub fn new(from: usize, to: Shape, index: Vec<u32>, fill: f64) -> Result<Self> {
        if index.len() != to.len() || to.is_empty() {
            return Err(misfit("pick", format!("has {} indices for {to}", index.len())));
        }
        if from >= i32::MAX as usize || to.len() >= i32::MAX as usize {
            return Err(misfit("pick", format!("of {from} numbers as {to} is too large")));
        }
        let place = |i: &u32| (*i != NOTHING).then_some(*i as usize);
        let Some(plan) = GatherPlan::new(from, index.iter().map(place)) else {
            return Err(misfit("pick", format!("reads beyond the {from} numbers that there are")));
        };
        Ok(Self { from, to, index: index.into(), plan: Arc::new(plan), fill })
    }
}

impl Pick {
    /// The index, if no number is the constant.
    pub(in crate::nn) fn moves(&self) -> Option<Arc<[u32]>> {
        (!self.index.contains(&NOTHING)).then(|| Arc::clone(&self.index))
    }
}

impl Unary for Pick {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pick::forward(x, &self.plan, self.fill, &self.to.batch(x.dim(0)?))
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        pick::pullback(g, &self.plan, &input.batch(g.dim(0)?))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let count = x.dim(0)?;
        let constant = Tensor::full(self.fill, (count, 1), x.device())?.to_dtype(x.dtype())?;
        let all = Tensor::cat(&[to_nhwc(x)?.flatten_from(1)?, constant], 1)?;
        let index: Vec<u32> = self.index.iter().map(|i| (*i).min(self.from as u32)).collect();
        let index = Tensor::new(index, &Device::Cpu)?.to_device(x.device())?;
        from_nhwc(&all.index_select(&index, 1)?.reshape(self.to.batch(count))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if input.len() != self.from {
            return Err(misfit("pick", format!("takes {} numbers, gets {input}", self.from)));
        }
        Ok(self.to)
    }

    /// An infinite constant, as a maximum is padded with, has no bounds.
    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        if !self.fill.is_finite() {
            return Ok(None);
        }
        // The engine rounds the constant.
        let terms = usize::from(f64::from(self.fill as f32) != self.fill);
        let absolute = Self { fill: 0.0, ..self.clone() };
        Ok(Some(AffineForm::new(self.clone(), absolute, terms)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        // Negative if nothing is read.
        let index: Vec<i32> = self.index.iter().map(|i| *i as i32).collect();
        Ok(Kernels::moves(from, to, Some(&index), self.fill as f32).into())
    }

    fn describe(&self) -> String {
        let mut text = format!("pick {}", self.to);
        if self.index.contains(&NOTHING) {
            text += &format!(" fill {}", self.fill);
        }
        text
    }
}
