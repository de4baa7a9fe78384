//! Every attack against networks whose smallest perturbation is known in closed form, and against
//! what must hold for any attack on any network.

use std::collections::BTreeMap;

use candle_core::Device::Cpu;
use candle_core::Tensor;

use super::*;
use crate::data::Batch;
use crate::device::{Device, Precision};
use crate::model::{Classifier, FrozenNetwork, ModelInfo};
use crate::nn::{Layer, Linear, flatten, seq};
use crate::rng::Stream;
use crate::rows::Rows;
use crate::threat::{Norm, Patch};
use crate::zoo;

pub(crate) fn info(shape: [usize; 3], classes: usize) -> ModelInfo {
    ModelInfo::new("test", shape, classes)
}

/// The network on the device that `EPSBALL_TEST_DEVICE` names, if there is such a variable: with it the tests of
/// attacks are tests of their kernels.
pub(crate) fn on_test_device(info: ModelInfo, layers: impl Into<Layer>) -> FrozenNetwork {
    let mut network = FrozenNetwork::build(info, &layers.into()).unwrap();
    if let Ok(device) = std::env::var("EPSBALL_TEST_DEVICE") {
        let device: Device = device.parse().unwrap();
        network.place(&device.resolve().unwrap(), Precision::F32).unwrap();
    }
    network
}

/// Two classes: z0 - z1 = w . x + b.
pub(crate) fn linear(w: &[f32], b: f32, shape: [usize; 3]) -> FrozenNetwork {
    let mut weight = w.iter().map(|v| v / 2.0).collect::<Vec<_>>();
    weight.extend(w.iter().map(|v| -v / 2.0));
    let weight = Tensor::from_vec(weight, (2, w.len()), &Cpu).unwrap();
    let bias = Tensor::new(&[b / 2.0, -b / 2.0], &Cpu).unwrap();
    on_test_device(info(shape, 2), seq([flatten(), Linear::new(weight, Some(bias)).layer()]))
}

/// One grey image of 3x4 pixels.
pub(super) fn grey() -> Batch {
    let images = Tensor::full(0.5_f32, (1, 1, 3, 4), &Cpu).unwrap();
    Batch { ids: vec![0], images, labels: vec![0] }
}

/// A linear network on `grey` whose class k is `margins[k]` below class 0, with slopes of its own.
pub(super) fn linear_classes(margins: &[f32]) -> (FrozenNetwork, Vec<Vec<f32>>) {
    let slopes: Vec<Vec<f32>> = (0..margins.len())
        .map(|k| (0..12).map(|i| k as f32 * (i as f32 * 0.9 + k as f32).sin()).collect())
        .collect();
    let bias: Vec<f32> = margins
        .iter()
        .zip(&slopes)
        .map(|(margin, w)| -margin - 0.5 * w.iter().sum::<f32>())
        .collect();
    let weight = Tensor::from_vec(slopes.concat(), (margins.len(), 12), &Cpu).unwrap();
    let bias = Tensor::new(bias, &Cpu).unwrap();
    let layers = seq([flatten(), Linear::new(weight, Some(bias)).layer()]);
    (on_test_device(info([1, 3, 4], margins.len()), layers), slopes)
}

/// A small convolutional network with random weights, and images it calls what their labels say.
pub(crate) fn random_network(n: usize, quantised: bool) -> (FrozenNetwork, Batch) {
    let architecture = zoo::find("digits-cnn").unwrap();
    let mut fresh = zoo::Fresh::new(3);
    let program = architecture.program(&mut fresh, &architecture.settings()).unwrap();
    // Without biases and with larger weights the images fall into several classes.
    for (name, variable) in &fresh.variables {
        let factor = if name.ends_with("bias") { 0.0 } else { 2.5 };
        variable.set(&(variable.as_tensor() * factor).unwrap()).unwrap();
    }
    let model = on_test_device(info([1, 8, 8], 10), program);
    let mut pixels = vec![0.0_f32; n * 64];
    Stream::new(4, "images").draw(0, 0).uniform(&mut pixels);
    if quantised {
        // A third of the pixels black, a third white, as in scans.
        pixels.iter_mut().for_each(|p| *p = (*p * 3.0 - 1.0).clamp(0.0, 1.0));
    }
    let images = Tensor::from_vec(pixels, (n, 1, 8, 8), &Cpu).unwrap();
    let labels =
        crate::model::predictions(&model.logits(&Rows::of_tensor(&images).unwrap()).unwrap())
            .unwrap();
    (model, Batch { ids: (0..n as u64).map(|i| 3 * i + 5).collect(), images, labels })
}

