//! The readings of a program that compute: forward, forward with what a pullback needs, the pullback, and
//! candle's version. A value is there from the step that makes it to the last one that reads it.

use std::borrow::Borrow;

use candle_core::Tensor;

use super::{IMAGE, Program, Step, Value};
use crate::error::{Error, Result};
use crate::nn::operation::{Saved, total};
use crate::nn::shape::misfit;

/// What the pullbacks of a program's steps need of one forward pass.
#[derive(Debug)]
pub struct SavedSteps(Vec<Saved>);

impl SavedSteps {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Saved::bytes).sum()
    }
}

impl Program {
    /// The output for images `[N, H, W, C]`.
    ///
    /// # Errors
    /// If the images are of another shape or the device fails.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.check(images)?;
        self.evaluate(images, |step, inputs| step.op.forward(inputs))
    }

    /// The output and what [`Program::pullback`] needs.
    ///
    /// # Errors
    /// As [`Program::forward`].
    pub fn save(&self, images: &Tensor) -> Result<(Tensor, SavedSteps)> {
        self.check(images)?;
        let mut kept = Vec::with_capacity(self.steps.len());
        let output = self.evaluate(images, |step, inputs| {
            let (y, saved) = step.op.save(inputs)?;
            kept.push(saved);
            Ok(y)
        })?;
        Ok((output, SavedSteps(kept)))
    }

    /// Maps a cotangent of the output to that of the images, as often as wanted.
    ///
    /// # Errors
    /// If `kept` is another program's or the device fails.
    pub fn pullback(&self, kept: &SavedSteps, g: &Tensor) -> Result<Tensor> {
        self.pull(kept.0.iter().collect(), g)
    }

    /// [`Program::pullback`] for the last time: what a step has kept is freed when it is used.
    ///
    /// # Errors
    /// As [`Program::pullback`].
    pub fn pullback_once(&self, kept: SavedSteps, g: &Tensor) -> Result<Tensor> {
        self.pull(kept.0, g)
    }

    /// The same function of images `[N, C, H, W]` in candle's own operations: differentiable by candle's
    /// autograd, also by the weights.
    ///
    /// # Errors
    /// As [`Program::forward`].
    pub fn reference(&self, images: &Tensor) -> Result<Tensor> {
        self.evaluate(images, |step, inputs| step.op.reference(inputs))
    }

    fn check(&self, images: &Tensor) -> Result<()> {
        let dims = images.dims();
        if dims.first().is_none_or(|count| self.input().batch(*count) != dims) {
            return Err(misfit("image", format!("is for {}, gets {dims:?}", self.input())));
        }
        Ok(())
    }

    /// Walks along the steps; `work` makes the value of each.
    fn evaluate(
        &self,
        images: &Tensor,
        mut work: impl FnMut(&Step, &[&Tensor]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut values: Vec<Option<Tensor>> = vec![None; self.shapes.len()];
        values[IMAGE] = Some(images.clone());
        for (i, (step, done)) in self.steps.iter().zip(&self.done).enumerate() {
            let value = |input: &Value| values[*input].as_ref().ok_or_else(|| gone(*input));
            let inputs = step.inputs.iter().map(value).collect::<Result<Vec<_>>>()?;
            let y = work(step, &inputs)?;
            done.iter().for_each(|value| values[*value] = None);
            values[i + 1] = Some(y);
        }
        values[self.output].take().ok_or_else(|| gone(self.output))
    }

    /// Walks back along the steps. A value's cotangent is the sum of what its readers give, in the order in
    /// which they read it; it is there when the last of them, the first on the way back, has been asked.
    fn pull<S: Borrow<Saved>>(&self, mut kept: Vec<S>, g: &Tensor) -> Result<Tensor> {
        if kept.len() != self.steps.len() {
            return Err(Error::from(candle_core::Error::Msg("kept by another program".into())));
        }
        let readers = self.readers();
        let mut given: Vec<Vec<Tensor>> = vec![Vec::new(); self.shapes.len()];
        given[self.output].push(g.clone());
        for (i, step) in self.steps.iter().enumerate().rev() {
            let Some(saved) = kept.pop() else { return Err(gone(i + 1)) };
            let g = total(std::mem::take(&mut given[i + 1]).iter().rev())?;
            let (saved, inputs) = (saved.borrow(), self.inputs_of(step));
            // Of two terms, which have the same sum in either order, the second is added where it is made.
            if let [input] = step.inputs[..]
                && readers[input] == 2
                && let Some(onto) = given[input].pop()
            {
                given[input].push(step.op.pullback_onto(saved, &g, &inputs, &onto)?);
                continue;
            }
            let parts = step.op.pullback(saved, &g, &inputs)?;
            for (input, part) in step.inputs.iter().zip(parts).rev() {
                given[*input].push(part);
            }
        }
        total(given[IMAGE].iter().rev())
    }
}

/// The error of a value that is not there: a bug in this crate.
fn gone(value: Value) -> Error {
    candle_core::Error::Msg(format!("value {value} is not there")).into()
}
