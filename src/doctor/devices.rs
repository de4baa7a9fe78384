//! Every device tried in every arithmetic: a bundled network beside candle's operations and the CPU in f32, and the
//! rate of one convolution.

use std::time::{Duration, Instant};

use candle_core::{DType, Device as CandleDevice, Tensor};
use serde::Serialize;

use crate::bench::load_bundled;
use crate::device::{Device, Precision};
use crate::error::Result;
use crate::loss::Loss;
use crate::model::file::Declared;
use crate::model::{Classifier as _, Evaluation, FrozenNetwork, ModelInfo};
use crate::nn::{Conv2d, Linear, global_avg_pool, seq};
use crate::rows::Rows;
use crate::{cuda, data};

/// The network that is computed on every device.
const NETWORK: &str = "digits-trades";

/// Images of the test, an odd number: no device gets a batch that it is made for.
const IMAGES: usize = 37;

/// Channels and side of the convolution whose rate is measured, 3x3.
const CHANNELS: usize = 256;
const SIDE: usize = 32;

/// A rate is measured for at least this long, on batches that take about this long, of at most this many images.
const LEAST_TIME: Duration = Duration::from_millis(200);
const LONG_PASS: Duration = Duration::from_millis(15);
const MOST_IMAGES: usize = 512;

/// One device in one arithmetic.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Of the network.
    pub precision: Precision,
    /// How far logits are from those of candle's operations, and gradients from those of the CPU in f32: the length of
    /// the difference over the length.
    pub apart: Option<[f64; 2]>,
    /// The rate of a 3x3 convolution of 256 channels at 32x32, forward, in GFLOP/s: multiplications and additions by
    /// the definition, of which minimal filtering makes fewer.
    pub gflops: Option<f64>,
    /// What went wrong; empty if nothing did.
    pub problem: String,
}

impl Trial {
    /// The device computes what it should.
    pub fn passed(&self) -> bool {
        self.problem.is_empty()
    }
}

/// The CPU and every GPU.
pub(super) fn all() -> Vec<Device> {
    let gpus = (0..cuda::count()).map(|number| Device::Cuda(vec![number]));
    std::iter::once(Device::Cpu).chain(gpus).collect()
}

/// `device` in every arithmetic that it has.
pub(super) fn trials(device: &Device) -> Vec<Trial> {
    let precisions: &[Precision] = match device {
        Device::Cpu | Device::Auto => &[Precision::F32, Precision::Bf16],
        _ => &[Precision::F32, Precision::Tf32, Precision::Bf16],
    };
    // Whoever has a network on a GPU keeps it open for the next one.
    let kept = on(device, Precision::F32);
    let trials = precisions.iter().map(|precision| trial(device, *precision)).collect();
    drop(kept);
    trials
}

fn trial(device: &Device, precision: Precision) -> Trial {
    let (compared, rate) = (compare(device, precision), rate(device, precision));
    let problem = match (&compared, &rate) {
        (Err(error), _) | (_, Err(error)) => error.to_string(),
        (Ok(apart), _) if !within(*apart, precision) => {
            "it computes something else than candle or the CPU: do not trust its results".into()
        }
        _ => String::new(),
    };
    Trial {
        device: device.to_string(),
        precision,
        apart: compared.ok(),
        gflops: rate.ok(),
        problem,
    }
}

/// Logits may be off by the rounding of the arithmetic. A gradient may also take the other side of single ReLUs near
/// 0, which changes a few of its elements by their whole size.
fn within([logits, gradient]: [f64; 2], precision: Precision) -> bool {
    let most = match precision {
        Precision::F32 => [1e-5, 1e-3],
        Precision::Tf32 => [4e-3, 0.1],
        Precision::Bf16 => [3e-2, 0.25],
    };
    logits <= most[0] && gradient <= most[1]
}

/// The bundled network on a device.
fn on(device: &Device, precision: Precision) -> Result<FrozenNetwork> {
    let (mut network, _) = load_bundled(NETWORK, &Declared::default())?;
    network.place(device, precision)?;
    Ok(network)
}

/// How far logits are from those that candle's operations give, and gradients from those of the CPU in f32.
fn compare(device: &Device, precision: Precision) -> Result<[f64; 2]> {
    let batch = data::open("digits:test")?.read(&(0..IMAGES).collect::<Vec<_>>())?;
    let of = |network: &FrozenNetwork| -> Result<Evaluation> {
        let images = batch.rows()?.at(&network.location())?;
        let labels = Rows::classes(&images.location(), &batch.labels)?;
        network.evaluate(&images, Loss::CrossEntropy, &labels, &Rows::none(&images.location())?)
    };
    let cpu = on(&Device::Cpu, Precision::F32)?;
    let logits = Rows::of_tensor(&cpu.program().reference(&batch.images)?)?;
    let (want, got) = (of(&cpu)?, of(&on(device, precision)?)?);
    Ok([apart(&logits, &got.logits)?, apart(&want.gradient, &got.gradient)?])
}

/// The length of the difference over the length.
fn apart(want: &Rows, got: &Rows) -> Result<f64> {
    let (want, got) = (want.values()?, got.values()?);
    let length = |numbers: &mut dyn Iterator<Item = f64>| {
        numbers.map(|number| number * number).sum::<f64>().sqrt()
    };
    let difference = length(&mut want.iter().zip(got.iter()).map(|(a, b)| f64::from(a - b)));
    Ok(difference / length(&mut want.iter().map(|a| f64::from(*a))))
}

/// GFLOP/s of a convolution, of as many images as keep the device busy for a moment.
fn rate(device: &Device, precision: Precision) -> Result<f64> {
    let on = &CandleDevice::Cpu;
    let weight = Tensor::full(0.01_f32, (CHANNELS, CHANNELS, 3, 3), on)?;
    let conv = Conv2d::new(weight, None)?.padding(1).layer();
    let head = Linear::new(Tensor::full(0.01_f32, (2, CHANNELS), on)?, None).layer();
    let info = ModelInfo::new("rate", [CHANNELS, SIDE, SIDE], 2);
    let mut network = FrozenNetwork::build(info, &seq([conv, global_avg_pool(), head]))?;
    network.place(device, precision)?;
    let mut images = 1;
    loop {
        let pixels = Tensor::ones((images, CHANNELS, SIDE, SIDE), DType::F32, on)?;
        let batch = Rows::of_tensor(&pixels)?.at(&network.location())?;
        let pass = || -> Result<Duration> {
            let started = Instant::now();
            network.logits(&batch)?.values()?;
            Ok(started.elapsed())
        };
        let first = pass()?;
        // Plans, graphs and caches come with the first passes.
        let second = if first < LONG_PASS { pass()? } else { first };
        if second < LONG_PASS && images < MOST_IMAGES {
            images *= 2;
            continue;
        }
        let mut times = vec![second];
        while times.iter().sum::<Duration>() < LEAST_TIME {
            times.push(pass()?);
        }
        times.sort_unstable();
        let operations = 2.0 * network.multiply_adds() as f64 * images as f64;
        return Ok(operations / times[times.len() / 2].as_secs_f64() / 1e9);
    }
}
