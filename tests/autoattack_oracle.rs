//! AutoAttack on real networks against what the published code leaves of the same images with the
//! same random numbers: `--rng torch`, seed 0. Needs files that cannot be distributed with the
//! project; CONTRIBUTING.md says which and where they are looked for.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use epsball::attack::{Goal, Outcome, Request, attack, configure};
use epsball::data::{self, Batch};
use epsball::model::FrozenNetwork;
use epsball::model::file::{Declared, load};
use epsball::rng::Randomness;
use epsball::threat::{Norm, Threat};

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
    let declared = Declared { name: None, architecture: Some(architecture.into()) };
    load(&oracle(file), &declared).unwrap().0
}

fn mnist(n: usize) -> Batch {
    let path = oracle("mnist/t10k-images-idx3-ubyte.gz");
    let images = data::open(&format!("idx:{}", path.display())).unwrap();
    images.read(&(0..n).collect::<Vec<_>>()).unwrap()
}

/// Standard AutoAttack, the published code's batches of `batch_size`.
fn autoattack(model: &FrozenNetwork, batch: &Batch, eps: f32, batch_size: usize) -> Vec<Outcome> {
    let threat = Threat::ball(Norm::Linf, eps);
    let given = BTreeMap::from([("batch_size".to_string(), batch_size.to_string())]);
    let configured = configure("autoattack", &threat, &given).unwrap();
    let request = Request {
        threat,
        goal: Goal::Untargeted,
        seed: 0,
        randomness: Randomness::Torch,
        purpose: "autoattack".into(),
    };
    attack(configured.search.as_ref(), model, batch, &request).unwrap()
}

/// How many images are left after each of the four attacks.
fn left(outcomes: &[Outcome]) -> [usize; 4] {
    let mut left = outcomes.iter().filter(|o| o.by != "clean").count();
    ["apgd-ce", "apgd-t", "fab-t", "square"].map(|part| {
        left -= outcomes.iter().filter(|o| o.by == part).count();
        left
    })
}

fn print_passes(outcomes: &[Outcome]) {
    let robust: Vec<&Outcome> = outcomes.iter().filter(|o| !o.found).collect();
    let mean = |count: fn(&Outcome) -> u64| {
        robust.iter().map(|o| count(o)).sum::<u64>() as f64 / robust.len() as f64
    };
    let (forwards, backwards) = (mean(|o| o.forwards), mean(|o| o.backwards));
    eprintln!("per surviving image: {forwards:.0} forwards, {backwards:.0} backwards");
}

#[test]
#[ignore = "needs the oracle files; a minute or two"]
fn mnist_100_breaks_the_recorded_images() {
    let model = network("trades-mnist/model_mnist_smallcnn.safetensors", "trades-small-cnn");
    let outcomes = autoattack(&model, &mnist(100), 0.3, 100);
    let broken: Vec<u64> = outcomes.iter().filter(|o| o.found).map(|o| o.id).collect();
    print_passes(&outcomes);
    assert_eq!(left(&outcomes), [93, 92, 92, 92]);
    assert_eq!(broken, [8, 18, 20, 33, 62, 63, 73, 92]);
}

#[test]
#[ignore = "needs the oracle files; a few minutes"]
fn mnist_200_leaves_the_recorded_numbers() {
    let model = network("trades-mnist/model_mnist_smallcnn.safetensors", "trades-small-cnn");
    let outcomes = autoattack(&model, &mnist(200), 0.3, 100);
    print_passes(&outcomes);
    assert_eq!(left(&outcomes), [183, 183, 183, 182]);
}

/// The 200 CIFAR images of the verification literature; 106 survive, and which is recorded.
#[test]
#[ignore = "needs the oracle files; a few minutes"]
fn cifar_200_leaves_the_recorded_images() {
    let integers = |file: &str| -> Vec<i64> {
        let values = Tensor::read_npy(oracle(file)).unwrap().to_dtype(DType::I64).unwrap();
        values.flatten_all().unwrap().to_vec1().unwrap()
    };
    let at_hand = integers("cifar10/cifar10_test_9822_index.npy");
    let places: Vec<usize> = integers("cifar10/cifar10_sdp200_index.npy")
        .iter()
        .map(|image| at_hand.iter().position(|here| here == image).unwrap())
        .collect();
    let path = oracle("cifar10/cifar10_test_9822.bin");
    let batch = data::open(&format!("cifar10:{}", path.display())).unwrap().read(&places).unwrap();
    let model = network("models/abc_cifar_cnn_a_mix.safetensors", "cifar-cnn-a");
    let outcomes = autoattack(&model, &batch, 2.0 / 255.0, 200);
    print_passes(&outcomes);
    let robust: Vec<bool> = outcomes.iter().map(|o| !o.found).collect();
    let recorded = integers("models/autoattack_sdp200_cnn_a_mix_robust_mask.npy");
    let different: Vec<usize> =
        (0..200).filter(|i| robust[*i] != (recorded[*i] == 1)).map(|i| places[i]).collect();
    eprintln!("after each attack {:?}, different from the record: {different:?}", left(&outcomes));
    assert_eq!(robust.iter().filter(|r| **r).count(), 106);
    assert!(different.is_empty(), "{different:?}");
}
