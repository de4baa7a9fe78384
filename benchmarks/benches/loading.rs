//! A model file of real size: how long WideResNet-28-10 takes to load, and what an attack keeps per image.
//!
//! ```sh
//! cargo bench --bench loading [-- ARCHITECTURE]
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use epsball::model::{Classifier as _, ModelCard, file};
use epsball::zoo;

/// Loads that are timed.
const TIMES: usize = 5;

fn main() {
    // Cargo itself adds `--bench`.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let architecture = zoo::find(named.as_deref().unwrap_or("wrn-28-10")).unwrap();
    let mut fresh = zoo::Fresh::new(0);
    architecture.program(&mut fresh, &architecture.settings()).unwrap();
    let tensors: BTreeMap<String, Tensor> =
        fresh.variables.iter().map(|(name, v)| (name.clone(), v.as_tensor().clone())).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random.safetensors");
    file::save(&path, &tensors, &ModelCard::new("random", architecture)).unwrap();
    drop(tensors);
    let mut times = Vec::new();
    let mut described = String::new();
    for _ in 0..TIMES {
        let start = Instant::now();
        let (network, _) = file::load(&path, &file::Declared::default()).unwrap();
        times.push(start.elapsed());
        let (info, kept) = (network.info(), network.kept_per_image().unwrap() / 1024);
        described = format!("{} parameters, {kept} KiB kept per image", info.parameters);
    }
    times.sort();
    let seconds = |time: &Duration| time.as_secs_f64();
    println!(
        "{}: {described}; loaded in {:.2} s (median of {TIMES}; {:.2} to {:.2})",
        architecture.name,
        seconds(&times[TIMES / 2]),
        seconds(&times[0]),
        seconds(&times[TIMES - 1]),
    );
}
