//! For every check a network that triggers it and one that does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::attack::tests::{info, linear, random_network};
use crate::attack::{Goal, Targets, Threats, configure};
use crate::model::{FrozenNetwork, ModelInfo, Pull};
use crate::nn::{Linear, flatten, seq};
use crate::rows::{Kernel, Rows, map};
use crate::threat::{Norm, Patch};

const EPS: f32 = 1e-3;

/// Changes the logits of forward number n.
type Change = fn(u64, &Tensor) -> candle_core::Result<Tensor>;

/// A sound network with a fault.
struct Fake {
    inner: FrozenNetwork,
    info: ModelInfo,
    forwards: AtomicU64,
    change: Change,
    /// What the gradient of an image is multiplied by.
    slope: fn(&[f32]) -> f32,
}

impl Fake {
    fn new(inner: FrozenNetwork) -> Self {
        let info = inner.info().clone();
        let change: Change = |_, z| Ok(z.clone());
        Self { inner, info, forwards: AtomicU64::new(0), change, slope: |_| 1.0 }
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
            map(Kernel::NONE, [&pull(cotangent)?, &images], |_, [g, x], out| {
                let by = (self.slope)(x);
                out.iter_mut().zip(g).for_each(|(out, g)| *out = by * g);
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
    look_for(Goal::Untargeted, attack, model, batch, size)
}

/// The same of an attack with this goal.
fn look_for(
    goal: Goal,
    attack: &Configured,
    model: &dyn Classifier,
    batch: &Batch,
    size: usize,
) -> Vec<(String, String)> {
    let request = Request { goal, seed: 5, ..Request::default() };
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

/// What is known of an ensemble's network by its own means is not asked for a single attack: it says nothing of
/// how the attack goes.
#[test]
fn single_attacks_have_the_checks_of_gradients_and_outputs() {
    let (mut fake, batch) = (Fake::new(random_network(20, false).0), random_network(20, false).1);
    fake.info.optimises_in_forward = true;
    let attacks = [
        configured("fgsm", ("loss", "ce"), Norm::Linf),
        configured("pgd", ("loss", "margin"), Norm::L2),
        configured("apgd-ce", ("n_iter", "5"), Norm::L1),
        configured("fab", ("n_iter", "5"), Norm::L2),
        configured("cw-l2", ("max_iterations", "5"), Norm::L2),
        configure("roa", &PATCH, &BTreeMap::new()).unwrap(),
        configure("patch-pgd", &PATCH, &BTreeMap::new()).unwrap(),
    ];
    for attack in &attacks {
        fake.slope = |_| 1.0;
        assert_eq!(fired(attack, &fake, &batch), [""; 0], "{}", attack.name);
        assert_eq!(after(attack, &by(10, 10)), []);
        for (slope, check) in [
            ((|_| 0.0) as fn(&[f32]) -> f32, "zero-gradients"),
            (|_| 1e-34, "vanishing-gradients"),
            (|x| if x[0] > 0.5 { f32::NAN } else { 1.0 }, "nan-gradients"),
        ] {
            fake.slope = slope;
            assert_eq!(fired(attack, &fake, &batch), [check], "{}", attack.name);
        }
    }
    // What follows no gradients does not need them.
    for (name, threat) in
        [("square", Threat::ball(Norm::Linf, EPS)), ("patch-rs", PATCH), ("grey", PATCH)]
    {
        let attack = configure(name, &threat, &BTreeMap::new()).unwrap();
        assert_eq!(fired(&attack, &fake, &batch), [""; 0], "{name}");
        assert!(attack.search.losses().is_empty());
    }
}

const PATCH: Threat = Threat::Patch(Patch::rectangle(2, 2));

#[test]
fn the_loss_that_is_used_is_asked() {
    let (mut fake, batch) = (Fake::new(random_network(20, false).0), random_network(20, false).1);
    fake.change = |_, z| z.affine(1e7, 0.0);
    let losses = |attack: &Configured| {
        let mut names: Vec<String> =
            attack.search.losses().iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names.dedup();
        names.join(" ")
    };
    assert_eq!(losses(&autoattack("standard")), "ce dlr margin");
    assert_eq!(losses(&autoattack("rand")), "ce dlr");
    let saturated = |attack: &Configured| look(attack, &fake, &batch, 7);
    let expected =
        [("saturated-logits".to_string(), "saturated logits on 20 of 20 images".to_string())];
    assert_eq!(
        saturated(&configured("ensemble", ("attacks", "fgsm apgd-dlr"), Norm::L2)),
        expected
    );
    assert_eq!(saturated(&configured("fgsm", ("loss", "ce"), Norm::L2)), expected);
    assert_eq!(saturated(&configured("fgsm", ("loss", "dlr"), Norm::L2)), []);
    assert_eq!(saturated(&configured("ensemble", ("attacks", "apgd-dlr"), Norm::L2)), []);
}

/// Towards a class the cross-entropy of a certain network is steep, and an image of that class is not attacked.
#[test]
fn a_targeted_attack_is_asked_about_its_targets() {
    let (mut fake, batch) = (Fake::new(random_network(20, false).0), random_network(20, false).1);
    let attack = configured("pgd", ("loss", "ce"), Norm::Linf);
    let class = batch.labels[0];
    let others = batch.labels.iter().filter(|label| **label != class).count();
    assert!((1..20).contains(&others));
    fake.change = |_, z| z.affine(1e7, 0.0);
    let saturated = [("saturated-logits".into(), "saturated logits on 20 of 20 images".into())];
    assert_eq!(look(&attack, &fake, &batch, 7), saturated);
    let to = |rule| Goal::Targeted(rule);
    for goal in [to(Targets::Next), to(Targets::LeastLikely), to(Targets::Class(class))] {
        assert_eq!(look_for(goal, &attack, &fake, &batch, 7), [], "{goal}");
    }
    fake.slope = |_| 0.0;
    for size in [1, 7, 100] {
        let seen = look_for(to(Targets::Class(class)), &attack, &fake, &batch, size);
        let flat = format!("zero gradients on {others} of {others} images");
        assert_eq!(seen, [("zero-gradients".into(), flat)]);
    }
}

#[test]
fn constant_outputs() {
    let (network, mut batch) = random_network(20, false);
    let mut fake = Fake::new(network);
    let names = ["fgsm", "square", "autoattack", "fast"];
    fake.change = |_, z| z.affine(0.0, 1.0);
    batch.labels = vec![0; 20];
    for name in names {
        let attack = configure(name, &Threat::ball(Norm::Linf, EPS), &BTreeMap::new()).unwrap();
        let seen = look(&attack, &fake, &batch, 7);
        let constant = ("constant-outputs", "the same logits for 20 of 20 different images");
        let told =
            seen.iter().map(|(check, seen)| (&**check, &**seen)).find(|one| *one == constant);
        assert!(told.is_some(), "{name}: {seen:?}");
    }
    // The same image twenty times is one image.
    let one = batch.images.narrow(0, 3, 1).unwrap().repeat((20, 1, 1, 1)).unwrap();
    batch.images = one;
    fake.change = |_, z| Ok(z.clone());
    let attack = configured("fgsm", ("loss", "ce"), Norm::Linf);
    assert!(!fired(&attack, &fake, &batch).contains(&"constant-outputs".to_string()));
}

#[test]
fn a_search_for_the_smallest_perturbation_says_that_it_found_none() {
    let cw = configured("cw-l2", ("max_iterations", "5"), Norm::L2);
    let fab = configured("fab", ("keep", "closest"), Norm::L2);
    let by = |found: usize| {
        let of = |i: usize| {
            if i < 4 {
                "clean"
            } else if i < 4 + found {
                "it"
            } else {
                ""
            }
        };
        (0..24).map(of).collect::<Vec<_>>()
    };
    for attack in [cw, fab] {
        assert_eq!(after(&attack, &by(10)), []);
        let [finding] = &after(&attack, &by(9))[..] else { panic!("{}", attack.name) };
        assert_eq!(finding.seen, "nothing found for 11 of 20 images");
    }
    // Under a budget a failure is a result.
    assert_eq!(after(&configured("pgd", ("steps", "5"), Norm::L2), &by(0)), []);
}

#[test]
fn a_network_of_one_class_is_left_to_the_attack() {
    let images = Tensor::full(0.5_f32, (3, 1, 2, 2), &Device::Cpu).unwrap();
    let batch = Batch { ids: vec![0, 1, 2], images, labels: vec![0; 3] };
    let weights = Tensor::ones((1, 4), DType::F32, &Device::Cpu).unwrap();
    let layers = seq([flatten(), Linear::new(weights, None).layer()]);
    let network = FrozenNetwork::build(info([1, 2, 2], 1), &layers).unwrap();
    for entry in crate::attack::ALL {
        let norm = match entry.threats {
            Threats::Balls(norms) => Threat::ball(norms[0], 1.0),
            Threats::Patch => Threat::Patch(Patch::rectangle(1, 1)),
        };
        let attack = configure(entry.name, &norm, &BTreeMap::new()).unwrap();
        assert_eq!(look(&attack, &network, &batch, 7), []);
        let error = crate::attack::attack(&attack, &network, &batch, &Request::default());
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("has fewer than two classes"), "{}: {error}", entry.name);
    }
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
    // The first of the five was made before the three for gradients. The last one differs.
    fake.change = |forward, z| z.affine(1.0, if forward == 7 { 0.1 } else { 0.0 });
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
    fake.slope = |x| if x[0] > 0.5 { 0.0 } else { 1.0 };
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
    fake.slope = |_| 0.0;
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