fn configured(name: &str, given: &[(&str, &str)], threat: Threat) -> Configured {
    let given: BTreeMap<String, String> =
        given.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
    configure(name, &threat, &given).unwrap()
}

/// What a search of this attack looks for.
fn objective(name: &str, given: &[(&str, &str)], threat: Threat) -> Objective {
    configured(name, given, threat).search.objective()
}

pub(super) fn run_with(
    name: &str,
    given: &[(&str, &str)],
    threat: Threat,
    goal: Goal,
    model: &dyn Classifier,
    batch: &Batch,
) -> Vec<Outcome> {
    let configured = configured(name, given, threat);
    let request = Request { goal, seed: 11, ..Request::default() };
    attack(&configured, model, batch, &request).unwrap()
}

pub(crate) fn run(
    name: &str,
    given: &[(&str, &str)],
    threat: Threat,
    model: &dyn Classifier,
    batch: &Batch,
) -> Vec<Outcome> {
    run_with(name, given, threat, Goal::Untargeted, model, batch)
}

/// Name, parameters and threat model.
pub(crate) type Case = (&'static str, Vec<(&'static str, &'static str)>, Threat);

/// Every attack under every threat model it works under, with parameters that keep a test short.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in ALL {
        let given = match entry.name {
            "cw-l2" => vec![
                ("max_iterations", "60"),
                ("binary_search_steps", "4"),
                ("learning_rate", "0.05"),
            ],
            "apgd-ce" | "apgd-dlr" => vec![("n_iter", "20"), ("n_restarts", "2")],
            "apgd-t" => vec![("n_iter", "12"), ("n_target_classes", "3")],
            "ddn" | "fmn" | "alma" | "pdgd" | "pdpgd" => vec![("steps", "40")],
            "sigma-zero" => vec![("steps", "60")],
            "ead" => {
                vec![("max_iterations", "20"), ("binary_search_steps", "4"), ("initial_const", "1")]
            }
            "trust-region" => vec![("steps", "150")],
            "brendel-bethge" => vec![("steps", "40"), ("directions", "9"), ("blends", "9")],
            "superdeepfool" | "vfga" => vec![("steps", "20")],
            "fab" => vec![("n_iter", "15"), ("n_restarts", "2")],
            "fab-t" => vec![("n_iter", "15"), ("n_target_classes", "3"), ("n_restarts", "2")],
            "patch-pgd" => vec![("steps", "10"), ("restarts", "2")],
            "roa" => vec![("steps", "10")],
            "patch-search" => vec![("scan", "6"), ("places", "8")],
            "patch-rs" => vec![("queries", "60")],
            "pgd" => vec![("steps", "10"), ("restarts", "2")],
            "pgd-sweep" => vec![("steps", "10"), ("radii", "0.05 0.2 1")],
            "square" => vec![("n_queries", "60"), ("n_restarts", "2")],
            "hop-skip-jump" => vec![("queries", "150"), ("initial_evaluations", "10")],
            _ if entry.takes("queries") => vec![("queries", "120")],
            "ensemble" => vec![("attacks", "fgsm bim"), ("batch_size", "5")],
            "min-norm" => vec![("attacks", "fmn pdpgd"), ("steps", "15")],
            // It has no parameter that shortens it; it is an ensemble of attacks tested alone.
            "autoattack" => continue,
            _ => vec![],
        };
        match entry.threats {
            Threats::Balls(norms) => cases.extend(norms.iter().map(|norm| {
                let eps = match norm {
                    Norm::Linf => 0.2,
                    Norm::L2 => 1.0,
                    Norm::L1 => 6.0,
                    Norm::L0 | Norm::L0Pixels => 8.0,
                };
                let few = vec![("attacks", "fmn sigma-zero"), ("steps", "15")];
                let l0 = entry.name == "min-norm" && norm.counts();
                (entry.name, if l0 { few } else { given.clone() }, Threat::ball(*norm, eps))
            })),
            Threats::Patch => {
                cases.push((entry.name, given, Threat::Patch(Patch::rectangle(3, 2))));
            }
        }
    }
    cases
}

