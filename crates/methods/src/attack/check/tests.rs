//! For every check a network that triggers it and one that does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::attack::configure;
use crate::attack::tests::{info, linear, random_network};
use crate::model::{FrozenNetwork, ModelInfo, Pull};
use crate::nn::{Linear, flatten, seq};
use crate::rows::{Rows, Twin, map};
use crate::threat::Norm;

const EPS: f32 = 1e-3;

/// Changes the logits of forward number n.
type Change = fn(u64, &Tensor) -> candle_core::Result<Tensor>;

/// A sound network with a fault.
struct Fake {
    inner: FrozenNetwork,
    info: ModelInfo,
    forwards: AtomicU64,
    change: Change,
    /// Images whose gradient is zero.
    flat: fn(&[f32]) -> bool,
}

impl Fake {
    fn new(inner: FrozenNetwork) -> Self {
        let info = inner.info().clone();
        let change: Change = |_, z| Ok(z.clone());
        Self { inner, info, forwards: AtomicU64::new(0), change, flat: |_| false }
    }

    fn changed(&self, logits: &Rows) -> Result<Rows> {
        let forward = self.forwards.fetch_add(1, Ordering::Relaxed);
        Rows::of_tensor(&(self.change)(forward, &logits.tensor()?)?)
    }
}

impl Classifier for Fake {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        self.changed(&self.inner.logits(images)?)
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (logits, pull) = self.inner.linearise(images)?;
        let images = images.clone();
        let bent = move |cotangent: &Rows| {
            map(Twin::NONE, [&pull(cotangent)?, &images], |_, [g, x], out| {
                if !(self.flat)(x) {
                    out.copy_from_slice(g);
                }
            })
        };
        Ok((self.changed(&logits)?, Box::new(bent)))
    }
}

fn configured(name: &str, parameter: (&str, &str), norm: Norm) -> Configured {
    let given = BTreeMap::from([(parameter.0.to_string(), parameter.1.to_string())]);
    configure(name, &Threat::ball(norm, EPS), &given).unwrap()
}

fn autoattack(version: &str) -> Configured {
    configured("autoattack", ("version", version), Norm::Linf)
}

/// What the checks before `attack` see, by their names.
fn look(
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    size: usize,
) -> Vec<(String, String)> {
    let request = Request { seed: 5, ..Request::default() };
    let findings = before(attack, model, batch, &request, size).unwrap();
    findings.into_iter().map(|finding| (finding.check, finding.seen)).collect()
}

fn fired(attack: &Configured, model: &dyn Classifier, batch: &Batch) -> Vec<String> {
    look(attack, model, batch, 7).into_iter().map(|(check, _)| check).collect()
}

#[test]
fn a_sound_network_triggers_nothing() {
    let (network, batch) = random_network(20, false);
    let fake = Fake::new(random_network(20, false).0);
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        for version in ["standard", "plus", "rand"] {
            let attack = configured("autoattack", ("version", version), norm);
            assert_eq!(look(&attack, &network, &batch, 7), []);
            assert_eq!(look(&attack, &fake, &batch, 100), []);
        }
    }
    let none = Batch { ids: vec![], images: batch.images.narrow(0, 0, 0).unwrap(), labels: vec![] };
    assert_eq!(look(&autoattack("standard"), &network, &none, 7), []);
}

#[test]
fn single_attacks_are_not_checked() {
    let (mut fake, batch) = (Fake::new(random_network(6, false).0), random_network(6, false).1);
    fake.info.optimises_in_forward = true;
    let attack = configured("apgd-ce", ("n_iter", "5"), Norm::Linf);
    assert!(!wanted(&attack) && wanted(&autoattack("rand")));
    assert_eq!(fired(&attack, &fake, &batch), [""; 0]);
    assert_eq!(after(&attack, &by(10, 10)), []);
}

#[test]
fn random_forwards() {
    let (network, batch) = random_network(20, false);
    let mut fake = Fake::new(network);
    fake.change = |forward, z| z.affine(1.0, 0.03 * forward as f64);
    let seen = look(&autoattack("standard"), &fake, &batch, 100);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].1.starts_with("randomised forward: 5 passes over 20 images"), "{seen:?}");
    assert_eq!(fired(&autoattack("plus"), &fake, &batch), ["randomised"]);
    // It averages over draws already.
    assert_eq!(fired(&autoattack("rand"), &fake, &batch), [""; 0]);
    // The other four passes agree.
    fake.change = |forward, z| z.affine(1.0, if forward == 3 { 0.1 } else { 0.0 });
    fake.forwards = AtomicU64::new(0);
    let once = look(&autoattack("standard"), &fake, &batch, 100);
    assert_eq!(once.len(), 1, "{once:?}");
    // What float arithmetic in another order does.
    fake.change = |forward, z| z.affine(1.0, 1e-7 * (forward % 2) as f64);
    assert_eq!(fired(&autoattack("standard"), &fake, &batch), [""; 0]);
    fake.info.randomised = true;
    let declared = look(&autoattack("standard"), &fake, &batch, 7);
    assert_eq!(declared, [("randomised".into(), "randomised forward, as declared".into())]);
}

