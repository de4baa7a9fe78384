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

/// Elements of a tensor that cuDNN takes, at most.
const MOST_ELEMENTS: usize = i32::MAX as usize;

/// Threads of a kernel that do eight elements each.
fn eights(elements: usize) -> usize {
    elements.div_ceil(8)
}

impl Runner {
    /// The convolution of step `i` with its bias and ReLU.
    pub(super) fn convolve(&self, batch: &Batch<'_>, i: usize, work: &Work) -> Result<()> {
        let key = self.key(batch, i, work, None);
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
            && key.images <= most_images(&key)
            && dnn.convolve_with_bias(batch.gpu, key, places, work.relu)?
        {
            // What is missing is the bits for a pullback.
            let threads = if kept == NONE { 0 } else { eights(total) };
            let bits = arguments![y, kept, size(total)];
            return batch.gpu.launch_for(number, "positive", threads, &bits);
        }
        run(batch, number, key, [x, constant(0), y])?;
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
        let key = self.key(batch, i, work, Some(add));
        let (number, g) = (self.number_of(i), self.cotangent_of(batch, i + 1));
        if work.relu {
            let outputs = batch.images * key.output.iter().product::<usize>();
            let [_, _, channels] = key.output;
            let kept = self.kept(batch, i);
            let cut = arguments![g, NONE, kept, g, size(outputs), channels, false];
            batch.gpu.launch_for(number, "affine_pullback", eights(outputs), &cut)?;
        }
        run(batch, number, key, [g, self.steps[i].constant(0), gx])
    }

    /// The convolution of step `i` forward, or with `back` its pullback, which is added to what is there if it
    /// says so.
    fn key(&self, batch: &Batch<'_>, i: usize, work: &Work, back: Option<bool>) -> Key {
        let (steps, shapes) = (self.program.steps(), self.program.shapes());
        Key {
            images: batch.images,
            input: shapes[steps[i].inputs[0]].sides(),
            output: shapes[i + 1].sides(),
            geometry: work.geometry,
            precision: arithmetic(batch, self.number_of(i)),
            backward: back.is_some(),
            add: back == Some(true),
        }
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

/// Images of one call of cuDNN, at most, whose tensors have fewer than 2^31 elements: 1,024 images of the first
/// layers of a VGG-16 at 224x224 have more.
fn most_images(key: &Key) -> usize {
    let elements = |sides: [usize; 3]| sides.iter().product::<usize>().max(1);
    (MOST_ELEMENTS / elements(key.input).max(elements(key.output))).max(1)
}

/// Convolves `[x, weight, y]`, stored as `number`; `x` is the cotangent of the output where the key is for a
/// pullback.
fn run(batch: &Batch<'_>, number: Number, key: Key, [x, weight, y]: [Address; 3]) -> Result<()> {
    let (from, to) = if key.backward { (key.output, key.input) } else { (key.input, key.output) };
    let [from, to] = [from, to].map(|sides| sides.iter().product::<usize>());
    let most = most_images(&key);
    for first in (0..key.images).step_by(most) {
        let images = most.min(key.images - first);
        let key = Key { images, ..key };
        let at = |address, elements| address + (first * elements * number.bytes()) as Address;
        let places = [at(x, from), weight, at(y, to)];
        if let Some(dnn) = batch.gpu.dnn()
            && dnn.convolve(batch.gpu, key, places)?
        {
            continue;
        }
        let [x, weight, y] = places;
        let total = images * to;
        let mut arguments = arguments![x, weight, y, size(total)].to_vec();
        arguments.extend(shape_of(&key));
        let kernel = match key.backward {
            true => {
                arguments.push(Argument::from(key.add));
                "conv_pullback"
            }
            false => "conv",
        };
        batch.gpu.launch_for(number, kernel, total, &arguments)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv2d::Padding;

    #[test]
    fn tensors_stay_below_what_cudnn_takes() {
        let geometry = Geometry {
            kernel: [3, 3],
            stride: [1, 1],
            padding: Padding::all(1),
            dilation: [1, 1],
            groups: 1,
            inputs: 3,
            outputs: 64,
        };
        let (input, output) = ([224, 224, 3], [224, 224, 64]);
        let precision = Precision::F32;
        let key =
            Key { images: 1024, input, output, geometry, precision, backward: false, add: false };
        assert_eq!(most_images(&key), 668);
        let twice = Geometry { outputs: 128, ..key.geometry };
        let wide = Key { output: [224, 224, 128], geometry: twice, ..key };
        assert_eq!(most_images(&wide), 334);
        assert_eq!(most_images(&Key { output: [1 << 16, 1 << 16, 1], ..key }), 1);
    }
}