fn part(batch: &Batch, rows: &[usize]) -> Batch {
    let images = batch.rows().unwrap();
    Batch {
        ids: rows.iter().map(|i| batch.ids[*i]).collect(),
        images: images.select(rows).unwrap().tensor().unwrap(),
        labels: rows.iter().map(|i| batch.labels[*i]).collect(),
    }
}

#[test]
fn every_attack_finds_something_and_stays_inside_its_threat_model() {
    let (model, batch) = random_network(20, true);
    let clean: Vec<Vec<f32>> = batch.images.flatten_from(1).unwrap().to_vec2().unwrap();
    for (name, given, threat) in cases() {
        let outcomes = run(name, &given, threat, &model, &batch);
        let found = outcomes.iter().filter(|o| o.found).count();
        // One step and the controls are too weak for this network.
        let weak = ["fgsm", "grey", "random-noise"].contains(&name);
        assert!(found > 0 || weak, "{name} {threat}");
        for (o, clean) in outcomes.iter().zip(&clean) {
            if o.found {
                let threat = objective(name, &given, threat).threat(threat);
                assert!(threat.allows(&o.image, clean, [1, 8, 8]), "{name} {threat} {}", o.id);
                assert_ne!(o.prediction, o.label);
                assert!(o.distance > 0.0 && o.distance.is_finite());
            } else {
                assert_eq!(&o.image, clean, "{name}: a failure returns the clean image");
                assert!(o.distance.is_infinite() && o.prediction == o.label && !o.found_8bit);
            }
            assert!(o.forwards > 0, "{name}");
        }
    }
}

#[test]
fn an_outcome_depends_neither_on_the_batch_nor_on_the_order() {
    let (model, batch) = random_network(14, true);
    for (name, given, threat) in cases() {
        let whole = run(name, &given, threat, &model, &batch);
        let alone: Vec<Outcome> =
            (0..14).flat_map(|i| run(name, &given, threat, &model, &part(&batch, &[i]))).collect();
        assert_eq!(whole, alone, "{name} {threat}: one by one");
        let backwards: Vec<usize> = (0..14).rev().collect();
        let mut turned: Vec<Outcome> = backwards
            .chunks(5)
            .flat_map(|rows| run(name, &given, threat, &model, &part(&batch, rows)))
            .collect();
        turned.reverse();
        assert_eq!(whole, turned, "{name} {threat}: backwards in fives");
    }
}

#[test]
fn a_ball_of_radius_zero_holds_the_clean_image_only() {
    let (model, batch) = random_network(6, false);
    for (name, given, threat) in cases() {
        let Threat::Ball { norm, .. } = threat else { continue };
        // Without a radius, none is 0.
        if objective(name, &given, threat) == Objective::Minimal {
            continue;
        }
        let mut given = given.clone();
        // Their default step is a share of eps.
        if ["bim", "pgd"].contains(&name) {
            given.push(("alpha", "0.01"));
        }
        let zero = Threat::ball(norm, 0.0);
        assert!(run(name, &given, zero, &model, &batch).iter().all(|o| !o.found), "{name} {norm}");
    }
}

#[test]
fn misclassified_images_are_broken_at_distance_zero_and_cost_nothing() {
    let (model, mut batch) = random_network(4, false);
    batch.labels[2] = (batch.labels[2] + 1) % 10;
    let o = &run("pgd", &[], Threat::ball(Norm::Linf, 0.1), &model, &batch)[2];
    assert!(o.found && o.distance == 0.0 && o.forwards == 0 && o.backwards == 0);
}