#[test]
fn probabilities_instead_of_logits() {
    let (network, batch) = random_network(20, false);
    let mut fake = Fake::new(network);
    fake.change = |_, z| candle_nn::ops::softmax(z, 1);
    assert_eq!(fired(&autoattack("rand"), &fake, &batch), ["probabilities"]);
    fake.change = candle_sigmoid;
    assert_eq!(fired(&autoattack("rand"), &fake, &batch), [""; 0]);
    fake.change = |_, z| candle_nn::ops::log_softmax(z, 1);
    assert_eq!(fired(&autoattack("rand"), &fake, &batch), [""; 0]);
}

/// In [0, 1], but the rows do not sum to 1.
fn candle_sigmoid(_: u64, z: &Tensor) -> candle_core::Result<Tensor> {
    candle_nn::ops::sigmoid(z)
}

#[test]
fn flat_images_are_counted_among_the_correct_ones() {
    let (network, mut batch) = random_network(20, false);
    let mut fake = Fake::new(network);
    // Far enough from any start in a ball of radius 0.001.
    fake.flat = |x| x[0] > 0.5;
    batch.labels[4] = (batch.labels[4] + 1) % 10;
    let pixels = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let flat = (0..20).filter(|i| *i != 4 && pixels[*i][0] > 0.5).count();
    assert!((1..19).contains(&flat));
    assert!(pixels.iter().all(|x| (x[0] - 0.5).abs() > 2.0 * EPS));
    let expected =
        [("zero-gradients".to_string(), format!("zero gradients on {flat} of 19 images"))];
    for norm in [Norm::Linf, Norm::L2] {
        let attack = configured("autoattack", ("version", "rand"), norm);
        for size in [1, 7, 100] {
            assert_eq!(look(&attack, &fake, &batch, size), expected);
        }
    }
    // Misclassified images are not attacked.
    batch.labels = batch.labels.iter().map(|label| (label + 1) % 10).collect();
    batch.labels[4] = (batch.labels[4] + 8) % 10;
    fake.flat = |_| true;
    let seen = look(&autoattack("rand"), &fake, &batch, 7);
    assert_eq!(seen, [("zero-gradients".into(), "zero gradients on 1 of 1 images".into())]);
}

#[test]
fn declared_optimisation() {
    let (network, batch) = random_network(20, false);
    let mut fake = Fake::new(network);
    fake.info.optimises_in_forward = true;
    assert_eq!(fired(&autoattack("standard"), &fake, &batch), ["optimisation"]);
}

#[test]
fn too_few_classes() {
    let shape = [1, 2, 2];
    let images = Tensor::zeros((1, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let batch = Batch { ids: vec![0], images: (images + 0.5).unwrap(), labels: vec![0] };
    let weights = |classes: usize| {
        let weights: Vec<f32> = (0..4 * classes).map(|i| (i * i % 7) as f32).collect();
        let weights = Tensor::from_vec(weights, (classes, 4), &Device::Cpu).unwrap();
        let layers = seq([flatten(), Linear::new(weights, None).layer()]);
        FrozenNetwork::build(info(shape, classes), &layers).unwrap()
    };
    let two = linear(&[1.0, 2.0, -1.0, 0.5], 0.1, shape);
    for version in ["standard", "plus", "rand"] {
        assert_eq!(fired(&autoattack(version), &two, &batch), ["classes"]);
        let three = if version == "rand" { vec![] } else { vec!["classes"] };
        assert_eq!(fired(&autoattack(version), &weights(3), &batch), three);
        assert_eq!(fired(&autoattack(version), &weights(4), &batch), [""; 0]);
    }
    let others = configured("ensemble", ("attacks", "apgd-ce, square"), Norm::Linf);
    assert_eq!(fired(&others, &two, &batch), [""; 0]);
}

/// What broke each of `n` images: the first `broken` of them Square, the next APGD.
fn by(n: usize, broken: usize) -> Vec<&'static str> {
    (0..n).map(|i| if i < broken { "square" } else { "apgd-ce" }).collect()
}

#[test]
fn square_beats_the_attacks_with_gradients() {
    let seen = |attack: &Configured, n, broken| {
        let findings = after(attack, &by(n, broken));
        findings.into_iter().map(|finding| finding.seen).collect::<Vec<_>>()
    };
    let standard = autoattack("standard");
    // 0.2 points are not more than 0.2 points.
    assert_eq!(seen(&standard, 1000, 2), [""; 0]);
    let expected = ["square broke 3 of 1000 images after apgd-ce, apgd-t, fab-t"];
    assert_eq!(seen(&standard, 1000, 3), expected);
    assert_eq!(seen(&standard, 100, 0), [""; 0]);
    let expected = ["square broke 1 of 100 images after apgd-ce, apgd-dlr, fab"];
    assert_eq!(seen(&autoattack("plus"), 100, 1), expected);
    assert_eq!(seen(&autoattack("rand"), 100, 1), [""; 0]);
    let first = configured("ensemble", ("attacks", "square apgd-ce"), Norm::Linf);
    assert_eq!(seen(&first, 100, 50), [""; 0]);
    assert_eq!(seen(&standard, 0, 0), [""; 0]);
}

#[test]
fn every_check_says_what_to_do() {
    let mut names: Vec<&str> = ALL.iter().map(|check| check.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    for check in ALL {
        for sentence in [check.meaning, check.remedy] {
            assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
        }
    }
}
