//! A program on one GPU: where its values are and in which order its steps run. What a step does is in `step`.

use std::sync::Arc;

use super::gpu::{Address, Gpu, NONE};
use super::graph::Graphs;
use super::layout::{Layout, Number};
use super::step::Prepared;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::nn::{IMAGE, Keeps, Program, Value};

/// A network in the memory of a GPU.
pub(super) struct Runner {
    pub(super) program: Arc<Program>,
    /// What every value is stored as.
    pub(super) numbers: Vec<Number>,
    /// Every step as this GPU does it.
    pub(super) steps: Vec<Prepared>,
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
    /// Copies the weights of `program` to `gpu`, for values that are stored as `precision` has it.
    pub(super) fn new(gpu: &Gpu, program: Arc<Program>, precision: Precision) -> Result<Self> {
        let shapes = program.shapes();
        let numbers: Vec<Number> =
            shapes.iter().map(|shape| Number::of(*shape, precision)).collect();
        if numbers[program.output()] != Number::F32 {
            let problem = "is for networks whose last value is a vector of logits";
            return Err(Error::setting(format!("precision {precision}"), problem, "use f32"));
        }
        let of_steps = program.steps().iter().zip(&shapes[1..]).map(|(step, output)| {
            let operation = step.op.on_gpu(&program.inputs_of(step), *output)?;
            Prepared::new(gpu, operation, numbers[step.inputs[0]])
        });
        let steps = of_steps.collect::<Result<Vec<_>>>()?;
        let keeps: Vec<Keeps> = steps.iter().map(|step| step.keeps).collect();
        let plan = |pullback| Layout::new(&program, &keeps, &numbers, pullback);
        let (forward, both) = (plan(false), plan(true));
        Ok(Self { program, numbers, steps, forward, both, graphs: Graphs::new() })
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
        self.value(batch, IMAGE)
    }

    /// Where the logits are after [`Runner::forward`].
    pub(super) fn logits(&self, batch: &Batch<'_>) -> Address {
        self.value(batch, self.program.output())
    }

    /// Where the cotangent of the logits has to be written for [`Runner::pullback`].
    pub(super) fn cotangent(&self, batch: &Batch<'_>) -> Address {
        self.cotangent_of(batch, self.program.output())
    }

    /// Where the gradient of the images is after [`Runner::pullback`], `[N, H, W, C]`.
    pub(super) fn gradient(&self, batch: &Batch<'_>) -> Address {
        self.cotangent_of(batch, IMAGE)
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
        match self.steps[step].keeps {
            Keeps::Bits | Keeps::Origins if !batch.pullback => NONE,
            Keeps::Nothing | Keeps::Inputs => NONE,
            _ => self.at(batch, self.layout(batch.pullback).kept[step]),
        }
    }

    /// What the first value that step `i` reads is stored as, or the value that it makes, if that one is in
    /// bf16: its kernels are those for such values.
    pub(super) fn number_of(&self, i: usize) -> Number {
        match self.numbers[i + 1] {
            Number::Bf16 => Number::Bf16,
            Number::F32 => self.numbers[self.program.steps()[i].inputs[0]],
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
        (0..self.steps.len()).try_for_each(|i| self.step(batch, i))
    }

    fn every_step_back(&self, batch: &Batch<'_>) -> Result<()> {
        let mut written = vec![false; self.numbers.len()];
        for (i, step) in self.program.steps().iter().enumerate().rev() {
            for (which, input) in step.inputs.iter().enumerate() {
                let add = std::mem::replace(&mut written[*input], true);
                self.step_back(batch, i, which, add)?;
            }
        }
        Ok(())
    }
}
