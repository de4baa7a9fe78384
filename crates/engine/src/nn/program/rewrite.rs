//! Programs made of others: the same function in other steps.

use std::sync::Arc;

use super::{Builder, IMAGE, Program, Step};
use crate::error::Result;
use crate::nn::operation::{ConvGelu, ConvSum, Op, Relu};
use crate::ops::bf16::Unit;

impl Program {
    /// The same in fewer passes over memory: an affine step is folded into the convolution before it, and a
    /// ReLU becomes the last part of the convolution or the affine step before it, where nothing else reads
    /// the value in between. Nothing else moves, so logits and gradients differ by rounding only.
    #[must_use]
    pub fn fused(&self) -> Self {
        self.merged(join)
    }

    /// With neighbours as one where `join` says so and nothing else reads the value in between.
    fn merged(&self, join: impl Fn(&Op, &Op) -> Option<Op>) -> Self {
        let readers = self.readers();
        let mut steps: Vec<Step> = Vec::with_capacity(self.steps.len());
        let mut shapes = vec![self.input()];
        // What each value is called in the new program.
        let mut names = vec![IMAGE];
        for (step, shape) in self.steps.iter().zip(&self.shapes[1..]) {
            let inputs: Vec<usize> = step.inputs.iter().map(|input| names[*input]).collect();
            let before = match inputs[..] {
                [input] if input != IMAGE && readers[step.inputs[0]] == 1 => Some(input - 1),
                _ => None,
            };
            let joined = before.and_then(|at| Some((at, join(&steps[at].op, &step.op)?)));
            if let Some((at, op)) = joined {
                steps[at].op = Arc::new(op);
                names.push(at + 1);
            } else {
                steps.push(Step { op: Arc::clone(&step.op), inputs });
                shapes.push(*shape);
                names.push(steps.len());
            }
        }
        Self::of(steps, shapes, names[self.output])
    }

    /// The same for the CPU, in fewer passes over memory: of two values that are added, the one that a convolution
    /// makes for nothing else is not stored before, and a ReLU after the sum is part of the step; a GELU is part of the
    /// convolution of single pixels before it. No bit of a result changes: numbers are added in the same order, or
    /// two in the other one, which is the same.
    #[must_use]
    pub fn joined(&self) -> Self {
        let readers = self.readers();
        let lone = |value: usize| match &*self.steps[value.checked_sub(1)?].op {
            Op::Conv2d(conv) if readers[value] == 1 && !conv.cuts() => Some(conv),
            _ => None,
        };
        // For each sum the value that becomes part of it: the last one, for which nothing else has to move.
        let within = |step: &Step| match (&*step.op, &step.inputs[..]) {
            (Op::Sum(_), [a, b]) => [*a, *b].into_iter().filter(|v| lone(*v).is_some()).max(),
            _ => None,
        };
        let part_of_sums: Vec<usize> = self.steps.iter().filter_map(within).collect();
        let (mut steps, mut shapes) = (Vec::with_capacity(self.steps.len()), vec![self.input()]);
        let mut names = vec![IMAGE];
        for (i, step) in self.steps.iter().enumerate() {
            if part_of_sums.contains(&(i + 1)) {
                // Nothing reads it under this name.
                names.push(IMAGE);
                continue;
            }
            let mut step = step.clone();
            if let Some(value) = within(&step)
                && let Some(conv) = lone(value)
            {
                let others = step.inputs.iter().filter(|input| **input != value);
                step.inputs = self.steps[value - 1].inputs.iter().chain(others).copied().collect();
                step.op = Arc::new(ConvSum::new(conv.clone()).into());
            }
            step.inputs.iter_mut().for_each(|input| *input = names[*input]);
            steps.push(step);
            shapes.push(self.shapes[i + 1]);
            names.push(steps.len());
        }
        Self::of(steps, shapes, names[self.output]).merged(join_on_cpu)
    }

    /// The same with convolutions whose factors are rounded to bf16 and multiplied by `unit`; sums are in f32, and
    /// so are vectors and with them the logits. A value that only such convolutions read is stored in bf16, and
    /// likewise the cotangent between two of them: they would round it anyway, so no bit of a result depends on
    /// it, but for a ReLU of less than 2^-134, whose pullback is 0.
    #[must_use]
    pub fn rounded(&self, unit: Unit) -> Self {
        self.in_bf16(unit, true)
    }

    /// There are convolutions that [`Program::rounded`] changes.
    pub fn rounds(&self) -> bool {
        self.steps.iter().any(|step| matches!(&*step.op, Op::Conv2d(conv) if conv.rounds()))
    }

