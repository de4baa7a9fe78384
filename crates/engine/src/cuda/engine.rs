//! A network on one GPU: the memory that its batches share, and how many images fit into it. A batch that is
//! too large is cut into parts; when memory runs out all the same, because others use the GPU, the parts
//! are halved and nothing is lost.

use std::sync::Arc;

use super::gpu::{Address, Gpu, Memory, arguments, size};
use super::network::Network;
use super::run::{Batch, Runner};
use super::{Noisy, PixelNoise};
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Program;
use crate::rng::Draw;

/// Images that a GPU computes at once, at most: more fill no GPU better.
const MOST_IMAGES: usize = 2048;

/// Rows of the size of an image that an attack keeps beside the network, roughly.
const ROWS_OF_ATTACKS: usize = 16;

/// Share of the free memory that may be used.
const SHARE: f64 = 0.8;

/// The network on one GPU.
pub(super) struct Engine {
    pub(super) gpu: Arc<Gpu>,
    /// In f32, in which results are judged.
    pub(super) exact: PrecisionVariant,
    /// In bf16, if searches are in that.
    pub(super) half: Option<PrecisionVariant>,
    memory: Option<Memory>,
    /// Which forward pass the memory has the state of.
    pub(super) held: Option<Part>,
}

/// The network with its images in f32 or in bf16.
pub(super) struct PrecisionVariant {
    pub(super) runner: Runner,
    /// Images of a part, at most, without and with a pullback.
    pub(super) most: [usize; 2],
}

/// Some images of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) ticket: u64,
    pub(super) first: usize,
    pub(super) count: usize,
}

/// How many images are computed in place of `n`, at least as many: batches shrink while an attack works, and every
/// number of images has plans of cuDNN and graphs of its own. The rest of a bucket is whatever lies there.
fn bucket(n: usize) -> usize {
    match n {
        0..=8 => n.next_power_of_two(),
        9..=512 => n.next_multiple_of(n.next_power_of_two() / 8),
        _ => n.next_multiple_of(64),
    }
}

/// The largest bucket of at most `most` images, at least 1.
fn bucket_within(most: usize) -> usize {
    (1..=most).rev().find(|n| bucket(*n) == *n).unwrap_or(1)
}

fn bytes_per_image(runner: &Runner, shape: [usize; 3], pullback: bool) -> usize {
    runner.bytes_per_image(pullback) + 4 * shape.iter().product::<usize>()
}

/// A part of a batch that has its memory.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    memory: Address,
    /// Where the images are in the order of the caller, `[N, C, H, W]`.
    pub(super) outside: Address,
    /// Images of the caller.
    pub(super) count: usize,
    /// Images that are computed: the bucket of `count`.
    pub(super) images: usize,
    pub(super) precision: Precision,
    pullback: bool,
}

impl Ready {
    pub(super) fn of<'a>(&self, gpu: &'a Gpu) -> Batch<'a> {
        let Self { memory, images, precision, pullback, .. } = *self;
        Batch { gpu, memory, images, precision, pullback }
    }
}

impl Engine {
    /// `program`, which takes images of `shape` `[C, H, W]`, on `gpu`.
    pub(super) fn new(
        gpu: Arc<Gpu>,
        program: &Arc<Program>,
        shape: [usize; 3],
        precision: Precision,
    ) -> Result<Self> {
        let runner = |precision| Runner::new(&gpu, Arc::clone(program), precision);
        let exact = runner(Precision::F32)?;
        let half = (precision == Precision::Bf16).then(|| runner(precision)).transpose()?;
        let free = gpu.free_memory()? as f64 * SHARE;
        let form = |runner| {
            let most = [false, true].map(|pullback| {
                let beside = if pullback { ROWS_OF_ATTACKS } else { 0 };
                let beside = 4 * beside * shape.iter().product::<usize>();
                let each = bytes_per_image(&runner, shape, pullback) + beside;
                bucket_within(((free / each as f64) as usize).clamp(1, MOST_IMAGES))
            });
            PrecisionVariant { runner, most }
        };
        let (exact, half) = (form(exact), half.map(form));
        let engine = Engine { gpu, exact, half, memory: None, held: None };
        let images = engine.form(precision).most[1];
        tracing::info!(gpu = engine.gpu.name()?, images, "a network is on the GPU");
        Ok(engine)
    }

    /// The network for `precision`.
    pub(super) fn form(&self, precision: Precision) -> &PrecisionVariant {
        match (precision, &self.half) {
            (Precision::Bf16, Some(half)) => half,
            _ => &self.exact,
        }
    }

    /// The same, to be changed.
    fn form_mut(&mut self, precision: Precision) -> &mut PrecisionVariant {
        match (precision, &mut self.half) {
            (Precision::Bf16, Some(half)) => half,
            _ => &mut self.exact,
        }
    }

    /// What runs it for `precision`.
    pub(super) fn runner(&self, precision: Precision) -> &Runner {
        &self.form(precision).runner
    }

