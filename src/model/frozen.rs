//! A network from the zoo, ready to be attacked: the layer tree, read in chunks of images that the
//! threads take from each other. A chunk runs through the whole network on one thread, so its
//! activations stay in that thread's cache and nothing waits between layers.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::{Classifier, ModelInfo, Pullback};
use crate::error::{Error, Result};
use crate::nn::{Layer, Node, Saved, Shape, fuse};
use crate::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};

/// Bytes of the largest activation of a chunk: what stays in an L2 cache beside the weights.
const CHUNK_BYTES: usize = 1 << 20;

/// A classifier made of a layer tree with fixed weights.
#[derive(Debug)]
pub struct FrozenNetwork {
    info: ModelInfo,
    tree: Layer,
    /// The tree that runs.
    fused: Layer,
    images_per_chunk: usize,
}

impl FrozenNetwork {
    /// Wraps a tree that maps images of `info.input_shape` to `info.classes` logits.
    pub fn new(info: ModelInfo, tree: Layer) -> Self {
        let [c, h, w] = info.input_shape;
        let largest = largest_activation(&tree, Shape::of_image([h, w], c));
        let images_per_chunk = (CHUNK_BYTES / (largest * size_of::<f32>()).max(1)).clamp(1, 256);
        let fused = fuse(&tree);
        Self { info, tree, fused, images_per_chunk }
    }

    /// The tree as it was given; what runs is its [`fuse`]d form.
    pub fn tree(&self) -> &Layer {
        &self.tree
    }

    /// The tree as text: layers, shapes, multiply-adds.
    pub fn summary(&self) -> String {
        let [c, h, w] = self.info.input_shape;
        self.tree.summary(Shape::of_image([h, w], c))
    }

    /// Multiply-adds of one forward pass of one image.
    pub fn multiply_adds(&self) -> u64 {
        let [c, h, w] = self.info.input_shape;
        self.tree.multiply_adds(Shape::of_image([h, w], c))
    }

    /// Splits a batch into chunks of images, `(first, count)`.
    fn chunks(&self, images: &Tensor) -> Result<Vec<(usize, usize)>> {
        let (n, c, h, w) = images.dims4()?;
        if [c, h, w] != self.info.input_shape {
            return Err(Error::setting(
                "images",
                format!(
                    "are {:?}, {} takes {:?}",
                    [c, h, w],
                    self.info.name,
                    self.info.input_shape
                ),
                "choose a data set of the network's input shape",
            ));
        }
        if images.dtype() != DType::F32 {
            return Err(Error::setting("images", "are not f32", "convert them to f32 in [0, 1]"));
        }
        let share = n.div_ceil(rayon::current_num_threads()).clamp(1, self.images_per_chunk);
        Ok((0..n).step_by(share).map(|first| (first, share.min(n - first))).collect())
    }
}

fn largest_activation(layer: &Layer, input: Shape) -> usize {
    let mut largest = input.len().max(layer.shape(input).map_or(0, Shape::len));
    let mut shape = input;
    for inner in layer.inner() {
        largest = largest.max(largest_activation(inner, shape));
        if let (Layer::Seq(_), Ok(next)) = (layer, inner.shape(shape)) {
            shape = next;
        }
    }
    largest
}

impl Classifier for FrozenNetwork {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let logits = self
            .chunks(images)?
            .into_par_iter()
            .map(|(first, count)| {
                self.fused.forward(&nchw_to_nhwc(&images.narrow(0, first, count)?)?)
            })
            .collect::<Result<Vec<_>>>()?;
        join(logits, [0, self.info.classes])
    }

    fn vjp(&self, images: &Tensor) -> Result<(Tensor, Pullback<'_>)> {
        let chunks = self.chunks(images)?;
        let (logits, saved): (Vec<Tensor>, Vec<Saved>) = chunks
            .par_iter()
            .map(|(first, count)| {
                self.fused.save(&nchw_to_nhwc(&images.narrow(0, *first, *count)?)?)
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let [c, h, w] = self.info.input_shape;
        let pullback = Pullback::new(move |g: &Tensor| {
            let grads = chunks
                .par_iter()
                .zip(&saved)
                .map(|((first, count), saved)| {
                    let g = g.narrow(0, *first, *count)?;
                    nhwc_to_nchw(&self.fused.pullback(saved, &g)?)
                })
                .collect::<Result<Vec<_>>>()?;
            join(grads, [0, c, h, w])
        });
        Ok((join(logits, [0, self.info.classes])?, pullback))
    }
}

/// The chunks as one batch; `empty` is the shape of a batch of no images.
fn join<const R: usize>(chunks: Vec<Tensor>, empty: [usize; R]) -> Result<Tensor> {
    match chunks.as_slice() {
        [] => Ok(Tensor::zeros(empty.as_slice(), DType::F32, &candle_core::Device::Cpu)?),
        [one] => Ok(one.clone()),
        many => Ok(Tensor::cat(many, 0)?),
    }
}
