//! A network ready to be attacked: its program, read in chunks of images that the
//! threads take from each other. A chunk runs through the whole network on one thread, so its
//! activations stay in that thread's cache and nothing waits between layers.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{Classifier, Evaluation, ModelInfo, Noisy, Pull, Usage};
use crate::cuda;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::nn::{Layer, Program, SavedSteps, Shape};
use crate::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};
use crate::ops::with_slice;
use crate::rows::{Location, Rows};

/// Bytes of the largest activation of a chunk, least and most. The least stays in an L2 cache.
const CHUNK_BYTES: [usize; 2] = [1 << 19, 1 << 22];

/// Every chunk reads all weights again, so the chunks of a network whose weights are in no cache are
/// larger: a byte for so many of weights. Measured on networks of 1, 45 and 146 MB.
const WEIGHTS_PER_CHUNK: usize = 8;

/// Bytes that the pullbacks of all threads may keep, unless told otherwise.
const MEMORY: usize = 2 << 30;

/// A classifier made of a program with fixed weights.
#[derive(Debug)]
pub struct FrozenNetwork {
    pub(super) info: ModelInfo,
    pub(super) program: Program,
    /// What GPUs run, and what is rounded for searches in bf16.
    pub(super) fused: Program,
    /// What the CPU runs: the same bits in fewer passes over memory.
    joined: Program,
    images_per_chunk: usize,
    memory: usize,
    kept_per_image: OnceLock<usize>,
    /// What searches run on the CPU, if not the joined program.
    pub(super) searched: Option<Program>,
    /// The network on GPUs, and the precision of searches there.
    pub(super) gpu: Option<(Arc<cuda::Network>, Precision)>,
}

impl FrozenNetwork {
    /// Wraps a program that maps images of `info.input_shape` to `info.classes` logits.
    pub fn new(info: ModelInfo, program: Program) -> Self {
        let largest = program.shapes().iter().map(|shape| shape.len()).max().unwrap_or_default();
        let [least, most] = CHUNK_BYTES;
        let weights = info.parameters * size_of::<f32>();
        let bytes = (weights / WEIGHTS_PER_CHUNK).clamp(least, most);
        let images_per_chunk = (bytes / (largest * size_of::<f32>()).max(1)).clamp(1, 256);
        let fused = program.fused();
        let joined = fused.joined();
        Self {
            info,
            program,
            fused,
            joined,
            images_per_chunk,
            memory: MEMORY,
            kept_per_image: OnceLock::new(),
            searched: None,
            gpu: None,
        }
    }