    /// Calls `work(self, first, count)` for parts of `n` images that fit into the memory.
    pub(super) fn in_parts(
        &mut self,
        n: usize,
        pullback: bool,
        precision: Precision,
        mut work: impl FnMut(&mut Self, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let mut first = 0;
        while first < n {
            let count = (n - first).min(self.form(precision).most[usize::from(pullback)]);
            match work(self, first, count) {
                Ok(()) => first += count,
                Err(error) if error.is_out_of_memory() && count > 1 => {
                    let images = bucket_within(count / 2);
                    self.form_mut(precision).most[usize::from(pullback)] = images;
                    self.memory = None;
                    self.held = None;
                    tracing::warn!(images, "the GPU's memory is full: smaller parts");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Memory for `count` images, whose former content is lost unless they are those it holds.
    pub(super) fn ready(
        &mut self,
        network: &Network,
        count: usize,
        pullback: bool,
        precision: Precision,
    ) -> Result<Ready> {
        let (runner, images) = (&self.form(precision).runner, bucket(count));
        let inside = images * runner.bytes_per_image(pullback);
        let bytes = images * bytes_per_image(runner, network.shape, pullback);
        let memory = match &self.memory {
            Some(memory) if memory.bytes() >= bytes => memory.at(),
            _ => {
                self.memory = None;
                self.held = None;
                self.memory.insert(self.gpu.allocate(bytes)?).at()
            }
        };
        let outside = memory + inside as Address;
        Ok(Ready { memory, outside, count, images, precision, pullback })
    }

    /// Brings the images `[N, C, H, W]` at `from` to where the network reads them, in its order.
    pub(super) fn turn(&self, batch: &Ready, network: &Network, from: Address) -> Result<()> {
        let [c, h, w] = network.shape;
        let total = batch.count * c * h * w;
        let runner = self.runner(batch.precision);
        let to = runner.images(&batch.of(&self.gpu));
        let arguments = arguments![from, to, size(total), c, h * w, false];
        self.gpu.launch_for(runner.numbers[0], "to_nhwc", total, &arguments)
    }

    /// Writes the gradient `[N, C, H, W]` for the cotangent that is there to `to`.
    pub(super) fn pull_to(&self, batch: &Ready, network: &Network, to: Address) -> Result<()> {
        let (inside, runner) = (batch.of(&self.gpu), self.runner(batch.precision));
        runner.pullback(&inside)?;
        let [c, h, w] = network.shape;
        let total = batch.count * c * h * w;
        let from = runner.gradient(&inside);
        let arguments = arguments![from, to, size(total), c, h * w, false];
        self.gpu.launch_for(runner.numbers[0], "to_nchw", total, &arguments)
    }

    pub(super) fn noisy_classes(
        &mut self,
        network: &Network,
        noisy: &Noisy<'_>,
        copies: &[(u32, Draw)],
        precision: Precision,
    ) -> Result<Vec<Option<u32>>> {
        let width = network.shape.iter().product::<usize>();
        let images = self.gpu.upload(&noisy.images.concat())?;
        let mut classes = Vec::with_capacity(copies.len());
        self.in_parts(copies.len(), false, precision, |engine, first, count| {
            let places: Vec<u32> = copies[first..first + count]
                .iter()
                .flat_map(|(image, draw)| std::iter::once(*image).chain(draw.words()))
                .collect();
            let batch = engine.ready(network, count, false, precision)?;
            engine.held = None;
            let gpu = &engine.gpu;
            let at = gpu.allocate(size_of_val(places.as_slice()))?;
            gpu.write(at.at(), &places)?;
            let (kernel, scale) = match noisy.noise {
                PixelNoise::Gaussian(sigma) => ("gaussian", sigma),
                PixelNoise::Uniform(lambda) => ("uniform", lambda),
            };
            let to = batch.outside;
            let noise = arguments![images.at(), at.at(), to, size(count), width, scale];
            gpu.launch(kernel, count * width.div_ceil(4), &noise)?;
            engine.turn(&batch, network, batch.outside)?;
            let inside = batch.of(gpu);
            let runner = engine.runner(precision);
            runner.forward(&inside)?;
            let found = gpu.allocate(count * size_of::<i32>())?;
            let logits = runner.logits(&inside);
            let arguments = arguments![logits, found.at(), size(count), network.classes];
            gpu.launch("largest", count, &arguments)?;
            let mut part = vec![0_i32; count];
            gpu.read(found.at(), &mut part)?;
            classes.extend(part.into_iter().map(|class| u32::try_from(class).ok()));
            Ok(())
        })?;
        Ok(classes)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_IMAGES, bucket, bucket_within};

    #[test]
    fn buckets_are_few_and_little_larger_than_what_is_in_them() {
        let mut buckets = std::collections::BTreeSet::new();
        for n in 1..=MOST_IMAGES {
            let images = bucket(n);
            assert!(images >= n && bucket(images) == images, "{n}: {images}");
            assert!(n <= 8 || images * 4 < n * 5, "{n}: {images}");
            assert!(bucket_within(n) <= n && bucket(bucket_within(n)) <= n, "{n}");
            buckets.insert(images);
        }
        assert_eq!(buckets.len(), 52);
        assert_eq!(buckets.range(..=1024).count(), 36);
    }
}
