//! epsball's side of the comparison with PyTorch's libraries. `peers.py` starts it, writes one line
//! of JSON per piece of work and reads one line back: the seconds that the work took, loading left
//! out, and what it came to. See README.md in this folder.
#![allow(clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};
use epsball::attack::{Request, attack, configure};
use epsball::certify::noise::Gaussian;
use epsball::certify::{Job, Sampler};
use epsball::data::Batch;
use epsball::device::{self, Precision};
use epsball::loss::Loss;
use epsball::model::file::{Declared, load};
use epsball::model::{Classifier, Evaluation, FrozenNetwork};
use epsball::ops::product::{Finish, Rows, Weights, product};
use epsball::rng::Stream;
use epsball::rows;
use epsball::threat::{Norm, Threat};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The allocator of the `epsball` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads, rest @ ..] = given.as_slice() else {
        return Err("usage: peers_side FOLDER THREADS [DEVICE]; peers.py starts it".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let device = rest.first().map_or("cpu", String::as_str).parse::<device::Device>()?.resolve()?;
    let mut side =
        Side { folder: folder.into(), device, precision: Precision::F32, loaded: BTreeMap::new() };
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }))?;
    for line in std::io::stdin().lines() {
        let answer = side.perform(&serde_json::from_str(&line?)?)?;
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

/// A piece of work. `network` names two files in the folder: `NAME.safetensors`, a model file, and
/// `NAME.inputs.safetensors` with `images` and `labels`, of which the first `images` are taken.
#[derive(Deserialize)]
#[serde(tag = "work", rename_all = "kebab-case")]
enum Order {
    /// The arithmetic of what follows, `f32`, `tf32` or `bf16`.
    Precision { precision: Precision },
    /// Logits, `repeat` times; written to `results`.
    Logits { network: String, images: usize, repeat: u32, results: Option<PathBuf> },
    /// Logits and the input gradient of the summed cross-entropy, likewise.
    Gradient { network: String, images: usize, repeat: u32, results: Option<PathBuf> },
    /// An attack with these parameters.
    Attack {
        network: String,
        images: usize,
        attack: String,
        norm: Norm,
        eps: f32,
        parameters: BTreeMap<String, String>,
    },
    /// Class counts under Gaussian noise.
    Smoothing { network: String, images: usize, sigma: f64, samples: u32, batch: usize },
    /// The engine's matrix product at its best.
    Product,
}

/// What a piece of work came to.
#[derive(Default, Serialize)]
struct Answer {
    /// Of one repetition.
    seconds: f64,
    /// Of one image through the network, forward.
    multiply_adds: u64,
    /// GFLOP/s, of [`Order::Product`].
    #[serde(skip_serializing_if = "Option::is_none")]
    gflops: Option<f64>,
    /// Images for which the attack found nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    robust: Option<usize>,
    /// Images that were misclassified from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    misclassified: Option<usize>,
    /// Mean distance of the adversarial images that were found, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f64>,
    /// Samples per class, of each image.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Vec<Vec<u64>>>,
}

struct Side {
    folder: PathBuf,
    device: device::Device,
    precision: Precision,
    loaded: BTreeMap<String, (FrozenNetwork, Batch)>,
}

impl Side {
    fn perform(&mut self, order: &Order) -> Result<Answer> {
        match order {
            Order::Precision { precision } => {
                for (network, _) in self.loaded.values_mut() {
                    network.place(&self.device, *precision)?;
                }
                self.precision = *precision;
                Ok(Answer::default())
            }
            Order::Logits { network, images, repeat, results } => {
                let (model, batch) = self.open(network, *images)?;
                let images = batch.rows()?.at(&model.location())?;
                let (seconds, logits) = timed(*repeat, || logits(model, &images))?;
                write(results.as_deref(), [("logits", logits.tensor()?)])?;
                Ok(Answer { seconds, multiply_adds: model.multiply_adds(), ..Answer::default() })
            }
            Order::Gradient { network, images, repeat, results } => {
                let (model, batch) = self.open(network, *images)?;
                let images = batch.rows()?.at(&model.location())?;
                let labels = rows::Rows::classes(&images.location(), &batch.labels)?;
                let (seconds, at) = timed(*repeat, || gradient(model, &images, &labels))?;
                let tensors =
                    [("logits", at.logits.tensor()?), ("gradient", at.gradient.tensor()?)];
                write(results.as_deref(), tensors)?;
                Ok(Answer { seconds, multiply_adds: model.multiply_adds(), ..Answer::default() })
            }
            Order::Attack { network, images, attack, norm, eps, parameters } => {
                let (model, batch) = self.open(network, *images)?;
                attacked(model, &batch, attack, Threat::ball(*norm, *eps), parameters)
            }
            Order::Smoothing { network, images, sigma, samples, batch } => {
                let (model, inputs) = self.open(network, *images)?;
                smoothed(model, &inputs, *sigma, *samples, *batch)
            }
            Order::Product => Ok(Answer { gflops: Some(product_peak()), ..Answer::default() }),
        }
    }

    /// The network and its first images, read once.
    fn open(&mut self, name: &str, images: usize) -> Result<(&FrozenNetwork, Batch)> {
        if !self.loaded.contains_key(name) {
            let file = self.folder.join(format!("{name}.safetensors"));
            let mut model = load(&file, &Declared::default())?.0;
            model.place(&self.device, self.precision)?;
            let inputs = self.folder.join(format!("{name}.inputs.safetensors"));
            let inputs = candle_core::safetensors::load(inputs, &Device::Cpu)?;
            let labels: Vec<i64> = inputs["labels"].to_vec1()?;
            let batch = Batch {
                ids: (0..labels.len() as u64).collect(),
                images: inputs["images"].clone(),
                labels: labels.iter().map(|label| *label as u32).collect(),
            };
            self.loaded.insert(name.into(), (model, batch));
        }
        let (model, all) = &self.loaded[name];
        let batch = Batch {
            ids: all.ids[..images].to_vec(),
            images: all.images.narrow(0, 0, images)?.force_contiguous()?,
            labels: all.labels[..images].to_vec(),
        };
        Ok((model, batch))
    }
}

/// Seconds of one repetition, and the last result.
fn timed<R>(repeat: u32, work: impl Fn() -> Result<R>) -> Result<(f64, R)> {
    let started = Instant::now();
    for _ in 1..repeat {
        work()?;
    }
    let last = work()?;
    Ok((started.elapsed().as_secs_f64() / f64::from(repeat.max(1)), last))
}

fn write<const N: usize>(results: Option<&Path>, tensors: [(&str, Tensor); N]) -> Result<()> {
    if let Some(path) = results {
        candle_core::safetensors::save(&tensors.into_iter().collect(), path)?;
    }
    Ok(())
}

/// The images are where the network is, as those of the peers are, and what comes out stays there. That the
/// logits can be read says that the work is done.
fn logits(model: &FrozenNetwork, images: &rows::Rows) -> Result<rows::Rows> {
    let logits = model.logits(images)?;
    logits.values()?;
    Ok(logits)
}

/// The same with the gradient of the summed cross-entropy, which is computed before the logits can be read.
fn gradient(model: &FrozenNetwork, images: &rows::Rows, labels: &rows::Rows) -> Result<Evaluation> {
    let untargeted = rows::Rows::none(&images.location())?;
    let at = model.evaluate(images, Loss::CrossEntropy, labels, &untargeted)?;
    at.logits.values()?;
    Ok(at)
}

fn attacked(
    model: &FrozenNetwork,
    batch: &Batch,
    name: &str,
    threat: Threat,
    parameters: &BTreeMap<String, String>,
) -> Result<Answer> {
    let configured = configure(name, &threat, parameters)?;
    let (seconds, outcomes) =
        timed(1, || Ok(attack(&configured, model, batch, &Request::default())?))?;
    let distances: Vec<f64> = outcomes.iter().filter(|o| o.found).map(|o| o.distance).collect();
    Ok(Answer {
        seconds,
        robust: Some(outcomes.iter().filter(|o| !o.found).count()),
        misclassified: Some(outcomes.iter().filter(|o| o.clean_prediction != o.label).count()),
        distance: (!distances.is_empty())
            .then(|| distances.iter().sum::<f64>() / distances.len() as f64),
        ..Answer::default()
    })
}

fn smoothed(
    model: &FrozenNetwork,
    inputs: &Batch,
    sigma: f64,
    samples: u32,
    batch: usize,
) -> Result<Answer> {
    let pixels: Vec<Vec<f32>> = inputs.images.flatten_from(1)?.to_vec2()?;
    let (seconds, counts) = timed(1, || {
        let noise = Gaussian { sigma };
        let mut sampler = Sampler::new(model, &noise, batch)?;
        for (id, pixels) in inputs.ids.iter().zip(&pixels) {
            let stream = Stream::new(0, "smoothing-estimate");
            sampler.submit(Job { image: *id, pixels, stream, samples: 0..samples })?;
        }
        let mut counts = Vec::new();
        while !sampler.is_idle() {
            counts.extend(sampler.step()?.into_iter().map(|done| done.classes));
        }
        Ok(counts)
    })?;
    Ok(Answer { seconds, counts: Some(counts), ..Answer::default() })
}

/// GFLOP/s of the engine's product on all threads, each with its own matrices in its own cache: the
/// best of several shapes of a convolution and of several tries.
fn product_peak() -> f64 {
    const REPEAT: usize = 8;
    let mut best = 0.0_f64;
    for (m, n, k) in [(1024, 64, 576), (256, 128, 1152), (512, 64, 512)] {
        let weights = Weights::pack(k, n, |_, _| 0.25);
        let starts: Vec<usize> = (0..m).map(|row| row * k).collect();
        let mut matrices: Vec<(Vec<f32>, Vec<f32>)> = (0..rayon::current_num_threads())
            .map(|_| (vec![0.5; m * k], vec![0.0; m * n]))
            .collect();
        let operations = (2 * m * n * k * REPEAT * matrices.len()) as f64;
        for _ in 0..15 {
            let started = Instant::now();
            matrices.par_iter_mut().with_max_len(1).for_each(|(a, out)| {
                for _ in 0..REPEAT {
                    let rows = Rows { values: a, starts: &starts, offsets: &[0], run: k };
                    product(rows, &weights, Finish::default(), out, n);
                }
            });
            best = best.max(operations / started.elapsed().as_secs_f64() / 1e9);
        }
    }
    best
}
