//! What kernels and cuDNN have to know of a step beside its values: its weights, its sizes and which kernel
//! it is.

use half::bf16;

use super::Argument;
use super::gpu::{Address, Gpu, Memory, arguments, size};
use super::layout::Number;
use super::plan::Key;
use super::run::Batch;
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Shape;
use crate::nn::lower::{Map, Op, Row, sides};
use crate::ops::attention::Groups;
use crate::ops::conv2d::Geometry;

/// The numbers of a step in the memory of the GPU, in the order in which kernels are given them, for values
/// that are stored as `number`.
pub(super) fn weights(gpu: &Gpu, op: &Op, number: Number) -> Result<Vec<Memory>> {
    let floats = |numbers: &[&[f32]]| numbers.iter().map(|numbers| gpu.upload(numbers)).collect();
    match op {
        Op::Normalise { mean, std } => {
            let inverse: Vec<f32> = std.iter().map(|std| 1.0 / std).collect();
            floats(&[mean, std, &inverse])
        }
        Op::Affine { scale, shift, .. } => {
            floats(&[scale.as_deref().unwrap_or_default(), shift.as_deref().unwrap_or_default()])
        }
        Op::Conv { weight, bias, .. } => {
            let bias = bias.as_deref().unwrap_or_default();
            match number {
                Number::F32 => floats(&[weight, bias]),
                Number::Bf16 => {
                    let half = |numbers: &[f32]| {
                        let numbers: Vec<bf16> =
                            numbers.iter().map(|w| bf16::from_f32(*w)).collect();
                        gpu.upload(&numbers)
                    };
                    Ok(vec![half(weight)?, gpu.upload(bias)?, half(bias)?])
                }
            }
        }
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
pub(super) fn form(groups: &Groups, heads: usize, channels: usize) -> [Argument; 5] {
    arguments![groups.pixels.len(), groups.length, groups.queries, heads, channels / heads.max(1)]
}

/// Kernels of attention for heads of up to 32, 64 and 128 channels.
pub(super) const ATTENTION: [&str; 3] = ["attention_32", "attention_64", "attention_128"];
pub(super) const OF_QUERIES: [&str; 3] = [
    "attention_pullback_queries_32",
    "attention_pullback_queries_64",
    "attention_pullback_queries_128",
];
pub(super) const OF_KEYS: [&str; 3] =
    ["attention_pullback_keys_32", "attention_pullback_keys_64", "attention_pullback_keys_128"];

pub(super) fn by_depth(kernels: [&'static str; 3], depth: usize) -> &'static str {
    match depth {
        0..=32 => kernels[0],
        33..=64 => kernels[1],
        _ => kernels[2],
    }
}

/// Where attention among channels keeps its numbers.
pub(super) struct Scores {
    /// Scores, probabilities, cotangents of scores, and the lengths of queries and keys.
    pub(super) places: [Address; 4],
    /// Query channels of the batch.
    pub(super) rows: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
}

impl Scores {
    pub(super) fn new(kept: Address, images: usize, channels: usize, heads: usize) -> Self {
        let (rows, depth) = (images * channels, channels / heads.max(1));
        let places = [0, 1, 2, 3].map(|i| kept + 4 * (i * rows * depth) as Address);
        Self { places, rows, heads, depth }
    }
}

/// Lengths of the rows that are joined: of whole images or of pixels.
pub(super) fn halves(pixels: bool, shapes: [Shape; 2]) -> (usize, usize) {
    let [a, b] = shapes.map(|shape| if pixels { shape.len() } else { shape.channels() });
    (a, b)
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

/// Convolves `[x, weight, y]`, stored as `number`, by cuDNN if it can. With `back`, maps the cotangent `x`
/// of the output to that of the input, which is added to what is in `y` if it says so.
pub(super) fn convolve(
    batch: &Batch<'_>,
    number: Number,
    geometry: &Geometry,
    (from, to): (Shape, Shape),
    [x, weight, y]: [Address; 3],
    back: Option<bool>,
) -> Result<()> {
    let Batch { gpu, images, .. } = *batch;
    let precision = arithmetic(batch, number);
    let (input, output) = (sides(from), sides(to));
    let backward = back.is_some();
    let key = Key { images, input, output, geometry: *geometry, precision, backward };
    if let Some(dnn) = gpu.dnn()
        && dnn.convolve(gpu, key, [x, weight, y], back == Some(true))?
    {
        return Ok(());
    }
    let (kernel, result) = if backward { ("conv_pullback", from) } else { ("conv", to) };
    let total = images * result.len();
    let mut arguments = arguments![x, weight, y, size(total)].to_vec();
    arguments.extend(shape_of(&key));
    arguments.extend(back.map(Argument::from));
    gpu.launch_for(number, kernel, total, &arguments)
}

/// Convolves `[x, weight, bias, y]`, all stored as `number`, with bias and ReLU in one, if cuDNN can.
pub(super) fn convolve_with_bias(
    batch: &Batch<'_>,
    number: Number,
    geometry: &Geometry,
    (from, to): (Shape, Shape),
    places: [Address; 4],
    relu: bool,
) -> Result<bool> {
    let Batch { gpu, images, .. } = *batch;
    let precision = arithmetic(batch, number);
    let (input, output) = (sides(from), sides(to));
    let key = Key { images, input, output, geometry: *geometry, precision, backward: false };
    gpu.dnn().map_or(Ok(false), |dnn| dnn.convolve_with_bias(gpu, key, places, relu))
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

/// Threads of a kernel that do eight elements each.
pub(super) fn eights(elements: usize) -> usize {
    elements.div_ceil(8)
}

/// The number of a function in `kernels/map.cu`, and its constants.
pub(super) fn numbers(map: Map) -> (usize, f32, f32) {
    match map {
        Map::Silu => (0, 0.0, 0.0),
        Map::Gelu => (1, 0.0, 0.0),
        Map::Sigmoid => (2, 0.0, 0.0),
        Map::PsSilu { alpha, beta } => (3, alpha, beta),
    }
}

/// A layer norm is of each pixel, the others of the whole image.
pub(super) fn row_length(row: &Row, shape: Shape) -> usize {
    match row {
        Row::LayerNorm { .. } => shape.channels(),
        Row::Standardise | Row::UnitLength | Row::Softmax => shape.len(),
    }
}
