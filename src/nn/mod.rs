//! A network as a value: a tree of layers, built by the combinators below and read in several ways.
//! The network under test is frozen, so the only gradient there is is that of the images, and no
//! layer knows about weight gradients, variables or a tape. Inside the tree activations are NHWC
//! tensors `[N, H, W, C]`, or `[N, F]` after [`flatten`] or a global pool; the tokens of a vision
//! transformer are the pixels of an image one pixel wide.
//!
//! A layer is one file with a struct that implements [`Node`], one variant of [`Layer`] and one line
//! in `Layer::node`; an architecture that uses it gets every reading for free.

mod activation;
mod affine;
mod attention;
pub mod bounds;
mod branch;
mod conv2d;
mod covariance_attention;
mod fuse;
mod gate;
mod layer_norm;
mod linear;
pub mod lower;
mod mean_sparse;
mod normalise;
mod pad_pixels;
mod patch_merge;
mod per_image;
mod pool;
mod print;
mod pssilu;
mod reshape;
mod scale;
mod shape;
mod sigmoid;
mod softmax;
mod stack;
mod standardise;
mod tokens;
mod unit_length;

use candle_core::Tensor;

pub use activation::{Gelu, Relu, Silu};
pub use affine::Affine;
pub use attention::Attention;
pub use branch::{Concat, Seq, Sum};
pub use conv2d::Conv2d;
pub use covariance_attention::CovarianceAttention;
pub use fuse::fuse;
pub use gate::Gate;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mean_sparse::MeanSparse;
pub use normalise::Normalise;
pub use pad_pixels::PadPixels;
pub use patch_merge::PatchMerge;
pub use pool::{AvgPool, GlobalAvgPool, MaxPool};
pub use pssilu::PsSilu;
pub use reshape::{Flatten, PadChannels, Subsample};
pub use scale::Scale;
pub use shape::Shape;
pub use sigmoid::Sigmoid;
pub use softmax::Softmax;
pub use stack::Stack;
pub use standardise::Standardise;
pub use tokens::{ClassToken, Position, Tokens};
pub use unit_length::UnitLength;

use bounds::AffineForm;
use lower::{Lowered, Value};

use crate::error::Result;
use crate::ops::activation::Bits;

/// A layer or a composition of layers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Layer {
    /// The input itself; the identity branch of a residual block.
    Identity,
    /// Subtracts a mean and divides by a standard deviation per channel.
    Normalise(Normalise),
    /// A convolution.
    Conv2d(Conv2d),
    /// A fully connected layer.
    Linear(Linear),
    /// Scale and shift per channel: an evaluation-mode batch norm.
    Affine(Affine),
    /// `max(x, 0)`.
    Relu(Relu),
    /// `x * sigmoid(x)`.
    Silu(Silu),
    /// Mean over windows.
    AvgPool(AvgPool),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Mean over the whole image.
    GlobalAvgPool(GlobalAvgPool),
    /// Image to vector, in the order of published weights (C, H, W).
    Flatten(Flatten),
    /// Every k-th pixel.
    Subsample(Subsample),
    /// Zero channels before and after.
    PadChannels(PadChannels),
    /// Subtracts an image's mean and divides by its standard deviation.
    Standardise(Standardise),
    /// A vector divided by its L2 length.
    UnitLength(UnitLength),
    /// `1 / (1 + exp(-x))`.
    Sigmoid(Sigmoid),
    /// Probabilities from logits.
    Softmax(Softmax),
    /// `x (sigmoid(alpha x) - beta) / (1 - beta)`.
    PsSilu(PsSilu),
    /// Values close to their channel's mean become the mean.
    MeanSparse(MeanSparse),
    /// Zero pixels around the image.
    PadPixels(PadPixels),
    /// Channels times numbers that a branch computes from the whole image.
    Gate(Gate),
    /// A constant factor.
    Scale(Scale),
    /// `x Phi(x)`, Phi the standard normal distribution.
    Gelu(Gelu),
    /// A pixel's or a vector's channels centred, divided by their standard deviation, scaled and
    /// shifted.
    LayerNorm(LayerNorm),
    /// Pixels attend to pixels.
    Attention(Attention),
    /// Channels attend to channels.
    CovarianceAttention(CovarianceAttention),
    /// An image as tokens, behind a trained one.
    ClassToken(ClassToken),
    /// A trained image, added.
    Position(Position),
    /// Some of the tokens.
    Tokens(Tokens),
    /// Four pixels become one.
    PatchMerge(PatchMerge),
    /// Layers one after the other.
    Seq(Seq),
    /// Branches on the same input, added.
    Sum(Sum),
    /// Branches on the same input, side by side along the channels.
    Concat(Concat),
    /// Branches on the same input, one below the other.
    Stack(Stack),
}

