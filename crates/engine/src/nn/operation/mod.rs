//! The operations that networks are made of, a file each with everything that is asked of them: shape,
//! forward, what the pullback needs, the pullback, candle's version, cost, the affine form for bounds, the
//! kernels on GPUs, a line of text. A [`super::Program`] applies them to the values that came before.
//!
//! A new operation is a file here with a struct that implements [`Unary`] (or [`Operation`], if it reads
//! several values) and a line in the list at the end of this file.

mod affine;
mod affine_form;
mod attention;
mod avg_pool;
mod channels;
mod class_token;
mod concat;
mod conv2d;
mod conv_gelu;
mod conv_sum;
mod covariance_attention;
mod flatten;
mod gate;
mod gelu;
mod global_avg_pool;
mod layer_norm;
mod linear;
mod log_softmax;
mod mat_mul;
mod max_pool;
mod mean_sparse;
mod normalise;
mod on_gpu;
mod pad_channels;
mod pad_pixels;
mod pairwise;
mod patch_merge;
mod per_image;
pub mod pick;
mod pointwise;
mod position;
mod pssilu;
mod reduce;
mod relu;
mod saved;
mod scale;
mod sigmoid;
mod silu;
mod softmax;
mod stack;
mod standardise;
mod subsample;
mod sum;
mod tokens;
mod unit_length;
mod view;

use candle_core::Tensor;

pub use affine_form::AffineForm;
pub use on_gpu::{Constants, Convolution, Keeps, Kernels, Launch, OnGpu, Slot};
pub use pairwise::Pairing;
pub use pointwise::Function;
pub use reduce::Reduction;
pub use saved::Saved;
pub(in crate::nn) use sum::total;

use super::shape::{Shape, misfit};
use crate::error::{Error, Result};

/// The readings of one operation. Values are NHWC tensors `[N, H, W, C]` or vectors `[N, F]`; shapes are those
/// of one image.
pub trait Operation {
    /// Shape of the output for inputs of these shapes.
    ///
    /// # Errors
    /// If their number or shapes do not fit.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape>;

    /// The output for a batch.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor>;

    /// The output and what [`Operation::pullback`] needs: nothing, unless an operation says so.
    ///
    /// # Errors
    /// As [`Operation::forward`].
    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        Ok((self.forward(inputs)?, Saved::Nothing))
    }

    /// Maps a cotangent of the output to those of the inputs, which are of the shapes `inputs`.
    ///
    /// # Errors
    /// If `saved` is another operation's or the device fails.
    fn pullback(&self, saved: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>>;

    /// [`Operation::pullback`] of an operation that reads one value, added to `onto`, what another reader of that
    /// value has given.
    ///
    /// # Errors
    /// As there.
    fn pullback_onto(
        &self,
        saved: &Saved,
        g: &Tensor,
        inputs: &[Shape],
        onto: &Tensor,
    ) -> Result<Tensor> {
        total(self.pullback(saved, g, inputs)?.iter().chain([onto]))
    }

    /// The same function in candle's own operations on NCHW tensors: differentiable by candle's autograd, for
    /// training and as a check of the readings above.
    ///
    /// # Errors
    /// As [`Operation::forward`].
    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor>;

    /// Multiply-adds of the matrix products for one image.
    fn multiply_adds(&self, inputs: &[Shape]) -> u64 {
        let _ = inputs;
        0
    }

    /// The operation as `y = W x + b` for an input of this shape, for [`super::bounds`], without a ReLU that is
    /// fused to it; `None` if it is no such map of a single value. (Bounds know sums and values side by side
    /// themselves: there is no matrix.)
    ///
    /// # Errors
    /// If the shape does not fit or the device fails.
    fn affine_form(&self, inputs: &[Shape]) -> Result<Option<AffineForm>> {
        let _ = inputs;
        Ok(None)
    }

    /// What GPUs have to know of it.
    ///
    /// # Errors
    /// If it does not run there.
    fn on_gpu(&self, inputs: &[Shape], output: Shape) -> Result<OnGpu>;

    /// One line for printing: `conv 3x3 16 -> 32 stride 2`.
    fn describe(&self) -> String;
}

