//! What is known of the attack of Carlini and Wagner alone; every attack's tests have it too.

use candle_core::Device::Cpu;
use candle_core::Tensor;

use super::*;
use crate::attack::tests::{grey, linear, on_test_device, run};
use crate::data::Batch;
use crate::model::Classifier as _;
use crate::nn::{Linear, flatten, seq};

/// Pixels at exactly 0 and 1, all logits negative: two of the ways in which published
/// implementations of the attack fail.
#[test]
fn cw_moves_saturated_pixels_and_survives_negative_logits() {
    let w = [1.0_f32, -1.0, 0.5, -0.5];
    let x = Tensor::from_vec(vec![1.0_f32, 0.0, 1.0, 0.0], (1, 1, 2, 2), &Cpu).unwrap();
    let mut model = linear(&w, -1.1, [1, 2, 2]);
    let weight = Tensor::from_vec(
        w.iter().map(|v| v / 2.0).chain(w.iter().map(|v| -v / 2.0)).collect::<Vec<_>>(),
        (2, 4),
        &Cpu,
    )
    .unwrap();
    let bias = Tensor::new(&[-0.55_f32 - 10.0, 0.55 - 10.0], &Cpu).unwrap();
    model = on_test_device(
        model.info().clone(),
        seq([flatten(), Linear::new(weight, Some(bias)).layer()]),
    );
    // w . x - 1.1 = 0.4, |w| = sqrt(2.5): the closest adversarial image is inside the box.
    let optimum = 0.4 / 2.5_f64.sqrt();
    let batch = Batch { ids: vec![0], images: x, labels: vec![0] };
    let given = [("max_iterations", "200"), ("learning_rate", "0.1"), ("initial_const", "0.1")];
    let o = &run("cw-l2", &given, Threat::ball(Norm::L2, 1.0), &model, &batch)[0];
    assert!(o.found, "a saturated image is attacked");
    assert!(o.distance <= 1.05 * optimum, "{} instead of {optimum}", o.distance);
    assert!(o.image.iter().zip([1.0, 0.0, 1.0, 0.0]).all(|(a, b)| *a != b), "{:?}", o.image);
}

#[test]
fn cw_that_fails_returns_the_clean_image() {
    // Class 1 never wins in the box.
    let model = linear(&[0.1, 0.1], 5.0, [1, 1, 2]);
    let images = Tensor::from_vec(vec![0.2_f32, 0.7], (1, 1, 1, 2), &Cpu).unwrap();
    let batch = Batch { ids: vec![0], images, labels: vec![0] };
    let given = [("max_iterations", "20")];
    let o = &run("cw-l2", &given, Threat::ball(Norm::L2, 1.0), &model, &batch)[0];
    assert!(!o.found && o.distance.is_infinite() && o.image == [0.2, 0.7]);
}

#[test]
fn cw_with_confidence_reaches_that_margin() {
    let model = linear(&[1.0, -0.5], 0.1, [1, 1, 2]);
    let images = Tensor::from_vec(vec![0.5_f32, 0.5], (1, 1, 1, 2), &Cpu).unwrap();
    let batch = Batch { ids: vec![0], images, labels: vec![0] };
    let given = [("confidence", "0.2"), ("max_iterations", "500"), ("initial_const", "1")];
    let o = &run("cw-l2", &given, Threat::ball(Norm::L2, 1.0), &model, &batch)[0];
    assert!(o.found);
    assert!(-(o.image[0] - 0.5 * o.image[1] + 0.1) >= 0.2 - 1e-5, "{:?}", o.image);
}

#[test]
fn cw_ends_at_the_distance_of_a_linear_network() {
    let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
    let margin = 0.08_f32;
    let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 3, 4]);
    let given = [("max_iterations", "1000"), ("initial_const", "0.1"), ("learning_rate", "0.01")];
    let o = &run("cw-l2", &given, Threat::ball(Norm::L2, 1.0), &model, &grey())[0];
    let optimum = f64::from(margin / w.iter().map(|v| v * v).sum::<f32>().sqrt());
    assert!(o.found && o.distance >= optimum * 0.9999, "{} below {optimum}", o.distance);
    assert!(o.distance <= optimum * 1.02, "{} far above {optimum}", o.distance);
}