    /// The program of `layers`, as [`FrozenNetwork::new`] wraps it.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn build(info: ModelInfo, layers: &Layer) -> Result<Self> {
        let [c, h, w] = info.input_shape;
        let program = Program::new(layers, Shape::of_image([h, w], c))?;
        Ok(Self::new(info, program))
    }

    /// Lets the pullbacks of all threads keep `bytes` (2 GiB by default). What does not fit is computed
    /// a second time, with the same results. [`Classifier::evaluate`] needs none of it: there only the
    /// chunks at hand are kept.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.info.name = name.into();
        self
    }

    /// Bytes that a pullback keeps of one image: bits of ReLUs, origins of maxima, and the inputs of
    /// what is not piecewise linear.
    ///
    /// # Errors
    /// If the device fails.
    pub fn kept_per_image(&self) -> Result<usize> {
        if let Some(bytes) = self.kept_per_image.get() {
            return Ok(*bytes);
        }
        let [c, h, w] = self.info.input_shape;
        let (_, kept) =
            self.searched().save(&Tensor::zeros((1, h, w, c), DType::F32, &Device::Cpu)?)?;
        Ok(*self.kept_per_image.get_or_init(|| kept.bytes()))
    }

    /// The program as it was given; what runs is its [fused](Program::fused) form, on the CPU [joined](Program::joined).
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The graph as text: steps, shapes, multiply-adds.
    pub fn summary(&self) -> String {
        self.program.summary()
    }

    /// The pixel value of each channel that the network's normalisation maps to 0: what hidden pixels
    /// show in published defences. 0 for a network without a normalisation at its beginning.
    ///
    /// # Errors
    /// If the device fails.
    pub fn neutral(&self) -> Result<Vec<f32>> {
        match self.program.normalisation() {
            Some(normalise) => normalise.mean(),
            None => Ok(vec![0.0; self.info.input_shape[0]]),
        }
    }

    /// Multiply-adds of one forward pass of one image.
    pub fn multiply_adds(&self) -> u64 {
        self.program.multiply_adds()
    }

    /// [`Classifier::logits`] by the CPU, wherever the network is: the function that its bounds are about.
    ///
    /// # Errors
    /// As there.
    pub fn logits_on_cpu(&self, images: &Rows) -> Result<Rows> {
        self.logits_of(&self.joined, images)
    }

    /// What logits and gradients on the CPU are computed with.
    fn searched(&self) -> &Program {
        self.searched.as_ref().unwrap_or(&self.joined)
    }

    fn logits_of(&self, program: &Program, images: &Rows) -> Result<Rows> {
        let (chunks, pixels) = (self.chunks(images)?, images.values()?);
        let logits = chunks
            .into_par_iter()
            .map(|chunk| numbers(&program.forward(&self.read(&pixels, chunk)?)?))
            .collect::<Result<Vec<_>>>()?;
        self.rows_of_chunks(images, [self.info.classes], logits)
    }

    /// Splits a batch into chunks of images, `(first, count)`.
    pub(super) fn chunks(&self, images: &Rows) -> Result<Vec<(usize, usize)>> {
        self.check(images)?;
        let n = images.len();
        let share = n.div_ceil(rayon::current_num_threads()).clamp(1, self.images_per_chunk);
        Ok((0..n).step_by(share).map(|first| (first, share.min(n - first))).collect())
    }

    /// The images of a chunk of `pixels` as the network reads them, `[N, H, W, C]`.
    pub(super) fn read(&self, pixels: &[f32], (first, count): (usize, usize)) -> Result<Tensor> {
        let [c, h, w] = self.info.input_shape;
        let length = c * h * w;
        let own = &pixels[first * length..(first + count) * length];
        nchw_to_nhwc(&Tensor::from_slice(own, (count, c, h, w), &Device::Cpu)?)
    }

    /// What the chunks of `images` gave, as rows of this shape where the images are.
    fn rows_of_chunks<const R: usize>(
        &self,
        images: &Rows,
        shape: [usize; R],
        chunks: Vec<Vec<f32>>,
    ) -> Result<Rows> {
        Rows::new(&images.location(), [&[images.len()], &shape[..]].concat(), chunks.concat())
    }

    fn check(&self, images: &Rows) -> Result<()> {
        let shape = &images.shape()[1..];
        if shape == self.info.input_shape {
            return Ok(());
        }
        Err(Error::setting(
            "images",
            format!("are {shape:?}, {} takes {:?}", self.info.name, self.info.input_shape),
            "choose a data set of the network's input shape",
        ))
    }

    /// The GPUs, if the network is there, the precision of searches, and the images on one of them.
    fn on_gpu(&self, images: &Rows) -> Result<Option<(&cuda::Network, Precision, Rows)>> {
        let Some((network, precision)) = &self.gpu else { return Ok(None) };
        self.check(images)?;
        // `location` is asked only for what has to move: every answer is the next GPU in turn.
        let there = match images.location().is_gpu() {
            true => images.clone(),
            false => images.at(&self.location())?,
        };
        Ok(Some((network.as_ref(), *precision, there)))
    }

    /// Logits by the GPUs, in `precision`, where the images are. The GPUs share images in memory.
    fn logits_on_gpu(
        &self,
        network: &cuda::Network,
        images: &Rows,
        precision: Precision,
    ) -> Result<Rows> {
        self.check(images)?;
        let classes = self.info.classes;
        if let Some(array) = images.array() {
            let logits = network.logits(array, images.len(), precision)?;
            return Ok(Rows::of_array([images.len(), classes], logits));
        }
        let (pixels, width) = (images.values()?, images.width());
        let share = images.len().div_ceil(network.lanes()).max(1) * width;
        let logits = pixels
            .par_chunks(share.max(1))
            .map(|own| {
                let n = own.len() / width.max(1);
                let array = network.gpu().upload(own)?;
                let logits = Rows::of_array([n, classes], network.logits(&array, n, precision)?);
                Ok(logits.values()?.to_vec())
            })
            .collect::<Result<Vec<_>>>()?;
        self.rows_of_chunks(images, [classes], logits)
    }
}

