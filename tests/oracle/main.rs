//! Real networks on real data against published and recorded numbers. These tests need files that
//! cannot be distributed with the project; CONTRIBUTING.md says which and where they are looked for.
//! A missing file is a failure, not a skip.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod attacks;
mod autoattack;
mod minimum;
mod networks;
mod onnx;
mod patch;
mod torchvision;
mod zoo;

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use epsball::attack::{Outcome, Request, attack, configure};
use epsball::data::{self, Batch, Dataset};
use epsball::device::{Device, Precision};
use epsball::loss::argmax;
use epsball::model::file::{Declared, load};
use epsball::model::{Classifier, FrozenNetwork};
use epsball::rng::Randomness;
use epsball::threat::Threat;

fn oracle(file: &str) -> PathBuf {
    let root = std::env::var_os("EPSBALL_ORACLE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/oracle"),
        PathBuf::from,
    );
    let path = root.join(file);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

fn network(file: &str, architecture: &str) -> FrozenNetwork {
    let declared = Declared { architecture: Some(architecture.into()), ..Declared::default() };
    placed(load(&oracle(file), &declared).unwrap().0)
}

/// The precision of networks on GPUs: `EPSBALL_TEST_PRECISION`, or f32.
fn precision() -> Precision {
    std::env::var("EPSBALL_TEST_PRECISION").map_or(Precision::F32, |text| text.parse().unwrap())
}

/// The network on the device `EPSBALL_TEST_DEVICE`, if there is such a variable and its layers can run
/// there.
fn placed(mut network: FrozenNetwork) -> FrozenNetwork {
    if let Ok(device) = std::env::var("EPSBALL_TEST_DEVICE") {
        let device = device.parse::<Device>().unwrap().resolve().unwrap();
        if let Err(error) = network.place(&device, precision()) {
            assert!(error.to_string().ends_with("does not run on the GPU yet"), "{error}");
            eprintln!("{} stays on the CPU: {error}", network.info().name);
        }
    }
    network
}

/// The TRADES MNIST network.
fn trades() -> FrozenNetwork {
    network("trades-mnist/model_mnist_smallcnn.safetensors", "trades-small-cnn")
}

/// MNIST's 10,000 test images.
fn mnist() -> Box<dyn Dataset> {
    data::open(&format!("idx:{}", oracle("mnist/t10k-images-idx3-ubyte.gz").display())).unwrap()
}

/// The 9,822 of CIFAR-10's test images that are at hand; [`integers`] of the index file tells which.
fn cifar() -> Box<dyn Dataset> {
    data::open(&format!("cifar10:{}", oracle("cifar10/cifar10_test_9822.bin").display())).unwrap()
}

fn first(dataset: &dyn Dataset, n: usize) -> Batch {
    dataset.read(&(0..n).collect::<Vec<_>>()).unwrap()
}

/// The numbers of an `.npy` file.
fn integers(file: &str) -> Vec<i64> {
    let values = Tensor::read_npy(oracle(file)).unwrap().to_dtype(DType::I64).unwrap();
    values.flatten_all().unwrap().to_vec1().unwrap()
}

fn rows(t: &Tensor) -> Vec<Vec<f32>> {
    t.to_vec2().unwrap()
}

fn logits(model: &dyn Classifier, batch: &Batch) -> Tensor {
    model.logits(&batch.rows().unwrap()).unwrap().tensor().unwrap()
}

fn predictions(model: &dyn Classifier, batch: &Batch) -> Vec<u32> {
    rows(&logits(model, batch)).iter().map(|z| argmax(z) as u32).collect()
}

/// How to run an attack.
struct Run<'a> {
    name: &'a str,
    given: &'a [(&'a str, &'a str)],
    threat: Threat,
    seed: u64,
    randomness: Randomness,
}

impl<'a> Run<'a> {
    /// With seed 0 and random numbers that belong to the images.
    fn new(name: &'a str, given: &'a [(&'a str, &'a str)], threat: Threat) -> Self {
        Self { name, given, threat, seed: 0, randomness: Randomness::PerImage }
    }

    fn on(&self, model: &dyn Classifier, batch: &Batch) -> Vec<Outcome> {
        let given = self.given.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let configured = configure(self.name, &self.threat, &given).unwrap();
        let request =
            Request { seed: self.seed, randomness: self.randomness, ..Request::default() };
        attack(&configured, model, batch, &request).unwrap()
    }
}