/// What is told beforehand is a limit, and for images that nothing breaks not far from the truth.
#[test]
fn no_image_costs_more_passes_than_an_attack_says() {
    let (model, batch) = random_network(6, false);
    // These end as soon as they are beyond a boundary, or do not improve.
    let early = ["deepfool", "superdeepfool", "trust-region", "cw-l2", "pgd-sweep", "vfga"];
    for (name, given, threat) in cases() {
        let threat = match threat {
            Threat::Ball { norm, .. } if norm.counts() => threat,
            Threat::Ball { norm, .. } => Threat::ball(norm, 1e-6),
            patch => patch,
        };
        let given: BTreeMap<_, _> =
            given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let attack = configure(name, &threat, &given).unwrap();
        let Some(most) = attack.search.most_passes([1, 8, 8], 10) else {
            assert_eq!(name, "fast", "{name} does not say what it costs");
            continue;
        };
        let outcomes = super::attack(&attack, &model, &batch, &Request::default()).unwrap();
        let spent = outcomes.iter().map(|o| o.forwards + o.backwards).max().unwrap() as f64;
        assert!(spent <= most, "{name} {threat}: {spent} of {most}");
        let survives =
            attack.search.objective() == Objective::Minimal || outcomes.iter().any(|o| !o.found);
        assert!(
            2.0 * spent >= most || early.contains(&name) || !survives,
            "{name} {threat}: {spent} of {most}"
        );
    }
}

/// Attacks with a budget succeed just above the known distance and fail just below it.
#[test]
fn linear_networks_break_exactly_at_their_distance() {
    let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
    let x = Tensor::full(0.5_f32, (1, 1, 3, 4), &Cpu).unwrap();
    let sum: f32 = w.iter().sum();
    let margin = 0.08_f32;
    let model = linear(&w, margin - 0.5 * sum, [1, 3, 4]);
    let batch = Batch { ids: vec![0], images: x, labels: vec![0] };
    let l1 = w.iter().map(|v| v.abs()).sum::<f32>();
    let l2 = w.iter().map(|v| v * v).sum::<f32>().sqrt();
    let linf = w.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for (norm, distance) in
        [(Norm::Linf, margin / l1), (Norm::L2, margin / l2), (Norm::L1, margin / linf)]
    {
        let of_one_norm: &[&str] = if norm == Norm::Linf { &["rays"] } else { &[] };
        let all = ["fgsm", "bim", "pgd", "apgd-ce", "apgd-dlr", "apgd-t"];
        for name in all.iter().chain(of_one_norm) {
            let given: &[_] = match *name {
                // A random start may be 2 eps away from where the image breaks.
                "pgd" => &[("steps", "200")],
                "rays" => &[("queries", "2000"), ("tolerance", "1e-4")],
                _ => &[],
            };
            let at = |factor: f32| {
                run(name, given, Threat::ball(norm, factor * distance), &model, &batch)[0].found
            };
            assert!(at(1.02), "{name} {norm}");
            assert!(!at(0.98), "{name} {norm}");
        }
    }
}

/// A patch breaks a linear network exactly when the best window of its size can.
#[test]
fn patch_attacks_break_a_linear_network_where_the_best_window_can() {
    let shape = [1, 4, 4];
    let mut w = vec![0.01_f32; 16];
    (w[9], w[10], w[13], w[14]) = (1.0, 0.8, 0.9, 0.7);
    let x = Tensor::full(0.6_f32, (1, 1, 4, 4), &Cpu).unwrap();
    let best: f32 = 0.6 * (1.0 + 0.8 + 0.9 + 0.7);
    let patch = Threat::Patch(Patch::rectangle(2, 2));
    let sum: f32 = w.iter().sum();
    for (margin, breaks) in [(best * 0.97, true), (best * 1.03, false)] {
        let model = linear(&w, margin - 0.6 * sum, shape);
        let batch = Batch { ids: vec![9], images: x.clone(), labels: vec![0] };
        for (name, given) in [
            ("patch-pgd", vec![("steps", "30"), ("restarts", "60")]),
            ("roa", vec![("stride", "1")]),
            ("patch-search", vec![]),
            ("patch-rs", vec![("queries", "1500")]),
        ] {
            assert_eq!(
                run(name, &given, patch, &model, &batch)[0].found,
                breaks,
                "{name} {margin}"
            );
        }
    }
}

