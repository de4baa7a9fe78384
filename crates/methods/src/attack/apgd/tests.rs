//! Single runs against those of the published code, from the same noise: `tests/reference.rs` does
//! the same for whole attacks.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::attack::noise::Noise;
use crate::attack::tests::on_test_device;
use crate::attack::{Objective, Request, attack, configure};
use crate::data::Batch;
use crate::model::{Classifier, FrozenNetwork, ModelInfo};
use crate::nn::{Conv2d, Linear, flatten, relu, seq};
use crate::rng::Randomness;

fn fixture() -> HashMap<String, Tensor> {
    let recorded = include_bytes!("../../../../../tests/fixtures/aa_ref_small.safetensors");
    candle_core::safetensors::load_buffer(recorded, &Device::Cpu).unwrap()
}

fn network(file: &HashMap<String, Tensor>) -> FrozenNetwork {
    let info = ModelInfo::new("fixture", [3, 16, 16], 10);
    let weight = |name: &str| file[name].clone();
    let conv = Conv2d::new(weight("w.conv.weight"), Some(weight("w.conv.bias"))).unwrap();
    let linear = Linear::new(weight("w.fc.weight"), Some(weight("w.fc.bias")));
    on_test_device(
        info,
        seq([conv.stride(2).padding(1).layer(), relu(), flatten(), linear.layer()]),
    )
}

/// A search over the 16 images in which none leaves: under this objective a broken image stays, as
/// in the published code.
fn search<'a>(
    network: &'a FrozenNetwork,
    file: &HashMap<String, Tensor>,
    threat: Threat,
) -> Search<'a> {
    let request = Request { randomness: Randomness::Torch, ..Request::default() };
    let labels = file["y"].to_dtype(DType::U32).unwrap().to_vec1().unwrap();
    let clean = Rows::of_tensor(&file["x"]).unwrap().at(&network.location()).unwrap();
    let noise = Noise::new("apgd-ce", &request);
    let ids = (0..16).collect();
    Search::new((network, &|| false), threat, Objective::Minimal, noise, clean, labels, None, ids)
        .unwrap()
}

#[test]
fn single_runs_end_where_the_published_ones_do() {
    let file = fixture();
    let network = network(&file);
    for (norm, eps) in [(Norm::Linf, 0.008), (Norm::L2, 0.13), (Norm::L1, 1.6)] {
        let threat = Threat::ball(norm, eps);
        let mut search = search(&network, &file, threat);
        let apgd = Apgd::ce(norm, eps).restarts();
        let x = apgd.start(&mut search, 0).unwrap();
        let mut run = Run::start(&mut search, apgd.task, None, x, true).unwrap();
        run.finish(&mut search).unwrap();
        search.finish().unwrap();

        let want = |what: &str| &file[&format!("{norm}.apgd_ce.single.{what}")];
        let survives: Vec<u8> = want("acc").to_vec1().unwrap();
        let got: Vec<u8> = search.found.iter().map(|found| u8::from(found.is_none())).collect();
        assert_eq!(got, survives, "{norm}");
        let losses: Vec<f32> = want("loss_best").to_vec1().unwrap();
        for (got, want) in run.loss_best.values().unwrap().iter().zip(&losses) {
            assert!((got - want).abs() < 1e-4, "{norm}: loss {got} instead of {want}");
        }
        let rows = |x: &Tensor| x.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
        let equal = (rows(&run.x_best.tensor().unwrap()).iter().zip(rows(want("x_best"))))
            .filter(|(got, want)| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4))
            .count();
        // All 16 where this was written. A processor that rounds a gradient to the other side of 0
        // may part with the published course in an image.
        assert!(equal >= 14, "{norm}: {equal} of 16 images");
    }
}

#[test]
fn the_mean_of_equal_gradients_is_the_gradient() {
    let file = fixture();
    let network = network(&file);
    let threat = Threat::ball(Norm::L2, 0.13);
    let run = |eot_iter| {
        let mut search = search(&network, &file, threat);
        let apgd = Apgd { n_iter: 15, eot_iter, ..Apgd::dlr(Norm::L2, 0.13) }.restarts();
        let x = apgd.start(&mut search, 0).unwrap();
        let mut run = Run::start(&mut search, apgd.task, None, x, true).unwrap();
        run.finish(&mut search).unwrap();
        (run.loss_best.values().unwrap(), search.backwards[0])
    };
    let (once, four_times) = (run(1), run(4));
    assert_eq!(once.0, four_times.0);
    assert_eq!((once.1, four_times.1), (16, 64));
}

