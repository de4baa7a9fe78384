//! Convolutions, and fully connected layers as convolutions of one pixel: by cuDNN if it can, else by plain
//! kernels.

use super::Argument;
use super::gpu::{Address, NONE, arguments, size};
use super::layout::Number;
use super::plan::Key;
use super::run::{Batch, Runner};
use crate::device::Precision;
use crate::error::Result;
use crate::ops::conv2d::Geometry;

/// A convolution whose weight is constant 0 of its step, and whose bias is 1 and, in bf16, 2.
pub(super) struct Work {
    pub(super) geometry: Geometry,
    pub(super) relu: bool,
    pub(super) bias: bool,
}

/// Threads of a kernel that do eight elements each.
fn eights(elements: usize) -> usize {
    elements.div_ceil(8)
}

impl Runner {
    /// The convolution of step `i` with its bias and ReLU.
    pub(super) fn convolve(&self, batch: &Batch<'_>, i: usize, work: &Work) -> Result<()> {
        let key = self.key(batch, i, work, false);
        let (input, y) = (self.program.steps()[i].inputs[0], i + 1);
        let (x, y) = (self.value(batch, input), self.value(batch, y));
        let (number, kept) = (self.number_of(i), self.kept(batch, i));
        let constant = |which| self.steps[i].constant(which);
        let total = batch.images * key.output.iter().product::<usize>();
        // cuDNN wants a bias of the same kind as the values.
        let copy = if number == Number::Bf16 { 2 } else { 1 };
        let places = [x, constant(0), constant(copy), y];
        if work.bias
            && let Some(dnn) = batch.gpu.dnn()
            && dnn.convolve_with_bias(batch.gpu, key, places, work.relu)?
        {
            // What is missing is the bits for a pullback.
            let threads = if kept == NONE { 0 } else { eights(total) };
            let bits = arguments![y, kept, size(total)];
            return batch.gpu.launch_for(number, "positive", threads, &bits);
        }
        run(batch, number, key, [x, constant(0), y], None)?;
        if !work.bias && !work.relu {
            return Ok(());
        }
        let [_, _, channels] = key.output;
        let finish = arguments![y, NONE, constant(1), y, kept, size(total), channels, work.relu];
        batch.gpu.launch_for(number, "affine", eights(total), &finish)
    }

    /// The pullback of the convolution of step `i`, to `gx`.
    pub(super) fn convolve_back(
        &self,
        batch: &Batch<'_>,
        i: usize,
        work: &Work,
        (gx, add): (Address, bool),
    ) -> Result<()> {
        let key = self.key(batch, i, work, true);
        let (number, g) = (self.number_of(i), self.cotangent_of(batch, i + 1));
        if work.relu {
            let outputs = batch.images * key.output.iter().product::<usize>();
            let [_, _, channels] = key.output;
            let kept = self.kept(batch, i);
            let cut = arguments![g, NONE, kept, g, size(outputs), channels, false];
            batch.gpu.launch_for(number, "affine_pullback", eights(outputs), &cut)?;
        }
        run(batch, number, key, [g, self.steps[i].constant(0), gx], Some(add))
    }

    fn key(&self, batch: &Batch<'_>, i: usize, work: &Work, backward: bool) -> Key {
        let (steps, shapes) = (self.program.steps(), self.program.shapes());
        let (input, output) = (shapes[steps[i].inputs[0]].sides(), shapes[i + 1].sides());
        let precision = arithmetic(batch, self.number_of(i));
        Key { images: batch.images, input, output, geometry: work.geometry, precision, backward }
    }
}

/// How values are convolved that are stored as `number`: a network in bf16 has its vectors in f32 and does
/// not round their factors.
fn arithmetic(batch: &Batch<'_>, number: Number) -> Precision {
    match (number, batch.precision) {
        (Number::Bf16, _) => Precision::Bf16,
        (Number::F32, Precision::Bf16) => Precision::F32,
        (Number::F32, precision) => precision,
    }
}

/// Convolves `[x, weight, y]`, stored as `number`. With `back`, maps the cotangent `x` of the output to that of
/// the input, which is added to what is in `y` if it says so.
fn run(
    batch: &Batch<'_>,
    number: Number,
    key: Key,
    [x, weight, y]: [Address; 3],
    back: Option<bool>,
) -> Result<()> {
    let gpu = batch.gpu;
    if let Some(dnn) = gpu.dnn()
        && dnn.convolve(gpu, key, [x, weight, y], back == Some(true))?
    {
        return Ok(());
    }
    let (kernel, result) =
        if key.backward { ("conv_pullback", key.input) } else { ("conv", key.output) };
    let total = key.images * result.iter().product::<usize>();
    let mut arguments = arguments![x, weight, y, size(total)].to_vec();
    arguments.extend(shape_of(&key));
    arguments.extend(back.map(Argument::from));
    gpu.launch_for(number, kernel, total, &arguments)
}

/// What the plain kernels have to know of a convolution.
fn shape_of(key: &Key) -> [Argument; 15] {
    let ([h, w, c], [oh, ow, oc]) = (key.input, key.output);
    let Geometry { kernel: [kh, kw], stride, padding, dilation, groups, .. } = key.geometry;
    let (top, left) = (padding.top, padding.left);
    let [stride_y, stride_x] = stride;
    let [dilation_y, dilation_x] = dilation;
    arguments![
        h, w, c, oh, ow, oc, kh, kw, stride_y, stride_x, top, left, dilation_y, dilation_x, groups
    ]
}
