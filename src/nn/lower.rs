//! The tree as a list of steps for an engine that runs whole batches on a device of its own: every step
//! names the values it reads and the one it makes, and what its pullback needs of the forward pass. The
//! list holds plain numbers and knows no device; `cuda` runs it.

use candle_core::{DType, Tensor};

use super::{Layer, Node, Shape};
use crate::error::{Error, Result};
use crate::ops::attention::Groups;
use crate::ops::conv2d::{Geometry, Padding};
use crate::ops::pool::Window;

/// Channels of a head, at most, for attention on GPUs.
pub const MOST_DEPTH: usize = 128;

/// Number of a value of a [`Lowered`] network; 0 is the image.
pub type Value = usize;

/// A network as steps in the order of their evaluation.
#[derive(Debug)]
pub struct Lowered {
    /// Shape of every value for one image.
    pub shapes: Vec<Shape>,
    /// The steps; step i makes a value that no step before it reads.
    pub steps: Vec<Step>,
    /// The logits.
    pub output: Value,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// The value it reads.
    pub x: Value,
    /// The second value, for an operation of two.
    pub with: Option<Value>,
    /// The value it makes.
    pub y: Value,
}

/// What a step does. Vectors hold a number per channel unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `(x - mean) / std`.
    Normalise {
        /// Subtracted.
        mean: Vec<f32>,
        /// Divided by.
        std: Vec<f32>,
    },
    /// `x * scale + shift`, cut at 0 with `relu`.
    Affine {
        /// Factors.
        scale: Option<Vec<f32>>,
        /// Summands.
        shift: Option<Vec<f32>>,
        /// Cut at 0.
        relu: bool,
    },
    /// A convolution whose padding is the same above and below, and left and right.
    Conv {
        /// `[O, kh, kw, I / groups]`.
        weight: Vec<f32>,
        /// `[O]`.
        bias: Option<Vec<f32>>,
        /// Cut at 0.
        relu: bool,
        /// Everything else about it.
        geometry: Geometry,
    },
    /// A function of each element.
    Map(Map),
    /// Values closer than `radius` to `mean` become `mean`.
    MeanSparse {
        /// Means.
        mean: Vec<f32>,
        /// Distances.
        radius: Vec<f32>,
    },
    /// A constant factor.
    Scale(f32),
    /// Mean over windows.
    AvgPool(Window),
    /// Maximum over windows.
    MaxPool(Window),
    /// Mean over the whole image.
    GlobalAvgPool,
    /// `[H, W, C]` to `[C * H * W]`.
    Flatten,
    /// Every k-th pixel.
    Subsample(usize),
    /// Zeros around the pixels and around the channels of each.
    Pad {
        /// Around the image.
        pixels: Padding,
        /// Before and after the channels.
        channels: [usize; 2],
    },
    /// A function of each row: a pixel's channels, or all values of an image.
    Row(Row),
    /// The sum of two values.
    Add,
    /// An image times a number per channel, the second value.
    Gate,
    /// Attention among the pixels of groups, of queries, keys and values in `heads` heads.
    Attention {
        /// Number of heads.
        heads: usize,
        /// Who attends to whom.
        groups: Groups,
        /// `[heads, length, length]`, added to the scores.
        bias: Option<Vec<f32>>,
    },
    /// Attention among the channels of a head, with a temperature per head.
    ChannelAttention(Vec<f32>),
    /// Two values side by side: their channels, or with `pixels` all the pixels of the one before all
    /// of the other.
    Join {
        /// Of whole images.
        pixels: bool,
    },
    /// These numbers before every image.
    Before(Vec<f32>),
    /// These numbers added to every image.
    Position(Vec<f32>),
    /// The pixels from this one on.
    Part(usize),
    /// Squares of four pixels as one.
    PatchMerge,
}

/// A smooth function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Map {
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)`.
    Gelu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x (sigmoid(alpha x) - beta) / (1 - beta)`.
    PsSilu {
        /// Inside the sigmoid.
        alpha: f32,
        /// The shift.
        beta: f32,
    },
}

/// A smooth function of the numbers of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A layer norm of each pixel.
    LayerNorm {
        /// Factors.
        weight: Vec<f32>,
        /// Summands.
        bias: Vec<f32>,
        /// Added to the variance.
        eps: f64,
    },
    /// All values of an image centred and divided by their standard deviation.
    Standardise,
    /// A vector divided by its length.
    UnitLength,
    /// Probabilities from logits.
    Softmax,
}

