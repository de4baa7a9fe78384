//! A network on one or several GPUs: batches in, logits, gradients or classes out. A batch that is too
//! large for the memory is cut into parts; when memory runs out all the same, because others use the GPU,
//! the parts are halved and nothing is lost.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::array::Home;
use super::gpu::{Address, Gpu, Memory, arguments, size};
use super::run::{Batch, Runner};
use super::{Noisy, PixelNoise};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::nn::lower::Lowered;
use crate::nn::{Layer, Shape};
use crate::ops::with_slice;

/// Images that a GPU computes at once, at most: more fill no GPU better.
const MOST_IMAGES: usize = 2048;

/// Images at a time for attacks, for each GPU: enough to fill it, few enough that little work is lost when
/// a run is killed in the middle of them.
const ENOUGH_IMAGES: usize = 512;

/// Rows of the size of an image that an attack keeps beside the network, roughly.
const ROWS_OF_ATTACKS: usize = 16;

/// Share of the free memory that may be used.
const SHARE: f64 = 0.8;

/// A frozen network in the memory of some GPUs.
pub(crate) struct Network {
    pub(super) homes: Vec<Home>,
    /// One for each of them.
    pub(super) engines: Vec<Mutex<Engine>>,
    pub(super) shape: [usize; 3],
    pub(super) classes: usize,
    next: AtomicUsize,
    /// Searches that were given a home.
    housed: AtomicUsize,
    pub(super) tickets: AtomicU64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("gpus", &self.engines.len()).finish_non_exhaustive()
    }
}

/// The network on one GPU.
pub(super) struct Engine {
    pub(super) gpu: Arc<Gpu>,
    /// In f32, in which results are judged.
    exact: Form,
    /// In bf16, if searches are in that.
    half: Option<Form>,
    memory: Option<Memory>,
    /// Which forward pass the memory has the state of.
    pub(super) held: Option<Part>,
}

/// The network with its images in f32 or in bf16.
struct Form {
    runner: Runner,
    /// Images of a part, at most, without and with a pullback.
    most: [usize; 2],
}

/// Some images of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) ticket: u64,
    pub(super) first: usize,
    pub(super) count: usize,
}

/// A batch around which the network can be pulled back.
#[derive(Debug)]
pub(crate) struct Linearised {
    images: Tensor,
    engine: usize,
    ticket: u64,
    precision: Precision,
}

impl Network {
    /// Lowers `tree`, which maps images of `shape` `[C, H, W]` to `classes` logits, and copies it to the
    /// GPUs with these numbers: in f32, and in what searches in `precision` need.
    pub(crate) fn open(
        tree: &Layer,
        shape: [usize; 3],
        classes: usize,
        gpus: &[usize],
        precision: Precision,
    ) -> Result<Self> {
        let homes = gpus.iter().map(|ordinal| Ok(Home(Arc::new(Gpu::open(*ordinal)?))));
        Self::open_on(tree, shape, classes, homes.collect::<Result<_>>()?, precision)
    }

    /// The same for another tree, on the GPUs of this one, which are open already.
    pub(crate) fn open_beside(
        &self,
        tree: &Layer,
        shape: [usize; 3],
        classes: usize,
        precision: Precision,
    ) -> Result<Self> {
        Self::open_on(tree, shape, classes, self.homes.clone(), precision)
    }

