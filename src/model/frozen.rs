//! A network ready to be attacked: its program, read in chunks of images that the
//! threads take from each other. A chunk runs through the whole network on one thread, so its
//! activations stay in that thread's cache and nothing waits between layers.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{
    Classifier, Cotangent, Evaluation, ModelInfo, Noisy, Pull, Pullback, linearise_by_tensors,
    losses_by_tensors,
};
use crate::cuda;
use crate::device::{self, Precision};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::nn::{Kept, Layer, Program, Shape};
use crate::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};
use crate::rows::{Place, Rows};

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
    info: ModelInfo,
    program: Program,
    /// The program that runs.
    fused: Program,
    images_per_chunk: usize,
    memory: usize,
    kept_per_image: OnceLock<usize>,
    /// The network on GPUs, and the precision of searches there.
    gpu: Option<(Arc<cuda::Network>, Precision)>,
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
        let (memory, kept_per_image) = (MEMORY, OnceLock::new());
        Self { info, program, fused, images_per_chunk, memory, kept_per_image, gpu: None }
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

    /// [`FrozenNetwork::build`] on the device that `EPSBALL_TEST_DEVICE` names, if there is such a variable:
    /// with it the tests of attacks are tests of their kernels.
    #[cfg(test)]
    pub(crate) fn on_test_device(info: ModelInfo, layers: impl Into<Layer>) -> Self {
        let mut network = Self::build(info, &layers.into()).unwrap();
        if let Ok(device) = std::env::var("EPSBALL_TEST_DEVICE") {
            let device: device::Device = device.parse().unwrap();
            network.place(&device.resolve().unwrap(), Precision::F32).unwrap();
        }
        network
    }

    /// Lets the pullbacks of all threads keep `bytes` (2 GiB by default). What does not fit is computed
    /// a second time, with the same results. [`Classifier::gradient`] needs none of it: there only the
    /// chunks at hand are kept.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Runs on `device`, which is resolved; on GPUs searches compute in `precision`. Results are judged
    /// in f32.
    ///
    /// # Errors
    /// If an operation has no form for GPUs yet, or a GPU fails.
    pub fn place(&mut self, device: &device::Device, precision: Precision) -> Result<()> {
        self.gpu = match device {
            device::Device::Auto | device::Device::Cpu => None,
            device::Device::Cuda(gpus) => {
                let network = cuda::Network::open(&self.fused, self.info.classes, gpus, precision)?;
                Some((Arc::new(network), precision))
            }
        };
        Ok(())
    }

    /// Runs where `other` does, on its GPUs, which are open already.
    ///
    /// # Errors
    /// As [`FrozenNetwork::place`].
    pub fn place_beside(&mut self, other: &Self) -> Result<()> {
        let beside = |(network, precision): &(Arc<cuda::Network>, Precision)| -> Result<_> {
            let network = network.open_beside(&self.fused, self.info.classes, *precision)?;
            Ok((Arc::new(network), *precision))
        };
        self.gpu = other.gpu.as_ref().map(beside).transpose()?;
        Ok(())
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
        let (_, kept) = self.fused.save(&Tensor::zeros((1, h, w, c), DType::F32, &Device::Cpu)?)?;
        Ok(*self.kept_per_image.get_or_init(|| kept.bytes()))
    }

    /// The program as it was given; what runs is its [fused](Program::fused) form.
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
    pub fn logits_on_cpu(&self, images: &Tensor) -> Result<Tensor> {
        let logits = self
            .chunks(images)?
            .into_par_iter()
            .map(|(first, count)| {
                self.fused.forward(&nchw_to_nhwc(&images.narrow(0, first, count)?)?)
            })
            .collect::<Result<Vec<_>>>()?;
        join(logits, [0, self.info.classes])
    }

    /// Splits a batch into chunks of images, `(first, count)`.
    fn chunks(&self, images: &Tensor) -> Result<Vec<(usize, usize)>> {
        let n = self.check(images)?;
        let share = n.div_ceil(rayon::current_num_threads()).clamp(1, self.images_per_chunk);
        Ok((0..n).step_by(share).map(|first| (first, share.min(n - first))).collect())
    }

    /// Number of images, if they are of the network's shape and kind.
    fn check(&self, images: &Tensor) -> Result<usize> {
        let (n, c, h, w) = images.dims4()?;
        self.check_shape(&[c, h, w])?;
        if images.dtype() != DType::F32 {
            return Err(Error::setting("images", "are not f32", "convert them to f32 in [0, 1]"));
        }
        Ok(n)
    }

    fn check_shape(&self, shape: &[usize]) -> Result<()> {
        if shape == self.info.input_shape {
            return Ok(());
        }
        Err(Error::setting(
            "images",
            format!("are {shape:?}, {} takes {:?}", self.info.name, self.info.input_shape),
            "choose a data set of the network's input shape",
        ))
    }

    /// The GPUs, if the network is there, and the precision of searches, for these images.
    fn gpu(&self, images: &Tensor) -> Result<Option<(&cuda::Network, Precision)>> {
        let Some((network, precision)) = &self.gpu else { return Ok(None) };
        self.check(images)?;
        Ok(Some((network.as_ref(), *precision)))
    }
}

