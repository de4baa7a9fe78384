//! The shape of one image's value at some point of a network.

use crate::error::{Error, Result};

/// An image or a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[H, W, C]`.
    Image {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
        /// Values per pixel.
        channels: usize,
    },
    /// A plain vector of this length.
    Flat(usize),
}

impl Shape {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Self::Image { height, width, channels } => height * width * channels,
            Self::Flat(len) => len,
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The values along the last axis.
    pub fn channels(self) -> usize {
        match self {
            Self::Image { channels, .. } => channels,
            Self::Flat(len) => len,
        }
    }

    /// The same with so many values along the last axis.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        match self {
            Self::Image { height, width, .. } => Self::Image { height, width, channels },
            Self::Flat(_) => Self::Flat(channels),
        }
    }

    /// `[H, W, C]`; a vector is an image of one pixel.
    pub fn sides(self) -> [usize; 3] {
        match self {
            Self::Image { height, width, channels } => [height, width, channels],
            Self::Flat(len) => [1, 1, len],
        }
    }

    /// Dimensions of the tensor of `count` images.
    pub fn batch(self, count: usize) -> Vec<usize> {
        match self {
            Self::Image { height, width, channels } => vec![count, height, width, channels],
            Self::Flat(len) => vec![count, len],
        }
    }

    /// Height, width and channels of an image.
    pub(super) fn image(self, layer: &str) -> Result<[usize; 3]> {
        match self {
            Self::Image { height, width, channels } => Ok([height, width, channels]),
            Self::Flat(len) => Err(misfit(layer, format!("needs an image, gets {len} values"))),
        }
    }

    /// An image of this size.
    pub fn of_image([height, width]: [usize; 2], channels: usize) -> Self {
        Self::Image { height, width, channels }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image { height, width, channels } => write!(f, "{height}x{width}x{channels}"),
            Self::Flat(len) => write!(f, "{len}"),
        }
    }
}

/// The error of a layer whose input does not fit.
pub(super) fn misfit(layer: &str, problem: String) -> Error {
    Error::setting(
        format!("layer {layer}"),
        problem,
        "the architecture and the input size do not belong together",
    )
}