    /// [`Program::rounded`] with every value stored in f32.
    #[cfg(test)]
    pub(in crate::nn) fn rounded_only(&self, unit: Unit) -> Self {
        self.in_bf16(unit, false)
    }

    fn in_bf16(&self, unit: Unit, store: bool) -> Self {
        let rounds = |step: &Step| matches!(&*step.op, Op::Conv2d(conv) if conv.rounds());
        let mut only_rounded = vec![store; self.shapes.len()];
        only_rounded[self.output] = false;
        for step in self.steps.iter().filter(|step| !rounds(step)) {
            step.inputs.iter().for_each(|input| only_rounded[*input] = false);
        }
        let readers = self.readers();
        let mut rounded = self.clone();
        for (i, step) in rounded.steps.iter_mut().enumerate() {
            let narrow = only_rounded[i + 1];
            let op = match &*step.op {
                Op::Conv2d(conv) if conv.rounds() => {
                    let from = step.inputs[0];
                    let alone = store && readers[from] == 1;
                    let between = alone && from != IMAGE && rounds(&self.steps[from - 1]);
                    conv.rounded(unit, [narrow, between]).into()
                }
                Op::Affine(affine) if narrow => affine.narrow().into(),
                _ => continue,
            };
            step.op = Arc::new(op);
        }
        rounded
    }

    /// The same with every ReLU that is part of another step as a step of its own: bounds need what comes
    /// before it.
    pub(in crate::nn) fn relus_apart(&self) -> Result<Self> {
        self.split(|op| {
            let before = match op {
                Op::Conv2d(conv) => Op::from(conv.uncut()?),
                Op::Affine(affine) => Op::from(affine.uncut()?),
                _ => return None,
            };
            Some([before, Relu.into()])
        })
    }

    /// The same with convolutions whose padding is the same above and below, and left and right: other
    /// padding is a step before them. cuDNN knows no other.
    ///
    /// # Errors
    /// If shapes do not fit, which is a bug.
    pub fn evenly_padded(&self) -> Result<Self> {
        self.split(|op| match op {
            Op::Conv2d(conv) => conv.padded_before().map(|(pad, conv)| [pad.into(), conv.into()]),
            _ => None,
        })
    }

    /// The same in f64, for images in f64: with the weights as they are, and sums that are rounded 2^29 times finer.
    ///
    /// # Errors
    /// If shapes do not fit, which is a bug.
    pub fn in_f64(&self) -> Result<Self> {
        let apart = self.relus_apart()?;
        let mut builder = Builder::new(apart.input());
        let mut names = vec![IMAGE];
        for step in &apart.steps {
            let inputs: Vec<usize> = step.inputs.iter().map(|input| names[*input]).collect();
            // What has no such form has no tensors of its own, or reads them in f64.
            let wide = step.op.affine_form(&apart.inputs_of(step))?;
            let op = wide.map_or_else(|| Arc::clone(&step.op), |form| Arc::new(form.op));
            names.push(builder.push(op, &inputs)?);
        }
        builder.finish(names[apart.output])
    }

    /// With two steps for each one that `split` takes apart.
    fn split(&self, split: impl Fn(&Op) -> Option<[Op; 2]>) -> Result<Self> {
        let mut builder = Builder::new(self.input());
        let mut names = vec![IMAGE];
        for step in &self.steps {
            let inputs: Vec<usize> = step.inputs.iter().map(|input| names[*input]).collect();
            names.push(match split(&step.op) {
                Some([first, second]) => {
                    let between = builder.push(first, &inputs)?;
                    builder.push(second, &[between])?
                }
                None => builder.push(Arc::clone(&step.op), &inputs)?,
            });
        }
        builder.finish(names[self.output])
    }
}

/// Two neighbours as one.
fn join(first: &Op, second: &Op) -> Option<Op> {
    match (first, second) {
        (Op::Conv2d(conv), Op::Affine(affine)) if !conv.cuts() => {
            Some(conv.followed_by(affine).ok()?.into())
        }
        (Op::Conv2d(conv), Op::Relu(_)) if !conv.cuts() => Some(conv.cut().into()),
        (Op::Affine(affine), Op::Relu(_)) if !affine.cuts() => Some(affine.cut().into()),
        _ => None,
    }
}

/// Two neighbours as one that only the CPU knows.
fn join_on_cpu(first: &Op, second: &Op) -> Option<Op> {
    match (first, second) {
        (Op::ConvSum(sum), Op::Relu(_)) => Some(sum.cut()?.into()),
        (Op::Conv2d(conv), Op::Gelu(_)) => Some(ConvGelu::new(conv)?.into()),
        _ => None,
    }
}
