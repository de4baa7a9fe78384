//! What vision transformers and their convolutional relatives have in common: the two residual
//! branches of a block and the convolutional stem.

use super::Weights;
use crate::error::Result;
use crate::nn::{Layer, gelu, seq, sum};

/// Epsilon of most layer norms.
pub(super) const FINE: f64 = 1e-6;

/// How many times wider a block is inside than outside.
pub(super) const WIDER: usize = 4;

/// `x + branch(x)`.
pub(super) fn residual(branch: Vec<Layer>) -> Layer {
    sum([seq(branch), Layer::Identity])
}

/// Queries, keys and values (names of weight and bias), attention among them, and the mixing of its
/// heads.
pub(super) fn attention(
    w: &mut Weights<'_>,
    qkv: [&str; 2],
    attention: Layer,
    project: &str,
    width: usize,
) -> Result<[Layer; 3]> {
    let qkv = w.per_pixel_of(qkv[0], Some(qkv[1]), 3 * width, width)?;
    Ok([qkv, attention, w.per_pixel(project, width, width)?])
}

/// Two fully connected layers of every pixel with a GELU between them.
pub(super) fn mlp(
    w: &mut Weights<'_>,
    [first, second]: [&str; 2],
    width: usize,
) -> Result<[Layer; 3]> {
    let first = w.per_pixel(first, WIDER * width, width)?;
    Ok([first, gelu(), w.per_pixel(second, width, WIDER * width)?])
}

/// The stem of Singh et al. (NeurIPS 2023): 3 x 3 convolutions of these widths and strides, each with
/// layer norm and GELU.
pub(super) fn conv_stem(
    w: &mut Weights<'_>,
    mut inputs: usize,
    widths_and_strides: impl IntoIterator<Item = (usize, usize)>,
) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for (place, (width, stride)) in widths_and_strides.into_iter().enumerate() {
        let conv = w.conv_bias(&format!("{}", 3 * place), width, inputs, 3)?;
        let norm = w.layer_norm(&format!("{}", 3 * place + 1), width, FINE)?;
        layers.extend([conv.stride(stride).padding(1).layer(), norm, gelu()]);
        inputs = width;
    }
    Ok(layers)
}
