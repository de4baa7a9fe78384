//! Logits, gradients and clean accuracy of published networks.

use candle_core::Device;
use epsball::data::{self, Dataset};
use epsball::loss::Loss;
use epsball::model::{Classifier, FrozenNetwork};
use epsball::rows::Rows;

use super::{cifar, first, integers, logits, mnist, network, oracle, predictions, rows, trades};

fn correct(model: &dyn Classifier, dataset: &dyn Dataset) -> usize {
    data::batches(dataset, 500)
        .map(|batch| {
            let batch = batch.unwrap();
            let hits = predictions(model, &batch);
            hits.iter().zip(&batch.labels).filter(|(p, y)| p == y).count()
        })
        .sum()
}

/// The three networks with the data set their recorded logits are about.
fn networks() -> [(&'static str, FrozenNetwork, Box<dyn Dataset>); 3] {
    let resnet = network("models/akamaster_resnet20.safetensors", "cifar-resnet20-a");
    let cnn_a = network("models/abc_cifar_cnn_a_mix.safetensors", "cifar-cnn-a");
    [
        ("trades_mnist_smallcnn", trades(), mnist()),
        ("akamaster_resnet20", resnet, cifar()),
        ("abc_cifar_cnn_a_mix", cnn_a, cifar()),
    ]
}

#[test]
#[ignore = "needs the oracle files"]
fn logits_of_the_first_images_are_the_recorded_ones() {
    let recorded =
        candle_core::safetensors::load(oracle("models/logits_first16.safetensors"), &Device::Cpu)
            .unwrap();
    for (name, model, dataset) in networks() {
        // The CIFAR file lacks some images; the first 16 canonical ones that are there come first.
        let canonical: Vec<i64> = match dataset.info().shape {
            [3, ..] => integers("cifar10/cifar10_test_9822_index.npy"),
            _ => (0..10_000).collect(),
        };
        let want = rows(&recorded[name]);
        let batch = first(dataset.as_ref(), 16);
        let got = rows(&logits(&model, &batch));
        let mut compared = 0;
        for (i, got) in got.iter().enumerate() {
            let Some(want) = want.get(canonical[i] as usize) else { continue };
            compared += 1;
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).abs() < 1e-4, "{name} image {i}: {g} instead of {w}");
            }
        }
        assert!(compared >= 14, "{name}: only {compared} images to compare");
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn gradients_equal_candles_autograd() {
    for (name, model, dataset) in networks() {
        let batch = first(dataset.as_ref(), 16);
        let (logits, pull) = model.linearise(&batch.rows().unwrap()).unwrap();
        let logits = logits.tensor().unwrap();
        let g = Loss::CrossEntropy.evaluate(&logits, &batch.labels, None).unwrap().cotangent;
        let ours = pull(&Rows::of_tensor(&g).unwrap()).unwrap().tensor().unwrap();
        let ours = ours.flatten_from(1).unwrap();
        let x = candle_core::Var::from_tensor(&batch.images).unwrap();
        let logits = model.program().reference(x.as_tensor()).unwrap();
        let grads = (logits * &g).unwrap().sum_all().unwrap().backward().unwrap();
        let candle = grads.get(x.as_tensor()).unwrap().flatten_from(1).unwrap();
        for (ours, theirs) in rows(&ours).iter().zip(rows(&candle)) {
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
            let theirs: Vec<f64> = theirs.iter().map(|v| f64::from(*v)).collect();
            let difference = norm(&mut ours.iter().zip(&theirs).map(|(a, b)| f64::from(*a) - b));
            let size = norm(&mut theirs.iter().copied());
            assert!(difference <= 1e-5 * size, "{name}: {difference} of {size}");
        }
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn clean_accuracies_are_the_published_ones() {
    assert_eq!(correct(&trades(), mnist().as_ref()), 9948);
    let resnet = network("models/akamaster_resnet20.safetensors", "cifar-resnet20-a");
    assert_eq!(correct(&resnet, cifar().as_ref()), 9005);
}