/// An L1 point that is outside the ball by rounding only is tidied, not refused.
#[test]
fn rounding_does_not_cost_an_l1_point() {
    let file = fixture();
    let network = network(&file);
    let threat = Threat::ball(Norm::L1, 1.6);
    let mut search = search(&network, &file, threat);
    let apgd = Apgd { use_largereps: false, ..Apgd::ce(Norm::L1, 1.6) }.restarts();
    let theirs = Rows::of_tensor(&file["L1.apgd_ce.adv"]).unwrap();
    let theirs = theirs.at(search.location()).unwrap();
    let outside = rows::map(Kernel::NONE, [&theirs, search.clean()], |_, [x, x0], out| {
        let distance = Norm::L1.geometry().distance(x, x0);
        let factor = if distance > 0.0 { 1.6 * (1.0 + 3e-6) / distance } else { 0.0 };
        for ((out, x), x0) in out.iter_mut().zip(x).zip(x0) {
            *out = (f64::from(*x0) + factor * f64::from(x - x0)).clamp(0.0, 1.0) as f32;
        }
    })
    .unwrap();
    let far = rows::map_to(Kernel::NONE, &[], [&outside, search.clean()], |_, [x, x0], far| {
        far[0] = f32::from(u8::from(!threat.allows(x, x0, [3, 16, 16])));
    });
    let far: f32 = far.unwrap().values().unwrap().iter().sum();
    assert!(far >= 4.0, "{far} are outside");
    let _ = Run::start(&mut search, apgd.task, None, outside, false).unwrap();
    search.finish().unwrap();
    let found: Vec<_> = search.found.iter().flatten().collect();
    assert!(found.len() >= 8, "{} of 8 found", found.len());
    assert!(found.iter().all(|found| found.distance <= 1.6 + 2e-6));
    // The search in which none leaves has each of the 8 judged again in tidy form.
    assert_eq!(search.forwards.iter().sum::<u64>(), 16 + 8);
}

/// The loss of DLR needs three classes and its targeted form four; the attacks work with two.
#[test]
fn two_and_three_classes_are_enough() {
    for classes in [2, 3] {
        let weight: Vec<f32> = (0..classes * 4).map(|i| (i as f32 * 1.7).sin()).collect();
        let weight = Tensor::from_vec(weight, (classes, 4), &Device::Cpu).unwrap();
        let info = ModelInfo::new("small", [1, 2, 2], classes);
        let model = on_test_device(info, seq([flatten(), Linear::new(weight, None).layer()]));
        let images = Tensor::full(0.5_f32, (1, 1, 2, 2), &Device::Cpu).unwrap();
        let rows = Rows::of_tensor(&images).unwrap();
        let labels = crate::model::predictions(&model.logits(&rows).unwrap()).unwrap();
        let batch = Batch { ids: vec![0], images, labels };
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            for name in ["apgd-ce", "apgd-dlr", "apgd-t"] {
                for (eps, found) in [(1e-4, false), (2.0, true)] {
                    let threat = Threat::ball(norm, eps);
                    let configured = configure(name, &threat, &[].into()).unwrap();
                    let outcome =
                        &attack(&configured, &model, &batch, &Request::default()).unwrap()[0];
                    assert_eq!(outcome.found, found, "{name} {norm} {classes} classes");
                }
            }
        }
    }
}

#[test]
fn targets_are_the_largest_other_logits() {
    let file = fixture();
    let network = network(&file);
    let mut search = search(&network, &file, Threat::ball(Norm::Linf, 0.008));
    let targets = other_classes(&mut search, 3).unwrap();
    let all = other_classes(&mut search, 99).unwrap();
    let logits: Vec<Vec<f32>> = file["logits"].to_vec2().unwrap();
    for (i, (targets, z)) in targets.iter().zip(&logits).enumerate() {
        assert_eq!(all[i].len(), 9);
        assert_eq!(targets[..], all[i][..3]);
        let label = search.labels()[i];
        let sizes: Vec<f32> =
            [label].iter().chain(targets).map(|class| z[*class as usize]).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(!targets.contains(&label));
    }
}