/// The readings of an operation that reads one value: those of [`Operation`] for `x` alone.
pub trait Unary {
    /// See [`Operation::shape`].
    ///
    /// # Errors
    /// If an input of this shape does not fit.
    fn shape(&self, input: Shape) -> Result<Shape>;

    /// See [`Operation::forward`].
    ///
    /// # Errors
    /// If the shape does not fit or the device fails.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// See [`Operation::save`]. Nothing is kept unless an operation says so.
    ///
    /// # Errors
    /// As [`Unary::forward`].
    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    /// See [`Operation::pullback`].
    ///
    /// # Errors
    /// If `saved` is another operation's or the device fails.
    fn pullback(&self, saved: &Saved, g: &Tensor, input: Shape) -> Result<Tensor>;

    /// See [`Operation::pullback_onto`].
    ///
    /// # Errors
    /// As [`Unary::pullback`].
    fn pullback_onto(
        &self,
        saved: &Saved,
        g: &Tensor,
        input: Shape,
        onto: &Tensor,
    ) -> Result<Tensor> {
        total([&self.pullback(saved, g, input)?, onto].into_iter())
    }

    /// See [`Operation::reference`].
    ///
    /// # Errors
    /// As [`Unary::forward`].
    fn reference(&self, x: &Tensor) -> Result<Tensor>;

    /// See [`Operation::multiply_adds`].
    fn multiply_adds(&self, input: Shape) -> u64 {
        let _ = input;
        0
    }

    /// See [`Operation::affine_form`].
    ///
    /// # Errors
    /// If the shape does not fit or the device fails.
    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        let _ = input;
        Ok(None)
    }

    /// See [`Operation::on_gpu`].
    ///
    /// # Errors
    /// If it does not run there.
    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let _ = (from, to);
        Err(absent(&self.describe()))
    }

    /// See [`Operation::describe`].
    fn describe(&self) -> String;
}

impl<T: Unary> Operation for T {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Unary::shape(self, only(self, inputs)?)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Unary::forward(self, only(self, inputs)?)
    }

    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        Unary::save(self, only(self, inputs)?)
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, inputs: &[Shape]) -> Result<Vec<Tensor>> {
        Ok(vec![Unary::pullback(self, saved, g, only(self, inputs)?)?])
    }

    fn pullback_onto(
        &self,
        saved: &Saved,
        g: &Tensor,
        inputs: &[Shape],
        onto: &Tensor,
    ) -> Result<Tensor> {
        Unary::pullback_onto(self, saved, g, only(self, inputs)?, onto)
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Unary::reference(self, only(self, inputs)?)
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> u64 {
        inputs.first().map_or(0, |input| Unary::multiply_adds(self, *input))
    }

    fn affine_form(&self, inputs: &[Shape]) -> Result<Option<AffineForm>> {
        Unary::affine_form(self, only(self, inputs)?)
    }

    fn on_gpu(&self, inputs: &[Shape], output: Shape) -> Result<OnGpu> {
        Unary::on_gpu(self, only(self, inputs)?, output)
    }

    fn describe(&self) -> String {
        Unary::describe(self)
    }
}

/// The one input of an operation.
fn only<T: Copy>(operation: &impl Unary, inputs: &[T]) -> Result<T> {
    match inputs {
        [input] => Ok(*input),
        _ => {
            let problem = format!("reads one value, gets {}", inputs.len());
            Err(misfit(&Unary::describe(operation), problem))
        }
    }
}

/// An error for a `Saved` that belongs to another operation: a bug in this crate.
fn foreign(operation: &str) -> Error {
    candle_core::Error::Msg(format!("{operation}: the saved state is another operation's")).into()
}

