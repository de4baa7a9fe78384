//! A frozen network: a list of steps, each an operation that reads values which are there already and makes one
//! more. This list is the only form in which there is a network. It is built and its shapes are checked once;
//! then it is read, by what is in this room, by the bounds and by the GPUs.

mod evaluate;
mod moves;
mod print;
mod recognise;
mod rewrite;

use std::sync::Arc;

pub use evaluate::SavedSteps;

use super::layer::Layer;
use super::operation::{Normalise, Op};
use super::shape::{Shape, misfit};
use crate::error::Result;

/// Number of a value of a [`Program`].
pub type Value = usize;

/// The value that is there before the first step.
pub const IMAGE: Value = 0;

/// One step: it makes the value after that of the step before.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done. Programs that are made of others share it, and what it has packed.
    pub op: Arc<Op>,
    /// The values it reads, all made before; one may be there several times.
    pub inputs: Vec<Value>,
}

/// A network as steps in the order of their evaluation. Every step's value is read by another one or is the
/// output.
#[derive(Debug, Clone)]
pub struct Program {
    steps: Vec<Step>,
    /// Of every value, for one image.
    shapes: Vec<Shape>,
    output: Value,
    /// For each step the values that nothing reads after it.
    done: Vec<Vec<Value>>,
}

impl Program {
    /// The steps of `layer` for images of shape `input`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn new(layer: &Layer, input: Shape) -> Result<Self> {
        let mut builder = Builder::new(input);
        let output = layer.append(&mut builder, IMAGE)?;
        builder.finish(output)
    }

    /// From steps whose shapes are right; those that the output does not need are left out.
    fn of(steps: Vec<Step>, shapes: Vec<Shape>, output: Value) -> Self {
        let mut needed = vec![false; shapes.len()];
        (needed[IMAGE], needed[output]) = (true, true);
        for (i, step) in steps.iter().enumerate().rev() {
            if needed[i + 1] {
                step.inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        // What each value is called without those that are left out.
        let mut names = vec![IMAGE; shapes.len()];
        let (mut kept, mut of_kept) = (Vec::with_capacity(steps.len()), vec![shapes[IMAGE]]);
        for (i, mut step) in steps.into_iter().enumerate() {
            if needed[i + 1] {
                step.inputs.iter_mut().for_each(|input| *input = names[*input]);
                kept.push(step);
                of_kept.push(shapes[i + 1]);
                names[i + 1] = kept.len();
            }
        }
        let (steps, shapes, output) = (kept, of_kept, names[output]);
        let mut done = vec![Vec::new(); steps.len()];
        let mut read = vec![false; shapes.len()];
        read[output] = true;
        for (i, step) in steps.iter().enumerate().rev() {
            for input in &step.inputs {
                if !std::mem::replace(&mut read[*input], true) {
                    done[i].push(*input);
                }
            }
        }
        Self { steps, shapes, output, done }
    }

    /// The steps; step i makes value i + 1.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Shape of every value for one image.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Shape of the image.
    pub fn input(&self) -> Shape {
        self.shapes[IMAGE]
    }

    /// The value that is the result: the logits.
    pub fn output(&self) -> Value {
        self.output
    }

    /// Shape of the result.
    pub fn output_shape(&self) -> Shape {
        self.shapes[self.output]
    }

    /// Shapes of the values that a step reads.
    pub fn inputs_of(&self, step: &Step) -> Vec<Shape> {
        step.inputs.iter().map(|input| self.shapes[*input]).collect()
    }

    /// How often each value is read; being the output counts.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.shapes.len()];
        readers[self.output] += 1;
        self.steps.iter().flat_map(|step| &step.inputs).for_each(|input| readers[*input] += 1);
        readers
    }

    /// Multiply-adds of the matrix products for one image.
    pub fn multiply_adds(&self) -> u64 {
        self.steps.iter().map(|step| step.op.multiply_adds(&self.inputs_of(step))).sum()
    }

    /// The normalisation of the image, if that is all that reads it.
    pub fn normalisation(&self) -> Option<&Normalise> {
        match (self.steps.first()?.op.as_ref(), self.readers()[IMAGE]) {
            (Op::Normalise(normalise), 1) => Some(normalise),
            _ => None,
        }
    }
}

/// A program under construction: any graph, one step after the other.
#[derive(Debug)]
pub struct Builder {
    steps: Vec<Step>,
    shapes: Vec<Shape>,
}

impl Builder {
    /// No steps yet, for images of shape `input`.
    pub fn new(input: Shape) -> Self {
        Self { steps: Vec::new(), shapes: vec![input] }
    }

    /// Adds a step; returns the value that it makes.
    ///
    /// # Errors
    /// If there is no such input, or their number or shapes do not fit.
    pub fn push(&mut self, op: impl Into<Arc<Op>>, inputs: &[Value]) -> Result<Value> {
        let op = op.into();
        let mut shapes = Vec::with_capacity(inputs.len());
        for input in inputs {
            let absent =
                || misfit(&op.describe(), format!("reads value {input}, which is not there"));
            shapes.push(*self.shapes.get(*input).ok_or_else(absent)?);
        }
        self.shapes.push(op.shape(&shapes)?);
        self.steps.push(Step { op, inputs: inputs.to_vec() });
        Ok(self.steps.len())
    }

    /// Adds the steps of `program` with the value `x` for its image; returns its output.
    ///
    /// # Errors
    /// If its images are of another shape.
    pub fn append(&mut self, program: &Program, x: Value) -> Result<Value> {
        if self.shapes.get(x) != Some(&program.input()) {
            let got = self.shapes.get(x).map_or("nothing".into(), ToString::to_string);
            return Err(misfit("program", format!("takes {}, gets {got}", program.input())));
        }
        let mut names = vec![x];
        for step in &program.steps {
            let inputs: Vec<Value> = step.inputs.iter().map(|input| names[*input]).collect();
            names.push(self.push(Arc::clone(&step.op), &inputs)?);
        }
        Ok(names[program.output])
    }

    /// Shape of a value, if there is one.
    pub fn shape(&self, value: Value) -> Option<Shape> {
        self.shapes.get(value).copied()
    }

    /// The program that computes `output`, without the steps that it does not need.
    ///
    /// # Errors
    /// If there is no such value.
    pub fn finish(self, output: Value) -> Result<Program> {
        if output >= self.shapes.len() {
            return Err(misfit("output", format!("is value {output}, which is not there")));
        }
        Ok(Program::of(self.steps, self.shapes, output))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use crate::nn::tests::crossing;

    #[test]
    fn a_value_is_dropped_once_and_after_its_last_reader() {
        let zeros = |shape: &[usize], _| Tensor::zeros(shape, DType::F32, &Device::Cpu);
        let program = crossing([3, 3], true, &|shape, draw| zeros(shape, draw).unwrap());
        for program in [program.fused(), program] {
            for value in 0..program.shapes.len() {
                let last = program.steps.iter().rposition(|step| step.inputs.contains(&value));
                let dropped: Vec<usize> = (0..program.steps.len())
                    .filter(|i| program.done[*i].contains(&value))
                    .collect();
                assert_eq!(dropped, last.into_iter().collect::<Vec<_>>(), "{value}");
            }
        }
    }
}