impl Classifier for FrozenNetwork {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        match &self.gpu {
            Some((network, precision)) => self.logits_on_gpu(network, images, *precision),
            None => self.logits_of(self.searched(), images),
        }
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (n, shape, place) = (images.len(), images.shape().to_vec(), images.location());
        if let Some((network, precision, there)) = self.on_gpu(images)?
            && let Some(array) = there.array()
        {
            let (logits, at) = network.linearise(array, n, precision)?;
            let (logits, home) = (Rows::of_array([n, self.info.classes], logits), there.location());
            let outside = place.clone();
            let pull = move |cotangent: &Rows| match cotangent.at(&home)?.array() {
                Some(array) => {
                    Rows::of_array(shape.as_slice(), network.pull(&at, array)?).at(&outside)
                }
                None => Err(Error::setting("cotangent", "is not on the GPU", "")),
            };
            return Ok((logits.at(&place)?, Box::new(pull)));
        }
        let (chunks, pixels, program) = (self.chunks(images)?, images.values()?, self.searched());
        let room = self.memory / rayon::current_num_threads() / self.kept_per_image()?.max(1);
        let (logits, kept): (Vec<Vec<f32>>, Vec<Option<SavedSteps>>) = chunks
            .par_iter()
            .map(|chunk| {
                let x = self.read(&pixels, *chunk)?;
                if chunk.0 + chunk.1 > room {
                    return Ok((numbers(&program.forward(&x)?)?, None));
                }
                let (logits, kept) = program.save(&x)?;
                Ok((numbers(&logits)?, Some(kept)))
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let logits = self.rows_of_chunks(images, [self.info.classes], logits)?;
        let pull = move |cotangent: &Rows| {
            let g = cotangent.tensor()?;
            let gradients = chunks
                .par_iter()
                .zip(&kept)
                .map(|(chunk, kept)| {
                    let g = g.narrow(0, chunk.0, chunk.1)?;
                    let x = match kept {
                        Some(kept) => program.pullback(kept, &g)?,
                        None => {
                            let (_, kept) = program.save(&self.read(&pixels, *chunk)?)?;
                            program.pullback_once(kept, &g)?
                        }
                    };
                    numbers(&nhwc_to_nchw(&x)?)
                })
                .collect::<Result<Vec<_>>>()?;
            Rows::new(&place, shape.as_slice(), gradients.concat())
        };
        Ok((logits, Box::new(pull)))
    }

    fn evaluate(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        let (n, place) = (images.len(), images.location());
        if let Some((network, precision, there)) = self.on_gpu(images)?
            && let (home, Some(array)) = (there.location(), there.array())
            && let (labels, targets) = (labels.at(&home)?, targets.at(&home)?)
            && let Some(labels) = labels.array()
        {
            let targets = targets.given().and_then(Rows::array);
            let [logits, losses, gradient] =
                network.evaluate((array, labels, targets), n, precision, loss)?;
            return Ok(Evaluation {
                logits: Rows::of_array([n, self.info.classes], logits).at(&place)?,
                losses: Rows::of_array([n], losses).at(&place)?,
                gradient: Rows::of_array(images.shape(), gradient).at(&place)?,
            });
        }
        let (chunks, pixels, program) = (self.chunks(images)?, images.values()?, self.searched());
        let labels = labels.to_classes()?;
        let targets = targets.given().map(Rows::to_classes).transpose()?;
        let parts = chunks
            .into_par_iter()
            .map(|chunk| {
                let (logits, kept) = program.save(&self.read(&pixels, chunk)?)?;
                let rows = chunk.0..chunk.0 + chunk.1;
                let targets = targets.as_ref().map(|targets| &targets[rows.clone()]);
                let at = loss.evaluate(&logits, &labels[rows], targets)?;
                let gradient = nhwc_to_nchw(&program.pullback_once(kept, &at.cotangent)?)?;
                Ok((numbers(&logits)?, at.values, numbers(&gradient)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let (mut logits, mut losses, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
        for (z, values, gradient) in parts {
            logits.push(z);
            losses.extend(values);
            gradients.push(gradient);
        }
        Ok(Evaluation {
            logits: self.rows_of_chunks(images, [self.info.classes], logits)?,
            losses: Rows::numbers(&place, losses)?,
            gradient: self.rows_of_chunks(images, self.info.input_shape, gradients)?,
        })
    }

    fn exact_logits(&self, images: &Rows) -> Result<Rows> {
        match &self.gpu {
            Some((network, _)) => self.logits_on_gpu(network, images, Precision::F32),
            None => self.logits_on_cpu(images),
        }
    }

    fn location(&self) -> Location {
        self.gpu
            .as_ref()
            .map_or_else(Location::default, |(network, _)| Location::gpu(network.gpu()))
    }

    fn usage(&self) -> Usage {
        match &self.gpu {
            Some((network, precision)) => Usage {
                lanes: network.lanes(),
                batch: Some(network.batch(*precision)),
                approximates: *precision != Precision::F32,
            },
            None => Usage { approximates: self.searched.is_some(), ..Usage::default() },
        }
    }

    fn noisy_classes(&self, noisy: &Noisy<'_>) -> Result<Option<Vec<Option<u32>>>> {
        let Some((network, precision)) = &self.gpu else { return Ok(None) };
        Ok(Some(network.noisy_classes(noisy, *precision)?))
    }
}

/// The numbers of a tensor, in row-major order.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    with_slice::<f32, _>(tensor, |numbers| Ok(numbers.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::{Declared, load};
    use crate::rng::Stream;

    #[test]
    fn whatever_is_kept_gives_the_same_gradients() {
        let path = "../../benchmarks/models/digits-trades.safetensors".as_ref();
        let network = |memory| load(path, &Declared::default()).unwrap().0.memory(memory);
        let mut pixels = vec![0.0; 40 * 64];
        Stream::new(0, "frozen test").draw(0, 0).uniform(&mut pixels);
        let images = Rows::new(&Location::default(), [40, 1, 8, 8], pixels).unwrap();
        let (labels, none) = (vec![3; 40], Rows::none(&Location::default()).unwrap());
        let classes = Rows::classes(&Location::default(), &labels).unwrap();
        let whole = network(MEMORY);
        let at = whole.evaluate(&images, Loss::CrossEntropy, &classes, &none).unwrap();
        let per_image = whole.kept_per_image().unwrap();
        // A bit for each element that comes out of its four relus.
        assert_eq!(per_image, (16 * 64 + 2 * 32 * 16 + 64) / 8);
        for memory in [0, 7 * per_image * rayon::current_num_threads(), MEMORY] {
            let network = network(memory);
            let (z, pull) = network.linearise(&images).unwrap();
            assert_eq!(z.values().unwrap(), at.logits.values().unwrap());
            let loss = Loss::CrossEntropy.evaluate(&z.tensor().unwrap(), &labels, None).unwrap();
            for _ in 0..2 {
                let g = pull(&Rows::of_tensor(&loss.cotangent).unwrap()).unwrap();
                let (g, whole) = (g.values().unwrap(), at.gradient.values().unwrap());
                assert_eq!(g, whole, "{memory} bytes");
            }
        }
    }
}