/// The error of an operation that does not run on GPUs.
fn absent(operation: &str) -> Error {
    Error::setting(
        format!("layer {operation}"),
        "does not run on the GPU yet",
        "run this network with --device cpu",
    )
}

/// Makes [`Op`] of a list of the operations, and each of them a layer.
macro_rules! operations {
    ($($(#[doc = $about:literal])+ $module:ident::$name:ident,)*) => {
        $(pub use $module::$name;)*

        /// An operation with its weights. It dereferences to its readings.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum Op {
            $($(#[doc = $about])+ $name($name),)*
        }

        impl std::ops::Deref for Op {
            type Target = dyn Operation;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$name(operation) => operation,)*
                }
            }
        }

        $(
            impl From<$name> for Op {
                fn from(operation: $name) -> Self {
                    Self::$name(operation)
                }
            }

            impl $name {
                /// As a layer of a network.
                pub fn layer(self) -> super::Layer {
                    super::Layer::from(Op::from(self))
                }
            }
        )*
    };
}

operations! {
    /// Scale and shift per channel: an evaluation-mode batch norm.
    affine::Affine,
    /// Pixels attend to pixels.
    attention::Attention,
    /// Mean over windows.
    avg_pool::AvgPool,
    /// Some of the channels.
    channels::Channels,
    /// An image as tokens, behind a trained one.
    class_token::ClassToken,
    /// Values side by side along the channels.
    concat::Concat,
    /// A convolution.
    conv2d::Conv2d,
    /// A convolution of single pixels and a GELU.
    conv_gelu::ConvGelu,
    /// A convolution and the sum of what it makes with another value.
    conv_sum::ConvSum,
    /// Channels attend to channels.
    covariance_attention::CovarianceAttention,
    /// Image to vector, in the order of published weights (C, H, W).
    flatten::Flatten,
    /// An image times a number per channel, the second value.
    gate::Gate,
    /// `x Phi(x)`, Phi the standard normal distribution.
    gelu::Gelu,
    /// Mean over the whole image.
    global_avg_pool::GlobalAvgPool,
    /// A pixel's or a vector's channels centred, divided by their standard deviation, scaled and shifted.
    layer_norm::LayerNorm,
    /// A fully connected layer.
    linear::Linear,
    /// Logarithms of probabilities, from logits.
    log_softmax::LogSoftmax,
    /// Matrices times matrices.
    mat_mul::MatMul,
    /// Maximum over windows.
    max_pool::MaxPool,
    /// Values close to their channel's mean become the mean.
    mean_sparse::MeanSparse,
    /// Subtracts a mean and divides by a standard deviation per channel.
    normalise::Normalise,
    /// Zero channels before and after.
    pad_channels::PadChannels,
    /// Zero pixels around the image.
    pad_pixels::PadPixels,
    /// A function of two numbers, at every place.
    pairwise::Pairwise,
    /// Four pixels become one.
    patch_merge::PatchMerge,
    /// Numbers in another order, repeated, left out or constant.
    pick::Pick,
    /// A function of one number, at every place.
    pointwise::Pointwise,
    /// A trained image, added.
    position::Position,
    /// `x (sigmoid(alpha x) - beta) / (1 - beta)`.
    pssilu::PsSilu,
    /// The channels of a pixel or a vector as one number.
    reduce::Reduce,
    /// `max(x, 0)`.
    relu::Relu,
    /// A constant factor.
    scale::Scale,
    /// `1 / (1 + exp(-x))`.
    sigmoid::Sigmoid,
    /// `x * sigmoid(x)`.
    silu::Silu,
    /// Probabilities from logits.
    softmax::Softmax,
    /// Images one below the other.
    stack::Stack,
    /// Subtracts an image's mean and divides by its standard deviation.
    standardise::Standardise,
    /// Every k-th pixel.
    subsample::Subsample,
    /// Values added.
    sum::Sum,
    /// Some of the tokens.
    tokens::Tokens,
    /// A vector divided by its L2 length.
    unit_length::UnitLength,
    /// The same numbers under another shape.
    view::View,
}