/// What a layer keeps from the forward pass for its pullback.
#[derive(Debug)]
pub enum Saved {
    /// The pullback needs nothing.
    Nothing,
    /// The shape of the input.
    Shape(Vec<usize>),
    /// The input or another tensor.
    Tensor(Tensor),
    /// Which elements passed.
    Bits(Bits),
    /// The shape of the input, and which elements of the output were not cut at 0.
    Cut(Vec<usize>, Bits),
    /// Where each element of a maximum came from, and the shape of the input.
    Origin(Vec<u32>, [usize; 4]),
    /// What each of several inner layers keeps.
    Inner(Vec<Saved>),
}

impl Saved {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Shape(_) => 0,
            Self::Tensor(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
            Self::Bits(bits) | Self::Cut(_, bits) => bits.bytes(),
            Self::Origin(origin, _) => size_of_val(origin.as_slice()),
            Self::Inner(inner) => inner.iter().map(Self::bytes).sum(),
        }
    }
}

/// The readings of one layer.
pub trait Node {
    /// The output for a batch.
    ///
    /// # Errors
    /// If the shape does not fit or the device fails.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The output and what [`Node::pullback`] needs.
    ///
    /// # Errors
    /// As [`Node::forward`].
    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)>;

    /// Maps a cotangent of the output to the cotangent of the input.
    ///
    /// # Errors
    /// If `saved` is another layer's or the device fails.
    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor>;

    /// The same function in candle's own operations on NCHW tensors: differentiable by candle's
    /// autograd, for training and as a check of the readings above.
    ///
    /// # Errors
    /// As [`Node::forward`].
    fn reference(&self, x: &Tensor) -> Result<Tensor>;

    /// Shape of the output for one image.
    ///
    /// # Errors
    /// If an input of this shape does not fit.
    fn shape(&self, input: Shape) -> Result<Shape>;

    /// Multiply-adds of the matrix products for one image.
    fn multiply_adds(&self, input: Shape) -> u64 {
        let _ = input;
        0
    }

    /// The layer as `y = W x + b` for inputs of this shape, for [`bounds`], without the ReLU that may be
    /// fused to it; `None` if it is no such map.
    ///
    /// # Errors
    /// If the shape does not fit or the device fails.
    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        let _ = input;
        Ok(None)
    }

    /// Adds the layer's steps on the value `x` to `to`; returns the value of its output.
    ///
    /// # Errors
    /// If the layer has no such form or the shape does not fit.
    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let _ = (to, x);
        Err(lower::absent(&self.describe()))
    }

    /// One line for printing: `conv 3x3 16 -> 32 stride 2`.
    fn describe(&self) -> String;

    /// The layers inside, if it is a composition.
    fn inner(&self) -> &[Layer] {
        &[]
    }
}

impl Layer {
    fn node(&self) -> &dyn Node {
        match self {
            Self::Identity => &reshape::Identity,
            Self::Normalise(layer) => layer,
            Self::Conv2d(layer) => layer,
            Self::Linear(layer) => layer,
            Self::Affine(layer) => layer,
            Self::Relu(layer) => layer,
            Self::Silu(layer) => layer,
            Self::AvgPool(layer) => layer,
            Self::MaxPool(layer) => layer,
            Self::GlobalAvgPool(layer) => layer,
            Self::Flatten(layer) => layer,
            Self::Subsample(layer) => layer,
            Self::PadChannels(layer) => layer,
            Self::Standardise(layer) => layer,
            Self::UnitLength(layer) => layer,
            Self::Sigmoid(layer) => layer,
            Self::Softmax(layer) => layer,
            Self::PsSilu(layer) => layer,
            Self::MeanSparse(layer) => layer,
            Self::PadPixels(layer) => layer,
            Self::Gate(layer) => layer,
            Self::Scale(layer) => layer,
            Self::Gelu(layer) => layer,
            Self::LayerNorm(layer) => layer,
            Self::Attention(layer) => layer,
            Self::CovarianceAttention(layer) => layer,
            Self::ClassToken(layer) => layer,
            Self::Position(layer) => layer,
            Self::Tokens(layer) => layer,
            Self::PatchMerge(layer) => layer,
            Self::Seq(layer) => layer,
            Self::Sum(layer) => layer,
            Self::Concat(layer) => layer,
            Self::Stack(layer) => layer,
        }
    }
}

