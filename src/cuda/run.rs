//! A lowered network on one GPU: its steps forward and backward, each as one or two kernels or a
//! convolution of cuDNN.

use super::dnn::Key;
use super::gpu::{Address, Argument, Gpu, Memory, NONE, arguments, size};
use super::layout::Layout;
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Shape;
use crate::nn::lower::{Keeps, Lowered, Map, Op, Row, Step, Value};
use crate::ops::conv2d::Geometry;

/// A network in the memory of a GPU.
pub(super) struct Runner {
    lowered: Lowered,
    /// The numbers of every step.
    weights: Vec<Vec<Memory>>,
    forward: Layout,
    both: Layout,
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

/// `[H, W, C]`; a vector is an image of one pixel.
fn sides(shape: Shape) -> [usize; 3] {
    match shape {
        Shape::Image { height, width, channels } => [height, width, channels],
        Shape::Flat(len) => [1, 1, len],
    }
}

impl Runner {
    /// Copies the weights of `lowered` to `gpu`.
    pub(super) fn new(gpu: &Gpu, lowered: Lowered) -> Result<Self> {
        let numbers = |step: &Step| -> Vec<Vec<f32>> {
            match &step.op {
                Op::Normalise { mean, std } => {
                    vec![mean.clone(), std.clone(), std.iter().map(|std| 1.0 / std).collect()]
                }
                Op::Affine { scale, shift, .. } => {
                    vec![scale.clone().unwrap_or_default(), shift.clone().unwrap_or_default()]
                }
                Op::Conv { weight, bias, .. } => {
                    vec![weight.clone(), bias.clone().unwrap_or_default()]
                }
                Op::MeanSparse { mean, radius } => vec![mean.clone(), radius.clone()],
                Op::Row(Row::LayerNorm { weight, bias, .. }) => vec![weight.clone(), bias.clone()],
                _ => Vec::new(),
            }
        };
        let weights = lowered
            .steps
            .iter()
            .map(|step| numbers(step).iter().map(|numbers| gpu.upload(numbers)).collect())
            .collect::<Result<_>>()?;
        let (forward, both) = (Layout::new(&lowered, false), Layout::new(&lowered, true));
        Ok(Self { lowered, weights, forward, both })
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

    fn value(&self, batch: &Batch<'_>, value: Value) -> Address {
        self.at(batch, self.layout(batch.pullback).values[value])
    }

    fn cotangent_of(&self, batch: &Batch<'_>, value: Value) -> Address {
        self.at(batch, self.both.cotangents[value])
    }

    /// Where a step keeps its bits or origins; nowhere, if no pullback follows.
    fn kept(&self, batch: &Batch<'_>, step: usize) -> Address {
        let keeps = self.lowered.steps[step].op.keeps();
        if batch.pullback && matches!(keeps, Keeps::Bits | Keeps::Origins) {
            self.at(batch, self.both.kept[step])
        } else {
            NONE
        }
    }

    /// Number `which` of a step's weights; nowhere, if it has none.
    fn weight(&self, step: usize, which: usize) -> Address {
        match self.weights[step].get(which) {
            Some(memory) if memory.bytes() > 0 => memory.at(),
            _ => NONE,
        }
    }

    /// Computes the logits of the images.
    pub(super) fn forward(&self, batch: &Batch<'_>) -> Result<()> {
        for i in 0..self.lowered.steps.len() {
            self.step(batch, i)?;
        }
        Ok(())
    }

    /// Computes the gradient of the images from the cotangent of the logits.
    pub(super) fn pullback(&self, batch: &Batch<'_>) -> Result<()> {
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

    fn step(&self, batch: &Batch<'_>, i: usize) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (gpu, n) = (batch.gpu, batch.images);
        let (from, to) = (self.lowered.shapes[step.x], self.lowered.shapes[step.y]);
        let ([h, w, c], [oh, ow, oc]) = (sides(from), sides(to));
        let (x, y) = (self.value(batch, step.x), self.value(batch, step.y));
        let total = n * to.len();
        let weight = |which| self.weight(i, which);
        let kept = self.kept(batch, i);
        let run = |name, threads, arguments: &[Argument]| gpu.launch(name, threads, arguments);
        match &step.op {
            Op::Normalise { .. } => {
                run("normalise", total, &arguments![x, weight(0), weight(1), y, size(total), c])
            }
            Op::Affine { relu, .. } => {
                self.affine(gpu, [x, weight(0), weight(1), y, kept], total, c, *relu)
            }
            Op::Conv { bias, relu, geometry, .. } => {
                self.convolve(batch, geometry, (from, to), [x, weight(0), y])?;
                if bias.is_none() && !relu {
                    return Ok(());
                }
                self.affine(gpu, [y, NONE, weight(1), y, kept], total, oc, *relu)
            }
            Op::Map(map) => {
                let (kind, alpha, beta) = numbers(*map);
                run("map", total, &arguments![kind, x, y, size(total), alpha, beta])
            }
            Op::MeanSparse { .. } => {
                run("mean_sparse", total, &arguments![x, weight(0), weight(1), y, size(total), c])
            }
            Op::Scale(factor) => {
                run("scale", total, &arguments![x, *factor, y, size(total), false])
            }
            Op::AvgPool(window) => run(
                "avg_pool",
                total,
                &arguments![x, y, size(total), h, w, c, oh, ow, window.size, window.stride],
            ),
            Op::MaxPool(window) => run(
                "max_pool",
                total,
                &arguments![x, y, kept, size(total), h, w, c, oh, ow, window.size, window.stride],
            ),
            Op::GlobalAvgPool => {
                run("global_avg_pool", total, &arguments![x, y, size(total), c, h * w])
            }
            Op::Flatten => run("to_nchw", total, &arguments![x, y, size(total), c, h * w, false]),
            Op::Subsample(pixels) => {
                run("subsample", total, &arguments![x, y, size(total), h, w, c, oh, ow, *pixels])
            }
            Op::Pad { pixels, channels } => run(
                "pad",
                total,
                &arguments![
                    x,
                    y,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    oc,
                    pixels.top,
                    pixels.left,
                    channels[0]
                ],
            ),
            Op::Row(row) => {
                let length = row_length(row, from);
                let rows = total / length.max(1);
                match row {
                    Row::LayerNorm { eps, .. } => run(
                        "layer_norm",
                        rows,
                        &arguments![x, weight(0), weight(1), y, size(rows), length, *eps],
                    ),
                    Row::Standardise => {
                        run("standardise", rows, &arguments![x, y, size(rows), length])
                    }
                    Row::UnitLength => {
                        run("unit_length", rows, &arguments![x, y, size(rows), length])
                    }
                    Row::Softmax => run("softmax", rows, &arguments![x, y, size(rows), length]),
                }
            }
            Op::Add => {
                let with = self.value(batch, step.with.unwrap_or(step.x));
                run("sum", total, &arguments![x, with, y, size(total)])
            }
            Op::Gate => {
                let gates = self.value(batch, step.with.unwrap_or(step.x));
                run("gate", total, &arguments![x, gates, y, size(total), c, h * w])
            }
        }
    }

    /// The cotangent of the first value that step `i` reads; `add` if it has been written to before.
    fn step_back(&self, batch: &Batch<'_>, i: usize, add: bool) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (gpu, n) = (batch.gpu, batch.images);
        let (from, to) = (self.lowered.shapes[step.x], self.lowered.shapes[step.y]);
        let ([h, w, c], [oh, ow, oc]) = (sides(from), sides(to));
        let (g, gx) = (self.cotangent_of(batch, step.y), self.cotangent_of(batch, step.x));
        let x = self.value(batch, step.x);
        let total = n * from.len();
        let weight = |which| self.weight(i, which);
        let kept = self.kept(batch, i);
        let run = |name, threads, arguments: &[Argument]| gpu.launch(name, threads, arguments);
        match &step.op {
            Op::Normalise { .. } => run(
                "affine_pullback",
                total,
                &arguments![g, weight(2), NONE, gx, size(total), c, add],
            ),
            Op::Affine { .. } => run(
                "affine_pullback",
                total,
                &arguments![g, weight(0), kept, gx, size(total), c, add],
            ),
            Op::Conv { relu, geometry, .. } => {
                if *relu {
                    let outputs = n * to.len();
                    run(
                        "affine_pullback",
                        outputs,
                        &arguments![g, NONE, kept, g, size(outputs), oc, false],
                    )?;
                }
                self.convolve_back(batch, geometry, (from, to), [g, weight(0), gx], add)
            }
            Op::Map(map) => {
                let (kind, alpha, beta) = numbers(*map);
                run(
                    "map_pullback",
                    total,
                    &arguments![kind, x, g, gx, size(total), alpha, beta, add],
                )
            }
            Op::MeanSparse { .. } => run(
                "mean_sparse_pullback",
                total,
                &arguments![x, g, weight(0), weight(1), gx, size(total), c, add],
            ),
            Op::Scale(factor) => run("scale", total, &arguments![g, *factor, gx, size(total), add]),
            Op::AvgPool(window) => run(
                "avg_pool_pullback",
                total,
                &arguments![g, gx, size(total), h, w, c, oh, ow, window.size, window.stride, add],
            ),
            Op::MaxPool(window) => run(
                "max_pool_pullback",
                total,
                &arguments![
                    g,
                    kept,
                    gx,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    window.size,
                    window.stride,
                    add
                ],
            ),
            Op::GlobalAvgPool => run(
                "global_avg_pool_pullback",
                total,
                &arguments![g, gx, size(total), c, h * w, add],
            ),
            Op::Flatten => run("to_nhwc", total, &arguments![g, gx, size(total), c, h * w, add]),
            Op::Subsample(pixels) => run(
                "subsample_pullback",
                total,
                &arguments![g, gx, size(total), h, w, c, oh, ow, *pixels, add],
            ),
            Op::Pad { pixels, channels } => run(
                "pad_pullback",
                total,
                &arguments![
                    g,
                    gx,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    oc,
                    pixels.top,
                    pixels.left,
                    channels[0],
                    add
                ],
            ),
            Op::Row(row) => {
                let length = row_length(row, from);
                let rows = total / length.max(1);
                let rest = [Argument::from(gx), size(rows), length.into(), add.into()];
                let of = |name| run(name, rows, &[&arguments![x, g][..], &rest].concat());
                match row {
                    Row::LayerNorm { eps, .. } => run(
                        "layer_norm_pullback",
                        rows,
                        &arguments![x, g, weight(0), gx, size(rows), length, *eps, add],
                    ),
                    Row::Standardise => of("standardise_pullback"),
                    Row::UnitLength => of("unit_length_pullback"),
                    Row::Softmax => of("softmax_pullback"),
                }
            }
            Op::Add => run("scale", total, &arguments![g, 1.0_f32, gx, size(total), add]),
            Op::Gate => {
                let gates = self.value(batch, step.with.unwrap_or(step.x));
                run("gate_pullback", total, &arguments![gates, g, gx, size(total), c, h * w, add])
            }
        }
    }

    /// The cotangent of the second value that step `i` reads.
    fn step_back_with(&self, batch: &Batch<'_>, i: usize, with: Value, add: bool) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (g, gx) = (self.cotangent_of(batch, step.y), self.cotangent_of(batch, with));
        let total = batch.images * self.lowered.shapes[with].len();
        if step.op == Op::Gate {
            let [h, w, c] = sides(self.lowered.shapes[step.x]);
            let x = self.value(batch, step.x);
            let arguments = arguments![x, g, gx, size(total), c, h * w, add];
            return batch.gpu.launch("gate_pullback_gates", total, &arguments);
        }
        batch.gpu.launch("scale", total, &arguments![g, 1.0_f32, gx, size(total), add])
    }

    /// `[x, scale, shift, y, bits]`; eight elements per thread.
    fn affine(
        &self,
        gpu: &Gpu,
        [x, scale, shift, y, bits]: [Address; 5],
        total: usize,
        channels: usize,
        relu: bool,
    ) -> Result<()> {
        let arguments = arguments![x, scale, shift, y, bits, size(total), channels, relu];
        gpu.launch("affine", total.div_ceil(8), &arguments)
    }

    fn convolve(
        &self,
        batch: &Batch<'_>,
        geometry: &Geometry,
        (from, to): (Shape, Shape),
        [x, weight, y]: [Address; 3],
    ) -> Result<()> {
        let key = key(batch, geometry, (from, to), false);
        if let Some(dnn) = batch.gpu.dnn()
            && dnn.convolve(batch.gpu, key, [x, weight, y], false)?
        {
            return Ok(());
        }
        let total = batch.images * to.len();
        let mut arguments = arguments![x, weight, y, size(total)].to_vec();
        arguments.extend(shape_of(&key));
        batch.gpu.launch("conv", total, &arguments)
    }

    fn convolve_back(
        &self,
        batch: &Batch<'_>,
        geometry: &Geometry,
        (from, to): (Shape, Shape),
        [g, weight, gx]: [Address; 3],
        add: bool,
    ) -> Result<()> {
        let key = key(batch, geometry, (from, to), true);
        if let Some(dnn) = batch.gpu.dnn()
            && dnn.convolve(batch.gpu, key, [g, weight, gx], add)?
        {
            return Ok(());
        }
        let total = batch.images * from.len();
        let mut arguments = arguments![g, weight, gx, size(total)].to_vec();
        arguments.extend(shape_of(&key));
        arguments.push(add.into());
        batch.gpu.launch("conv_pullback", total, &arguments)
    }
}

fn key(batch: &Batch<'_>, geometry: &Geometry, (from, to): (Shape, Shape), backward: bool) -> Key {
    let (images, precision) = (batch.images, batch.precision);
    Key { images, input: sides(from), output: sides(to), geometry: *geometry, precision, backward }
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

/// The number of a function in `kernels/map.cu`, and its constants.
fn numbers(map: Map) -> (usize, f32, f32) {
    match map {
        Map::Silu => (0, 0.0, 0.0),
        Map::Gelu => (1, 0.0, 0.0),
        Map::Sigmoid => (2, 0.0, 0.0),
        Map::PsSilu { alpha, beta } => (3, alpha, beta),
    }
}

/// A layer norm is of each pixel, the others of the whole image.
fn row_length(row: &Row, shape: Shape) -> usize {
    match row {
        Row::LayerNorm { .. } => shape.channels(),
        Row::Standardise | Row::UnitLength | Row::Softmax => shape.len(),
    }
}
