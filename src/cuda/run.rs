//! A lowered network on one GPU: its steps forward and backward, each as one or two kernels or a
//! convolution of cuDNN.

use super::dnn::Key;
use super::gpu::{Address, Argument, Gpu, Memory, NONE, arguments, size};
use super::layout::Layout;
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Shape;
use crate::nn::lower::{Keeps, Lowered, Map, Op, Row, Step, Value, sides};
use crate::ops::attention::Groups;
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

impl Runner {
    /// Copies the weights of `lowered` to `gpu`.
    pub(super) fn new(gpu: &Gpu, lowered: Lowered) -> Result<Self> {
        let weights =
            lowered.steps.iter().map(|step| weights(gpu, &step.op)).collect::<Result<_>>()?;
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

    /// Where a step keeps its bits, origins or scores; nowhere, if it does not.
    fn kept(&self, batch: &Batch<'_>, step: usize) -> Address {
        let Step { op, y, .. } = &self.lowered.steps[step];
        match op.keeps(self.lowered.shapes[*y]) {
            Keeps::Bits | Keeps::Origins if !batch.pullback => NONE,
            Keeps::Nothing | Keeps::Inputs => NONE,
            _ => self.at(batch, self.layout(batch.pullback).kept[step]),
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
            Op::Attention { heads, groups, .. } => {
                let (threads, [pixels, regions, bias]) =
                    (n * groups.outputs() * heads, [weight(0), weight(1), weight(2)]);
                let mut arguments =
                    arguments![x, pixels, regions, bias, y, kept, size(threads)].to_vec();
                arguments.extend(form(groups, *heads, oc));
                run(by_depth(ATTENTION, oc / heads), threads, &arguments)
            }
            Op::ChannelAttention(temperatures) => {
                let at = Scores::new(kept, n, oc, temperatures.len());
                let sizes = [h * w, at.heads, at.depth].map(Argument::from);
                let [scores, p, _, lengths] = at.places;
                let first = arguments![x, weight(0), scores, p, lengths, size(at.rows)];
                run("channel_scores", at.rows, &[&first[..], &sizes].concat())?;
                let second = arguments![x, p, y, size(total)];
                run("channel_mix", total, &[&second[..], &sizes].concat())
            }
            Op::Join { pixels } => {
                let other = step.with.unwrap_or(step.x);
                let (la, lb) = halves(*pixels, [from, self.lowered.shapes[other]]);
                let other = self.value(batch, other);
                run("join", total, &arguments![x, other, y, size(total), la, lb, false])
            }
            Op::Before(numbers) => {
                let lengths = (numbers.len(), from.len());
                let arguments =
                    arguments![weight(0), x, y, size(total), lengths.0, lengths.1, true];
                run("join", total, &arguments)
            }
            Op::Position(numbers) => {
                run("add_constant", total, &arguments![x, weight(0), y, size(total), numbers.len()])
            }
            Op::Part(first) => {
                let arguments =
                    arguments![x, y, size(total), from.len(), first * c, to.len(), false];
                run("part", total, &arguments)
            }
            Op::PatchMerge => run("patch_merge", total, &arguments![x, y, size(total), h, w, c]),
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
            Op::Attention { heads, groups, .. } => {
                let [pixels, regions, bias] = [weight(0), weight(1), weight(2)];
                let asked = n * groups.outputs() * heads;
                let (sums, deltas) = (kept, kept + 4 * asked as Address);
                let call = |name, threads: usize| {
                    let mut arguments =
                        arguments![x, pixels, regions, bias, g, sums, deltas, gx, size(threads)]
                            .to_vec();
                    arguments.extend(form(groups, *heads, oc));
                    arguments.push(add.into());
                    run(name, threads, &arguments)
                };
                call(by_depth(OF_QUERIES, oc / heads), asked)?;
                call(by_depth(OF_KEYS, oc / heads), n * groups.pixels.len() * heads)
            }
            Op::ChannelAttention(temperatures) => {
                let at = Scores::new(kept, n, oc, temperatures.len());
                let sizes = [h * w, at.heads, at.depth].map(Argument::from);
                let [scores, p, of_scores, lengths] = at.places;
                let first = arguments![x, g, p, of_scores, size(at.rows)];
                run("channel_scores_pullback", at.rows, &[&first[..], &sizes].concat())?;
                let threads = n * to.len();
                let second = arguments![
                    x,
                    g,
                    weight(0),
                    scores,
                    p,
                    of_scores,
                    lengths,
                    gx,
                    size(threads),
                    size(at.rows)
                ];
                let last = [Argument::from(add)];
                run("channel_mix_pullback", threads, &[&second[..], &sizes, &last].concat())
            }
            Op::Join { pixels } => {
                let other = self.lowered.shapes[step.with.unwrap_or(step.x)];
                let (la, lb) = halves(*pixels, [from, other]);
                run("part", total, &arguments![g, gx, size(total), la + lb, 0_usize, la, add])
            }
            Op::Before(numbers) => {
                let (whole, first) = (to.len(), numbers.len());
                run("part", total, &arguments![g, gx, size(total), whole, first, from.len(), add])
            }
            Op::Position(_) => run("scale", total, &arguments![g, 1.0_f32, gx, size(total), add]),
            Op::Part(first) => {
                let (whole, first) = (from.len(), first * c);
                let arguments = arguments![g, gx, size(total), whole, first, to.len(), add];
                run("part_pullback", total, &arguments)
            }
            Op::PatchMerge => {
                run("patch_merge_pullback", total, &arguments![g, gx, size(total), h, w, c, add])
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
        if let Op::Join { pixels } = step.op {
            let (la, lb) = halves(pixels, [step.x, with].map(|value| self.lowered.shapes[value]));
            let arguments = arguments![g, gx, size(total), la + lb, la, lb, add];
            return batch.gpu.launch("part", total, &arguments);
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

/// The numbers of a step in the memory of the GPU, in the order in which kernels are given them.
fn weights(gpu: &Gpu, op: &Op) -> Result<Vec<Memory>> {
    let floats = |numbers: &[&[f32]]| numbers.iter().map(|numbers| gpu.upload(numbers)).collect();
    match op {
        Op::Normalise { mean, std } => {
            let inverse: Vec<f32> = std.iter().map(|std| 1.0 / std).collect();
            floats(&[mean, std, &inverse])
        }
        Op::Affine { scale, shift, .. } => {
            floats(&[scale.as_deref().unwrap_or_default(), shift.as_deref().unwrap_or_default()])
        }
        Op::Conv { weight, bias, .. } => floats(&[weight, bias.as_deref().unwrap_or_default()]),
        Op::MeanSparse { mean, radius } => floats(&[mean, radius]),
        Op::Row(Row::LayerNorm { weight, bias, .. }) => floats(&[weight, bias]),
        Op::ChannelAttention(numbers) | Op::Before(numbers) | Op::Position(numbers) => {
            floats(&[numbers])
        }
        Op::Attention { groups, bias, .. } => {
            let pixels: Vec<i32> = groups.pixels.iter().map(|pixel| *pixel as i32).collect();
            let regions: Vec<i32> =
                groups.regions.iter().map(|region| i32::from(*region)).collect();
            let bias = bias.as_deref().unwrap_or_default();
            Ok(vec![gpu.upload(&pixels)?, gpu.upload(&regions)?, gpu.upload(bias)?])
        }
        _ => Ok(Vec::new()),
    }
}

/// What the kernels of attention have to know of its form.
fn form(groups: &Groups, heads: usize, channels: usize) -> [Argument; 5] {
    arguments![groups.pixels.len(), groups.length, groups.queries, heads, channels / heads.max(1)]
}

/// Kernels of attention for heads of up to 32, 64 and 128 channels.
const ATTENTION: [&str; 3] = ["attention_32", "attention_64", "attention_128"];
const OF_QUERIES: [&str; 3] = [
    "attention_pullback_queries_32",
    "attention_pullback_queries_64",
    "attention_pullback_queries_128",
];
const OF_KEYS: [&str; 3] =
    ["attention_pullback_keys_32", "attention_pullback_keys_64", "attention_pullback_keys_128"];

fn by_depth(kernels: [&'static str; 3], depth: usize) -> &'static str {
    match depth {
        0..=32 => kernels[0],
        33..=64 => kernels[1],
        _ => kernels[2],
    }
}

/// Where attention among channels keeps its numbers.
struct Scores {
    /// Scores, probabilities, cotangents of scores, and the lengths of queries and keys.
    places: [Address; 4],
    /// Query channels of the batch.
    rows: usize,
    heads: usize,
    depth: usize,
}

impl Scores {
    fn new(kept: Address, images: usize, channels: usize, heads: usize) -> Self {
        let (rows, depth) = (images * channels, channels / heads.max(1));
        let places = [0, 1, 2, 3].map(|i| kept + 4 * (i * rows * depth) as Address);
        Self { places, rows, heads, depth }
    }
}

/// Lengths of the rows that are joined: of whole images or of pixels.
fn halves(pixels: bool, shapes: [Shape; 2]) -> (usize, usize) {
    let [a, b] = shapes.map(|shape| if pixels { shape.len() } else { shape.channels() });
    (a, b)
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