/// A network that looks at a single pixel, wherever that is, in every corner too.
#[test]
fn patches_of_one_pixel_reach_every_place() {
    let shape = [1, 5, 6];
    let patch = Threat::Patch(Patch::rectangle(1, 1));
    for at in 0..30 {
        let mut w = vec![0.0_f32; 30];
        w[at] = 1.0;
        let model = linear(&w, -0.45, shape);
        let images = Tensor::full(0.9_f32, (1, 1, 5, 6), &Cpu).unwrap();
        let batch = Batch { ids: vec![at as u64], images, labels: vec![0] };
        let given = vec![("steps", "20"), ("restarts", "30")];
        for (name, given) in
            [("roa", given[..1].to_vec()), ("patch-pgd", given), ("patch-search", vec![])]
        {
            assert!(run(name, &given, patch, &model, &batch)[0].found, "{name} {at}");
        }
    }
}

#[test]
fn targeted_attacks_reach_their_targets() {
    let (model, batch) = random_network(12, false);
    let threat = Threat::ball(Norm::Linf, 0.6);
    let rules = [Targets::LeastLikely, Targets::Random, Targets::Next, Targets::Class(4)];
    let attacks = ["pgd", "apgd-ce", "apgd-dlr", "apgd-t"];
    for (rule, name) in rules.iter().flat_map(|rule| attacks.map(|name| (*rule, name))) {
        let outcomes = run_with(name, &[], threat, Goal::Targeted(rule), &model, &batch);
        assert!(outcomes.iter().any(|o| o.found), "{name} {rule:?}");
        for o in outcomes.iter().filter(|o| o.found) {
            match rule {
                Targets::Next => assert_eq!(o.prediction, (o.label + 1) % 10),
                Targets::Class(class) => assert_eq!(o.prediction, class),
                _ => assert_ne!(o.prediction, o.label),
            }
        }
    }
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let (model, mut batch) = random_network(2, false);
    batch.labels[1] = 10;
    let configured = configure("pgd", &Threat::ball(Norm::Linf, 0.1), &BTreeMap::new()).unwrap();
    let error = attack(&configured, &model, &batch, &Request::default()).unwrap_err();
    assert_eq!(error.to_string(), "label of image 8: is 10, test has 10 classes");
    let none = BTreeMap::new();
    let patch = Threat::Patch(Patch::rectangle(2, 2));
    assert!(configure("pgd", &patch, &none).is_err());
    assert!(configure("cw-l2", &Threat::ball(Norm::Linf, 0.1), &none).is_err());
    assert!(configure("autoattak", &patch, &none).is_err());
}

#[test]
fn an_ensemble_says_who_broke_an_image_and_leaves_the_rest_to_the_next() {
    let (model, batch) = random_network(20, true);
    let threat = Threat::ball(Norm::Linf, 0.2);
    let both = run("ensemble", &[("attacks", "fgsm bim")], threat, &model, &batch);
    let (fgsm, bim) =
        (run("fgsm", &[], threat, &model, &batch), run("bim", &[], threat, &model, &batch));
    for ((both, fgsm), bim) in both.iter().zip(&fgsm).zip(&bim) {
        let by = if fgsm.found {
            "fgsm"
        } else if bim.found {
            "bim"
        } else {
            ""
        };
        assert_eq!((both.by.as_str(), both.found), (by, !by.is_empty()), "image {}", both.id);
        let second = if fgsm.found { 0 } else { bim.forwards };
        assert_eq!(both.forwards, fgsm.forwards + second);
    }
}

#[test]
fn the_name_autoattack_is_for_its_published_versions() {
    let threat = Threat::ball(Norm::Linf, 0.1);
    let version = |name: &str| {
        configure("autoattack", &threat, &BTreeMap::from([("version".into(), name.into())]))
    };
    for name in ["standard", "plus", "rand"] {
        assert!(version(name).is_ok(), "{name}");
    }
    assert!(version("fast").is_err());
    let given = BTreeMap::from([("attacks".into(), "pgd".into())]);
    assert!(configure("autoattack", &threat, &given).is_err());
}
