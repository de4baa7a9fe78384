//! Networks on GPUs. The steps of a program run over one block of memory that is divided beforehand:
//! convolutions by cuDNN, everything else by the kernels of `kernels/`, as the operations describe it. Images go in and logits, classes or gradients come out; attacks and
//! certificates do not know about it. A search in bf16 runs on a second copy of the network, whose images
//! are stored in 16 bits; results are judged on the one in f32.
//!
//! The driver and cuDNN are opened when the program runs, so a program with CUDA starts on a machine
//! without a GPU. Without the feature `cuda` the same names are here and there is never a GPU.

#[cfg(not(feature = "cuda"))]
mod absent;
mod argument;
#[cfg(feature = "cuda")]
mod array;
#[cfg(feature = "cuda")]
mod convolution;
#[cfg(feature = "cuda")]
mod dnn;
#[cfg(feature = "cuda")]
mod engine;
mod facts;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "cuda")]
mod graph;
#[cfg(feature = "cuda")]
mod layout;
#[cfg(feature = "cuda")]
mod network;
#[cfg(feature = "cuda")]
mod passes;
#[cfg(feature = "cuda")]
mod plan;
mod resolve;
#[cfg(feature = "cuda")]
mod run;
#[cfg(feature = "cuda")]
mod staging;
#[cfg(feature = "cuda")]
mod step;
#[cfg(feature = "cuda")]
mod store;
#[cfg(feature = "cuda")]
mod survey;

#[cfg(not(feature = "cuda"))]
pub(crate) use absent::{Array, Network, SharedGpu};
#[cfg(not(feature = "cuda"))]
pub use absent::{count, driver, survey};
pub use argument::Argument;
#[cfg(feature = "cuda")]
pub(crate) use array::{Array, SharedGpu};
pub use facts::GpuFacts;
#[cfg(feature = "cuda")]
pub use gpu::{count, name_of};
#[cfg(feature = "cuda")]
pub(crate) use network::Network;
#[cfg(feature = "cuda")]
pub use survey::{driver, survey};

use crate::rng::Draw;

/// Whether this program can use a GPU.
pub(crate) const BUILT: bool = cfg!(feature = "cuda");

/// Noisy copies of images, as smoothing asks for them.
#[derive(Debug)]
pub struct Noisy<'a> {
    /// The images, `C * H * W` pixels each.
    pub images: Vec<&'a [f32]>,
    /// Every copy: of which image, and the draw of its noise.
    pub copies: Vec<(u32, Draw)>,
    /// What is added to every pixel.
    pub noise: PixelNoise,
}

/// Independent noise of every pixel, which GPUs draw themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelNoise {
    /// Normal numbers with this standard deviation.
    Gaussian(f64),
    /// Uniform numbers between minus this and this.
    Uniform(f64),
}

#[cfg(all(test, feature = "cuda"))]
mod tests;