impl FrozenNetwork {
    /// The same for images that lie on a GPU already, and where.
    fn resident<'a, 'b>(
        &'a self,
        images: &'b Rows,
    ) -> Result<Option<(&'a cuda::Network, Precision, &'b cuda::Array)>> {
        let (Some((network, precision)), Some(array)) = (&self.gpu, images.array()) else {
            return Ok(None);
        };
        self.check_shape(&images.shape()[1..])?;
        Ok(Some((network.as_ref(), *precision, array)))
    }
}

impl Classifier for FrozenNetwork {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        if let Some((network, precision)) = self.gpu(images)? {
            return network.logits(images, precision);
        }
        self.logits_on_cpu(images)
    }

    fn vjp(&self, images: &Tensor) -> Result<(Tensor, Pullback<'_>)> {
        if let Some((network, precision)) = self.gpu(images)? {
            let (logits, at) = network.linearise(images, precision)?;
            return Ok((logits, Pullback::new(move |g| network.pull(&at, g))));
        }
        let chunks = self.chunks(images)?;
        let images = images.clone();
        let chunk =
            move |(first, count): (usize, usize)| nchw_to_nhwc(&images.narrow(0, first, count)?);
        let room = self.memory / rayon::current_num_threads() / self.kept_per_image()?.max(1);
        let (logits, kept): (Vec<Tensor>, Vec<Option<Kept>>) = chunks
            .par_iter()
            .map(|(first, count)| {
                let x = chunk((*first, *count))?;
                if first + count > room {
                    return Ok((self.fused.forward(&x)?, None));
                }
                let (logits, kept) = self.fused.save(&x)?;
                Ok((logits, Some(kept)))
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let [c, h, w] = self.info.input_shape;
        let pullback = Pullback::new(move |g: &Tensor| {
            let grads = chunks
                .par_iter()
                .zip(&kept)
                .map(|((first, count), kept)| {
                    let g = g.narrow(0, *first, *count)?;
                    nhwc_to_nchw(&match kept {
                        Some(kept) => self.fused.pullback(kept, &g)?,
                        None => {
                            let (_, kept) = self.fused.save(&chunk((*first, *count))?)?;
                            self.fused.pullback_once(kept, &g)?
                        }
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            join(grads, [0, c, h, w])
        });
        Ok((join(logits, [0, self.info.classes])?, pullback))
    }

    fn gradient(&self, images: &Tensor, cotangent: &Cotangent<'_>) -> Result<(Tensor, Tensor)> {
        if let Some((network, precision)) = self.gpu(images)? {
            return network.gradient(images, precision, cotangent);
        }
        let (logits, gradients) = self
            .chunks(images)?
            .into_par_iter()
            .map(|(first, count)| {
                let (logits, kept) =
                    self.fused.save(&nchw_to_nhwc(&images.narrow(0, first, count)?)?)?;
                let g = cotangent(first, &logits)?;
                Ok((logits, nhwc_to_nchw(&self.fused.pullback_once(kept, &g)?)?))
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let [c, h, w] = self.info.input_shape;
        Ok((join(logits, [0, self.info.classes])?, join(gradients, [0, c, h, w])?))
    }

    fn home(&self) -> Place {
        self.gpu.as_ref().map_or_else(Place::default, |(network, _)| Place::gpu(network.home()))
    }

    fn logits_of(&self, images: &Rows) -> Result<Rows> {
        let Some((network, precision, array)) = self.resident(images)? else {
            return Rows::from_tensor(&images.place(), &self.logits(&images.tensor()?)?);
        };
        let logits = network.resident_logits(array, images.len(), precision)?;
        Ok(Rows::of_array([images.len(), self.info.classes], logits))
    }

    fn losses_of(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        let n = images.len();
        let (Some((network, precision, array)), Some(labels)) =
            (self.resident(images)?, labels.array())
        else {
            return losses_by_tensors(self, images, loss, labels, targets);
        };
        let targets = targets.given().and_then(Rows::array);
        let [logits, losses, gradient] =
            network.resident_losses((array, labels, targets), n, precision, loss)?;
        Ok(Evaluation {
            logits: Rows::of_array([n, self.info.classes], logits),
            losses: Rows::of_array([n], losses),
            gradient: Rows::of_array(images.shape(), gradient),
        })
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let Some((network, precision, array)) = self.resident(images)? else {
            return linearise_by_tensors(self, images);
        };
        let (n, shape) = (images.len(), images.shape().to_vec());
        let (logits, at) = network.linearise_resident(array, n, precision)?;
        let pull = move |cotangent: &Rows| match cotangent.array() {
            Some(array) => Ok(Rows::of_array(shape.as_slice(), network.pull_resident(&at, array)?)),
            None => Err(Error::setting(
                "cotangent",
                "is not on the GPU where the images are",
                "make it at the place of the logits",
            )),
        };
        Ok((Rows::of_array([n, self.info.classes], logits), Box::new(pull)))
    }

    fn lanes(&self) -> usize {
        match &self.gpu {
            Some((network, _)) => network.lanes(),
            None => rayon::current_num_threads(),
        }
    }

    fn batch(&self) -> Option<usize> {
        self.gpu.as_ref().map(|(network, precision)| network.batch(*precision))
    }

    fn approximates(&self) -> bool {
        self.gpu.as_ref().is_some_and(|(_, precision)| *precision != Precision::F32)
    }

    fn judged(&self, images: &Tensor) -> Result<Tensor> {
        match self.gpu(images)? {
            Some((network, _)) => network.logits(images, Precision::F32),
            None => self.logits_on_cpu(images),
        }
    }

    fn noisy_classes(&self, noisy: &Noisy<'_>) -> Result<Option<Vec<Option<u32>>>> {
        let Some((network, precision)) = &self.gpu else { return Ok(None) };
        Ok(Some(network.noisy_classes(noisy, *precision)?))
    }
}

/// The chunks as one batch; `empty` is the shape of a batch of no images.
fn join<const R: usize>(chunks: Vec<Tensor>, empty: [usize; R]) -> Result<Tensor> {
    match chunks.as_slice() {
        [] => Ok(Tensor::zeros(empty.as_slice(), DType::F32, &Device::Cpu)?),
        [one] => Ok(one.clone()),
        many => Ok(Tensor::cat(many, 0)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::{Declared, load};
    use crate::rng::Stream;

    #[test]
    fn whatever_is_kept_gives_the_same_gradients() {
        let path = "benchmarks/models/digits-trades.safetensors".as_ref();
        let network = |memory| load(path, &Declared::default()).unwrap().0.memory(memory);
        let mut pixels = vec![0.0; 40 * 64];
        Stream::new(0, "frozen test").draw(0, 0).uniform(&mut pixels);
        let images = Tensor::from_vec(pixels, (40, 1, 8, 8), &Device::Cpu).unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let cotangent = |logits: &Tensor| logits.sqr().map_err(Error::from);
        let whole = network(MEMORY);
        let (logits, gradient) = whole.gradient(&images, &|_, logits| cotangent(logits)).unwrap();
        let per_image = whole.kept_per_image().unwrap();
        // A bit for each element that comes out of its four relus.
        assert_eq!(per_image, (16 * 64 + 2 * 32 * 16 + 64) / 8);
        for memory in [0, 7 * per_image * rayon::current_num_threads(), MEMORY] {
            let network = network(memory);
            let (z, pullback) = network.vjp(&images).unwrap();
            assert_eq!(flat(&z), flat(&logits));
            for _ in 0..2 {
                let g = pullback.apply(&cotangent(&z).unwrap()).unwrap();
                assert_eq!(flat(&g), flat(&gradient), "{memory} bytes");
            }
        }
    }
}