impl Node for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.node().forward(x)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.node().save(x)
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        self.node().pullback(saved, g)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        self.node().reference(x)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        self.node().shape(input)
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.node().multiply_adds(input)
    }

    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        self.node().affine_form(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        self.node().lower(to, x)
    }

    fn describe(&self) -> String {
        self.node().describe()
    }

    fn inner(&self) -> &[Layer] {
        self.node().inner()
    }
}

/// Layers one after the other.
pub fn seq(layers: impl Into<Vec<Layer>>) -> Layer {
    Layer::Seq(Seq(layers.into()))
}

/// Branches on the same input, added: `sum([residual, Layer::Identity])`.
pub fn sum(branches: impl Into<Vec<Layer>>) -> Layer {
    Layer::Sum(Sum(branches.into()))
}

/// Branches on the same input, averaged.
pub fn mean(branches: impl Into<Vec<Layer>>) -> Layer {
    let branches = branches.into();
    let share = 1.0 / branches.len().max(1) as f64;
    seq([sum(branches), Layer::Scale(Scale(share))])
}

/// Branches on the same input, side by side along the channels.
pub fn concat(branches: impl Into<Vec<Layer>>) -> Layer {
    Layer::Concat(Concat(branches.into()))
}

/// Branches on the same input, one below the other.
pub fn stack(branches: impl Into<Vec<Layer>>) -> Layer {
    Layer::Stack(Stack(branches.into()))
}

/// `max(x, 0)`.
pub fn relu() -> Layer {
    Layer::Relu(Relu)
}

/// `x * sigmoid(x)`, also called swish.
pub fn silu() -> Layer {
    Layer::Silu(Silu)
}

/// `x Phi(x)`, Phi the standard normal distribution.
pub fn gelu() -> Layer {
    Layer::Gelu(Gelu)
}

/// `1 / (1 + exp(-x))`.
pub fn sigmoid() -> Layer {
    Layer::Sigmoid(Sigmoid)
}

/// Probabilities from logits.
pub fn softmax() -> Layer {
    Layer::Softmax(Softmax)
}

/// Every channel times the number that `branch`, which ends in one number per channel, gives for it.
pub fn gate(branch: impl Into<Vec<Layer>>) -> Layer {
    Layer::Gate(Gate(Box::new(seq(branch))))
}

/// Mean over windows of `size` pixels, `stride` apart, without padding.
pub fn avg_pool(size: usize, stride: usize) -> Layer {
    Layer::AvgPool(AvgPool(crate::ops::pool::Window { size, stride }))
}

/// Maximum over windows of `size` pixels, `stride` apart, without padding.
pub fn max_pool(size: usize, stride: usize) -> Layer {
    Layer::MaxPool(MaxPool(crate::ops::pool::Window { size, stride }))
}

/// Mean over the whole image: `[N, H, W, C]` to `[N, C]`.
pub fn global_avg_pool() -> Layer {
    Layer::GlobalAvgPool(GlobalAvgPool)
}

/// `[N, H, W, C]` to `[N, C * H * W]`, in the order of published weights.
pub fn flatten() -> Layer {
    Layer::Flatten(Flatten)
}

/// An error for a `Saved` that belongs to another layer: a bug in this crate.
fn foreign(layer: &str) -> crate::Error {
    candle_core::Error::Msg(format!("{layer}: the saved state is another layer's")).into()
}

#[cfg(test)]
pub(crate) mod tests;
