//! Two model files of one network, such as an export to ONNX and the weights that it was made from: how far their
//! logits and gradients are apart, and how long each takes, in turns.
//!
//! ```sh
//! python benchmarks/onnx/export.py models
//! cargo run --release --example onnx_forms -- models/resnet18.onnx models/resnet18.safetensors imagenet-resnet-18
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use epsball::loss::Loss;
use epsball::model::file::{Declared, load};
use epsball::model::{Classifier, FrozenNetwork};
use epsball::onnx::OnnxForm;
use epsball::rng::Stream;
use epsball::rows::{Location, Rows};
use epsball::zoo;

/// The allocator of the `epsball` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Images at a time, and how often each form is timed.
const IMAGES: usize = 8;
const REPEATS: usize = 9;

fn open(path: &str, declared: &Declared) -> Result<FrozenNetwork> {
    Ok(load(Path::new(path), declared)?.0)
}

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, rest @ ..] = given.as_slice() else {
        return Err("usage: onnx_forms FIRST SECOND [ARCHITECTURE OF THE SECOND]".into());
    };
    // The normalisation that is part of the architecture stands before the exported network too.
    let architecture = rest.first().map(|name| zoo::find(name)).transpose()?;
    let (mean, std) = architecture.and_then(|a| a.normalisation).unwrap_or_default();
    let onnx = OnnxForm { mean: mean.to_vec(), std: std.to_vec(), ..OnnxForm::default() };
    let exported = Declared { onnx, ..Declared::default() };
    let weights = Declared { architecture: rest.first().cloned(), ..Declared::default() };
    let networks = [open(first, &exported)?, open(second, &weights)?];
    let [c, h, w] = networks[0].info().input_shape;
    let mut pixels = vec![0.0_f32; IMAGES * c * h * w];
    Stream::new(0, "onnx forms").draw(0, 0).uniform(&mut pixels);
    let place = Location::default();
    let images = Rows::new(&place, [IMAGES, c, h, w], pixels)?;
    let labels = Rows::classes(&place, &[3; IMAGES])?;
    let none = Rows::none(&place)?;
    let gradient =
        |network: &FrozenNetwork| network.evaluate(&images, Loss::CrossEntropy, &labels, &none);
    let (mut answers, mut times) = (Vec::new(), [const { Vec::new() }; 4]);
    for _ in 0..=REPEATS {
        answers.clear();
        for (i, network) in networks.iter().enumerate() {
            let start = Instant::now();
            network.logits(&images)?;
            let forward = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let at = gradient(network)?;
            times[i].push(forward);
            times[i + 2].push(start.elapsed().as_secs_f64());
            answers.push([at.logits.values()?.to_vec(), at.gradient.values()?.to_vec()]);
        }
    }
    let median = |times: &[f64]| {
        // The first time is for packing the weights.
        let mut times = times[1..].to_vec();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    for (name, [first, second]) in [("logits", [0, 1]), ("gradient", [2, 3])] {
        let (first, second) = (median(&times[first]), median(&times[second]));
        println!(
            "{name}: {:.1} ms and {:.1} ms, ratio {:.3}",
            first * 1e3,
            second * 1e3,
            first / second
        );
    }
    for (name, i) in [("logits", 0), ("gradients", 1)] {
        let [a, b] = [&answers[0][i], &answers[1][i]];
        let scale = b.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        println!("{name}: {:.1e} apart, of {scale:.1e}", apart);
    }
    Ok(())
}