    fn open_on(
        tree: &Layer,
        shape: [usize; 3],
        classes: usize,
        homes: Vec<Home>,
        precision: Precision,
    ) -> Result<Self> {
        let [c, h, w] = shape;
        let lowered = Arc::new(Lowered::new(tree, Shape::of_image([h, w], c))?);
        let engines = homes
            .iter()
            .map(|Home(gpu)| {
                let gpu = gpu.clone();
                let runner = |precision| Runner::new(&gpu, Arc::clone(&lowered), precision);
                let exact = runner(Precision::F32)?;
                let half = (precision == Precision::Bf16).then(|| runner(precision)).transpose()?;
                let free = gpu.free_memory()? as f64 * SHARE;
                let form = |runner| {
                    let most = [false, true].map(|pullback| {
                        let beside = if pullback { ROWS_OF_ATTACKS } else { 0 };
                        let beside = 4 * beside * shape.iter().product::<usize>();
                        let each = bytes_per_image(&runner, shape, pullback) + beside;
                        ((free / each as f64) as usize).clamp(1, MOST_IMAGES)
                    });
                    Form { runner, most }
                };
                let (exact, half) = (form(exact), half.map(form));
                let engine = Engine { gpu, exact, half, memory: None, held: None };
                let images = engine.form(precision).most[1];
                tracing::info!(gpu = engine.gpu.name()?, images, "a network is on the GPU");
                Ok(Mutex::new(engine))
            })
            .collect::<Result<_>>()?;
        let (next, housed, tickets) = Default::default();
        Ok(Self { homes, engines, shape, classes, next, housed, tickets })
    }

    /// Number of batches that can be worked on at the same time.
    pub(crate) fn lanes(&self) -> usize {
        self.engines.len()
    }

    /// Images at a time that fill the GPUs and fit into their memory, for searches in `precision`.
    pub(crate) fn batch(&self, precision: Precision) -> usize {
        let of = |engine: &Mutex<Engine>| {
            let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            engine.form(precision).most[1].min(ENOUGH_IMAGES)
        };
        self.engines.iter().map(of).sum()
    }

    /// Logits `[N, K]` of `images` `[N, C, H, W]`.
    pub(crate) fn logits(&self, images: &Tensor, precision: Precision) -> Result<Tensor> {
        let (_, mut engine) = self.free_engine();
        let n = images.dim(0)?;
        let logits =
            with_slice::<f32, _>(images, |pixels| engine.forward_all(self, pixels, n, precision))?;
        Ok(Tensor::from_vec(logits, (n, self.classes), &Device::Cpu)?)
    }

    /// Logits `[N, K]` and the gradient `[N, C, H, W]` for the cotangent that `cotangent(first, logits)`
    /// gives of some images' logits.
    pub(crate) fn gradient(
        &self,
        images: &Tensor,
        precision: Precision,
        cotangent: &dyn Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let (_, mut engine) = self.free_engine();
        let n = images.dim(0)?;
        let (mut logits, mut gradient) = (Vec::new(), Vec::new());
        with_slice::<f32, _>(images, |pixels| {
            let width = pixels.len() / n.max(1);
            engine.in_parts(n, true, precision, |engine, first, count| {
                let batch = engine.ready(self, count, true, precision)?;
                engine.load(&batch, self, &pixels[first * width..(first + count) * width])?;
                let part = engine.forward(&batch, self)?;
                let z = Tensor::from_slice(&part, (count, self.classes), &Device::Cpu)?;
                let back = engine.pull(&batch, self, &cotangent(first, &z)?)?;
                logits.extend(part);
                gradient.extend(back);
                Ok(())
            })
        })?;
        let logits = Tensor::from_vec(logits, (n, self.classes), &Device::Cpu)?;
        Ok((logits, Tensor::from_vec(gradient, images.shape(), &Device::Cpu)?))
    }

