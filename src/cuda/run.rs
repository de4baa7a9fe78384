//! A lowered network on one GPU: where its values are and in which order its steps run. What a step does
//! is in `forward` and `backward`.

use std::sync::Arc;

use super::form::weights;
use super::gpu::{Address, Gpu, Memory, NONE};
use super::graph::Graphs;
use super::layout::{Layout, Number};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::nn::lower::{Keeps, Lowered, Step, Value};

/// A network in the memory of a GPU.
pub(super) struct Runner {
    pub(super) lowered: Arc<Lowered>,
    /// What every value is stored as.
    pub(super) numbers: Vec<Number>,
    /// The numbers of every step.
    weights: Vec<Vec<Memory>>,
    forward: Layout,
    both: Layout,
    pub(super) graphs: Graphs,
}

/// A batch in the memory of a GPU, and how it is computed with.
pub(super) struct Batch<'a> {
    pub(super) gpu: &'a Gpu,
    /// Begin of the memory that a [`Layout`] divides.
    pub(super) memory: Address,
    pub(super) images: usize,
    pub(super) precision: Precision,
    /// A pullback follows: what it needs is kept.
    pub(super) pullback: bool,
}

impl Runner {
    /// Copies the weights of `lowered` to `gpu`, for values that are stored as `precision` has it.
    pub(super) fn new(gpu: &Gpu, lowered: Arc<Lowered>, precision: Precision) -> Result<Self> {
        let numbers: Vec<Number> =
            lowered.shapes.iter().map(|shape| Number::of(*shape, precision)).collect();
        if numbers[lowered.output] != Number::F32 {
            let problem = "is for networks whose last value is a vector of logits";
            return Err(Error::setting(format!("precision {precision}"), problem, "use f32"));
        }
        let of_steps = lowered.steps.iter().map(|step| weights(gpu, &step.op, numbers[step.x]));
        let weights = of_steps.collect::<Result<_>>()?;
        let plan = |pullback| Layout::new(&lowered, &numbers, pullback);
        let (forward, both) = (plan(false), plan(true));
        Ok(Self { lowered, numbers, weights, forward, both, graphs: Graphs::new() })
    }

    /// Bytes of memory that a batch of one needs.
    pub(super) fn bytes_per_image(&self, pullback: bool) -> usize {
        4 * self.layout(pullback).words
    }

    fn layout(&self, pullback: bool) -> &Layout {
        if pullback { &self.both } else { &self.forward }
    }

    /// Where the images of a batch are, `[N, H, W, C]`, to be written before [`Runner::forward`].
    pub(super) fn images(&self, batch: &Batch<'_>) -> Address {
        self.value(batch, 0)
    }

    /// Where the logits are after [`Runner::forward`].
    pub(super) fn logits(&self, batch: &Batch<'_>) -> Address {
        self.value(batch, self.lowered.output)
    }

    /// Where the cotangent of the logits has to be written for [`Runner::pullback`].
    pub(super) fn cotangent(&self, batch: &Batch<'_>) -> Address {
        self.cotangent_of(batch, self.lowered.output)
    }

    /// Where the gradient of the images is after [`Runner::pullback`], `[N, H, W, C]`.
    pub(super) fn gradient(&self, batch: &Batch<'_>) -> Address {
        self.cotangent_of(batch, 0)
    }

    fn at(&self, batch: &Batch<'_>, place: usize) -> Address {
        batch.memory + 4 * (place * batch.images) as Address
    }

    pub(super) fn value(&self, batch: &Batch<'_>, value: Value) -> Address {
        self.at(batch, self.layout(batch.pullback).values[value])
    }

    pub(super) fn cotangent_of(&self, batch: &Batch<'_>, value: Value) -> Address {
        self.at(batch, self.both.cotangents[value])
    }

    /// Where a step keeps its bits, origins or scores; nowhere, if it does not.
    pub(super) fn kept(&self, batch: &Batch<'_>, step: usize) -> Address {
        let Step { op, y, .. } = &self.lowered.steps[step];
        match op.keeps(self.lowered.shapes[*y]) {
            Keeps::Bits | Keeps::Origins if !batch.pullback => NONE,
            Keeps::Nothing | Keeps::Inputs => NONE,
            _ => self.at(batch, self.layout(batch.pullback).kept[step]),
        }
    }

    /// Number `which` of a step's weights; nowhere, if it has none.
    pub(super) fn weight(&self, step: usize, which: usize) -> Address {
        match self.weights[step].get(which) {
            Some(memory) if memory.bytes() > 0 => memory.at(),
            _ => NONE,
        }
    }

    /// Computes the logits of the images.
    pub(super) fn forward(&self, batch: &Batch<'_>) -> Result<()> {
        self.graphs.run(batch, false, || self.every_step(batch))
    }

    /// Computes the gradient of the images from the cotangent of the logits.
    pub(super) fn pullback(&self, batch: &Batch<'_>) -> Result<()> {
        self.graphs.run(batch, true, || self.every_step_back(batch))
    }

    fn every_step(&self, batch: &Batch<'_>) -> Result<()> {
        for i in 0..self.lowered.steps.len() {
            self.step(batch, i)?;
        }
        Ok(())
    }

    fn every_step_back(&self, batch: &Batch<'_>) -> Result<()> {
        let mut written = vec![false; self.lowered.shapes.len()];
        for (i, step) in self.lowered.steps.iter().enumerate().rev() {
            let add = std::mem::replace(&mut written[step.x], true);
            self.step_back(batch, i, add)?;
            if let Some(with) = step.with {
                let add = std::mem::replace(&mut written[with], true);
                self.step_back_with(batch, i, with, add)?;
            }
        }
        Ok(())
    }
}
