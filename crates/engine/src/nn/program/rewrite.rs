//! Programs made of others: the same function in other steps.

use std::sync::Arc;

use super::{Builder, IMAGE, Program, Step};
use crate::error::Result;
use crate::nn::operation::{Op, Relu};
use crate::ops::bf16::Unit;

impl Program {
    /// The same in fewer passes over memory: an affine step is folded into the convolution before it, and a
    /// ReLU becomes the last part of the convolution or the affine step before it, where nothing else reads
    /// the value in between. Nothing else moves, so logits and gradients differ by rounding only.
    #[must_use]
    pub fn fused(&self) -> Self {
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