    /// Logits `[N, K]` and the batch for [`Network::pull`].
    pub(crate) fn linearise(
        &self,
        images: &Tensor,
        precision: Precision,
    ) -> Result<(Tensor, Linearised)> {
        let (number, mut engine) = self.free_engine();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let n = images.dim(0)?;
        let mut logits = Vec::new();
        with_slice::<f32, _>(images, |pixels| {
            let width = pixels.len() / n.max(1);
            engine.in_parts(n, true, precision, |engine, first, count| {
                let batch = engine.ready(self, count, true, precision)?;
                engine.load(&batch, self, &pixels[first * width..(first + count) * width])?;
                logits.extend(engine.forward(&batch, self)?);
                engine.held = Some(Part { ticket, first, count });
                Ok(())
            })
        })?;
        let logits = Tensor::from_vec(logits, (n, self.classes), &Device::Cpu)?;
        let images = images.clone();
        Ok((logits, Linearised { images, engine: number, ticket, precision }))
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)`. The forward pass is repeated if another one
    /// has come between.
    pub(crate) fn pull(&self, at: &Linearised, cotangent: &Tensor) -> Result<Tensor> {
        let mut engine = self.engines[at.engine].lock().unwrap_or_else(PoisonError::into_inner);
        let n = at.images.dim(0)?;
        let mut gradient = Vec::new();
        with_slice::<f32, _>(&at.images, |pixels| {
            let width = pixels.len() / n.max(1);
            engine.in_parts(n, true, at.precision, |engine, first, count| {
                let part = Part { ticket: at.ticket, first, count };
                let there = engine.held == Some(part);
                let batch = engine.ready(self, count, true, at.precision)?;
                if !there {
                    engine.load(&batch, self, &pixels[first * width..(first + count) * width])?;
                    engine.runner(at.precision).forward(&batch.of(&engine.gpu))?;
                }
                let g = cotangent.narrow(0, first, count)?;
                gradient.extend(engine.pull(&batch, self, &g)?);
                engine.held = Some(part);
                Ok(())
            })
        })?;
        Ok(Tensor::from_vec(gradient, at.images.shape(), &Device::Cpu)?)
    }

    /// The class of every noisy copy, `None` where a logit is NaN. Noise, network and the search for the
    /// largest logit stay on the GPUs, which share the copies.
    pub(crate) fn noisy_classes(
        &self,
        noisy: &Noisy<'_>,
        precision: Precision,
    ) -> Result<Vec<Option<u32>>> {
        let share = noisy.copies.len().div_ceil(self.engines.len()).max(1);
        let parts: Vec<&[(u32, crate::rng::Draw)]> = noisy.copies.chunks(share).collect();
        let classes = parts
            .into_par_iter()
            .map(|copies| {
                let (_, mut engine) = self.free_engine();
                engine.noisy_classes(self, noisy, copies, precision)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(classes.into_iter().flatten().collect())
    }

    /// Where batches that stay on a GPU should be: on one GPU after the other.
    pub(crate) fn home(&self) -> Home {
        self.homes[self.housed.fetch_add(1, Ordering::Relaxed) % self.homes.len()].clone()
    }

    /// How many graphs were launched so far.
    #[cfg(test)]
    pub(super) fn graph_launches(&self) -> usize {
        let of = |engine: &Mutex<Engine>| {
            let engine = engine.lock().unwrap();
            let forms = std::iter::once(&engine.exact).chain(&engine.half);
            forms.map(|form| form.runner.graphs.launches()).sum::<usize>()
        };
        self.engines.iter().map(of).sum()
    }

    /// The same network without graphs.
    #[cfg(test)]
    pub(super) fn without_graphs(self) -> Self {
        for engine in &self.engines {
            let engine = engine.lock().unwrap();
            for form in std::iter::once(&engine.exact).chain(&engine.half) {
                form.runner.graphs.turn_off();
            }
        }
        self
    }

    /// A GPU that is idle, or the next one when it will be.
    fn free_engine(&self) -> (usize, MutexGuard<'_, Engine>) {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.engines.len();
        for number in (start..self.engines.len()).chain(0..start) {
            if let Ok(engine) = self.engines[number].try_lock() {
                return (number, engine);
            }
        }
        (start, self.engines[start].lock().unwrap_or_else(PoisonError::into_inner))
    }
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
    pub(super) images: usize,
    precision: Precision,
    pullback: bool,
}

impl Ready {
    pub(super) fn of<'a>(&self, gpu: &'a Gpu) -> Batch<'a> {
        let Self { memory, images, precision, pullback, .. } = *self;
        Batch { gpu, memory, images, precision, pullback }
    }
}

impl Engine {
    /// The network for `precision`.
    fn form(&self, precision: Precision) -> &Form {
        match (precision, &self.half) {
            (Precision::Bf16, Some(half)) => half,
            _ => &self.exact,
        }
    }

    /// The same, to be changed.
    fn form_mut(&mut self, precision: Precision) -> &mut Form {
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
                Err(Error::Device { what: "allocate memory", .. }) if count > 1 => {
                    self.form_mut(precision).most[usize::from(pullback)] = count / 2;
                    self.memory = None;
                    self.held = None;
                    tracing::warn!(images = count / 2, "the GPU's memory is full: smaller parts");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Memory for `images` images, whose former content is lost unless they are those it holds.
    pub(super) fn ready(
        &mut self,
        network: &Network,
        images: usize,
        pullback: bool,
        precision: Precision,
    ) -> Result<Ready> {
        let runner = &self.form(precision).runner;
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
        Ok(Ready { memory, outside, images, precision, pullback })
    }

    /// Copies `pixels` `[N, C, H, W]` to where the network reads them.
    fn load(&mut self, batch: &Ready, network: &Network, pixels: &[f32]) -> Result<()> {
        self.held = None;
        self.gpu.write(batch.outside, pixels)?;
        self.turn(batch, network, batch.outside)
    }

    /// Brings the images `[N, C, H, W]` at `from` to where the network reads them, in its order.
    pub(super) fn turn(&self, batch: &Ready, network: &Network, from: Address) -> Result<()> {
        let [c, h, w] = network.shape;
        let total = batch.images * c * h * w;
        let runner = self.runner(batch.precision);
        let to = runner.images(&batch.of(&self.gpu));
        let arguments = arguments![from, to, size(total), c, h * w, false];
        self.gpu.launch_for(runner.numbers[0], "to_nhwc", total, &arguments)
    }

    /// Logits of the images that are there.
    fn forward(&self, batch: &Ready, network: &Network) -> Result<Vec<f32>> {
        let inside = batch.of(&self.gpu);
        let runner = self.runner(batch.precision);
        runner.forward(&inside)?;
        let mut logits = vec![0.0; batch.images * network.classes];
        self.gpu.read(runner.logits(&inside), &mut logits)?;
        Ok(logits)
    }

    fn forward_all(
        &mut self,
        network: &Network,
        pixels: &[f32],
        n: usize,
        precision: Precision,
    ) -> Result<Vec<f32>> {
        let width = pixels.len() / n.max(1);
        let mut logits = Vec::with_capacity(n * network.classes);
        self.in_parts(n, false, precision, |engine, first, count| {
            let batch = engine.ready(network, count, false, precision)?;
            engine.load(&batch, network, &pixels[first * width..(first + count) * width])?;
            logits.extend(engine.forward(&batch, network)?);
            Ok(())
        })?;
        Ok(logits)
    }

    /// Gradient `[N, C, H, W]` for the cotangent `[N, K]` at the images of the last forward pass.
    fn pull(&self, batch: &Ready, network: &Network, cotangent: &Tensor) -> Result<Vec<f32>> {
        let inside = batch.of(&self.gpu);
        let runner = self.runner(batch.precision);
        with_slice::<f32, _>(cotangent, |g| self.gpu.write(runner.cotangent(&inside), g))?;
        self.pull_to(batch, network, batch.outside)?;
        let mut gradient = vec![0.0; batch.images * network.shape.iter().product::<usize>()];
        self.gpu.read(batch.outside, &mut gradient)?;
        Ok(gradient)
    }

    /// Writes the gradient `[N, C, H, W]` for the cotangent that is there to `to`.
    pub(super) fn pull_to(&self, batch: &Ready, network: &Network, to: Address) -> Result<()> {
        let (inside, runner) = (batch.of(&self.gpu), self.runner(batch.precision));
        runner.pullback(&inside)?;
        let [c, h, w] = network.shape;
        let total = batch.images * c * h * w;
        let from = runner.gradient(&inside);
        let arguments = arguments![from, to, size(total), c, h * w, false];
        self.gpu.launch_for(runner.numbers[0], "to_nchw", total, &arguments)
    }

    fn noisy_classes(
        &mut self,
        network: &Network,
        noisy: &Noisy<'_>,
        copies: &[(u32, crate::rng::Draw)],
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