/// What the pullback of a step needs of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    Nothing,
    /// The values it reads.
    Inputs,
    /// The values it reads, and so many numbers for each image besides.
    Scores(usize),
    /// A bit for each element of the output: it is above 0.
    Bits,
    /// A byte for each element of the output: where in its window the maximum was.
    Origins,
}

impl Op {
    /// What the pullback needs of the forward pass, for an output of this shape.
    pub fn keeps(&self, output: Shape) -> Keeps {
        match self {
            Self::Affine { relu: true, .. } | Self::Conv { relu: true, .. } => Keeps::Bits,
            Self::Map(_) | Self::MeanSparse { .. } | Self::Row(_) | Self::Gate => Keeps::Inputs,
            Self::MaxPool(_) => Keeps::Origins,
            Self::Attention { heads, groups, .. } => Keeps::Scores(2 * heads * groups.outputs()),
            Self::ChannelAttention(temperatures) => {
                let (heads, [_, _, channels]) = (temperatures.len(), sides(output));
                let depth = channels / heads.max(1);
                Keeps::Scores(channels * (3 * depth + 2))
            }
            _ => Keeps::Nothing,
        }
    }
}

/// `[H, W, C]`; a vector is an image of one pixel.
pub fn sides(shape: Shape) -> [usize; 3] {
    match shape {
        Shape::Image { height, width, channels } => [height, width, channels],
        Shape::Flat(len) => [1, 1, len],
    }
}

impl Lowered {
    /// The steps of `tree` for images of shape `input`.
    ///
    /// # Errors
    /// If a layer has no such form (the error names it) or the shapes do not fit.
    pub fn new(tree: &Layer, input: Shape) -> Result<Self> {
        let mut lowered = Self { shapes: vec![input], steps: Vec::new(), output: 0 };
        lowered.output = tree.lower(&mut lowered, 0)?;
        Ok(lowered)
    }

    /// Adds a step with a result of shape `shape`.
    pub(super) fn push(&mut self, op: Op, x: Value, with: Option<Value>, shape: Shape) -> Value {
        let y = self.shapes.len();
        self.shapes.push(shape);
        self.steps.push(Step { op, x, with, y });
        y
    }

    /// Adds a step that does `op` as `layer` does.
    pub(super) fn apply(&mut self, layer: &dyn Node, op: Op, x: Value) -> Result<Value> {
        let shape = layer.shape(self.shapes[x])?;
        Ok(self.push(op, x, None, shape))
    }

    /// Adds the branches, all on `x`, and joins their outputs.
    pub(super) fn join(&mut self, branches: &[Layer], pixels: bool, x: Value) -> Result<Value> {
        let mut joined: Option<Value> = None;
        for branch in branches {
            let next = branch.lower(self, x)?;
            joined = Some(match joined {
                None => next,
                Some(first) => {
                    let ([h, w, c], [h2, _, c2]) =
                        (sides(self.shapes[first]), sides(self.shapes[next]));
                    let shape = match (pixels, self.shapes[first]) {
                        (true, _) => Shape::of_image([h + h2, w], c),
                        (false, Shape::Flat(_)) => Shape::Flat(c + c2),
                        (false, _) => Shape::of_image([h, w], c + c2),
                    };
                    self.push(Op::Join { pixels }, first, Some(next), shape)
                }
            });
        }
        Ok(joined.unwrap_or(x))
    }

    /// Adds a convolution; padding that differs by side becomes a step of its own.
    pub(super) fn convolve(
        &mut self,
        (weight, bias): (Vec<f32>, Option<Vec<f32>>),
        relu: bool,
        mut geometry: Geometry,
        mut x: Value,
        output: Shape,
    ) -> Result<Value> {
        let p = geometry.padding;
        if p.top != p.bottom || p.left != p.right {
            let [height, width, channels] = self.shapes[x].image("conv")?;
            let padded = [height + p.top + p.bottom, width + p.left + p.right];
            let op = Op::Pad { pixels: p, channels: [0, 0] };
            x = self.push(op, x, None, Shape::of_image(padded, channels));
            geometry.padding = Padding::default();
        }
        Ok(self.push(Op::Conv { weight, bias, relu, geometry }, x, None, output))
    }
}

/// The numbers of a tensor, in row-major order.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The error of a layer that has no such form.
pub(super) fn absent(layer: &str) -> Error {
    Error::setting(
        format!("layer {layer}"),
        "does not run on the GPU yet",
        "run this network with --device cpu",
    )
}
