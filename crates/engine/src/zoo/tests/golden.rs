//! Small networks of PyTorch, whose logits and gradients `tests/fixtures/zoo/record.py` has recorded in f64.
//! Weights, images and cotangent follow from the names of the tensors on both sides.

use std::path::Path;

use serde::Deserialize;

use super::*;

/// What a file holds.
#[derive(Deserialize)]
struct Golden {
    input_shape: [usize; 3],
    told: Parameters,
    tensors: BTreeMap<String, Vec<usize>>,
    logits: Vec<f64>,
    gradient_norm: f64,
    gradient_step: usize,
    gradient: Vec<f64>,
}

/// File and the architecture that it has to be recognised as.
const CASES: [(&str, &str); 17] = [
    ("lenet", "lenet"),
    ("lenet_tanh_average", "lenet"),
    ("lenet_grey_32", "lenet"),
    ("lenet_colour", "lenet"),
    ("lenet_sequential_sigmoid", "lenet"),
    ("cnn_a_grey", "cnn-a"),
    ("cnn_a_colour", "cnn-a"),
    ("resnet14_a", "cifar-resnet-a"),
    ("cifar_vgg", "cifar-vgg"),
    ("torchvision_vgg", "imagenet-vgg"),
    ("torchvision_vgg_bn", "imagenet-vgg"),
    ("timm_vgg_bn", "imagenet-vgg"),
    ("cifar_densenet", "cifar-densenet"),
    ("torchvision_densenet", "imagenet-densenet"),
    ("torchvision_densenet_old", "imagenet-densenet"),
    ("dm_wide_resnet_relu", "dm-wide-resnet"),
    ("dm_wide_resnet_silu", "dm-wide-resnet"),
];

/// Numbers in [0, 1): SplitMix64 behind the FNV-1a hash of the name.
fn uniform(name: &str, count: usize) -> Vec<f64> {
    let hash = |seed: u64, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 0.5_f64.powi(53)
    };
    (0..count).map(|_| next()).collect()
}

fn made(name: &str, shape: &[usize], map: impl Fn(f64) -> f64) -> Tensor {
    let values = uniform(name, shape.iter().product()).into_iter().map(map).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn weight(name: &str, shape: &[usize]) -> Tensor {
    if name.ends_with("running_var") || (shape.len() == 1 && name.ends_with("weight")) {
        return made(name, shape, |u| 0.5 + u);
    }
    if shape.len() == 1 {
        return made(name, shape, |u| 0.6 * (u - 0.5));
    }
    let fan_in: usize = shape[1..].iter().product();
    let bound = (6.0 / fan_in as f64).sqrt();
    made(name, shape, |u| (2.0 * u - 1.0) * bound)
}

/// The tensors in f64, each once.
struct Exact(BTreeMap<String, Tensor>);

impl Source for Exact {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let tensor = self.0.remove(name).unwrap();
        assert_eq!(tensor.dims(), shape, "{name}");
        Ok(Some(tensor))
    }

    fn problems(&self, _: fn(&str) -> bool) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

#[test]
fn small_networks_give_the_logits_and_gradients_of_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/zoo");
    for (name, architecture) in CASES {
        let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
        let golden: Golden = serde_json::from_str(&text).unwrap();
        let tensors: BTreeMap<String, Tensor> = golden
            .tensors
            .iter()
            .map(|(name, shape)| (name.clone(), weight(name, shape)))
            .collect();
        let mut found = recognise(&tensors, None);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let Recognised { architecture: one, mut settings, doubts } = found.remove(0);
        assert_eq!(one.name, architecture, "{name}");
        for (about, value) in golden.told {
            assert!(doubts.iter().any(|doubt| doubt.about == about), "{name}: {about}");
            settings.parameters.insert(about, value);
        }
        settings.input_shape = golden.input_shape;
        settings.normalisation = None;
        let program = one.program(&mut Exact(tensors), &settings).unwrap();

        let [c, h, w] = golden.input_shape;
        let x = nchw_to_nhwc(&made("x", &[2, c, h, w], |u| u)).unwrap();
        let (logits, kept) = program.save(&x).unwrap();
        let cotangent = made("c", &[2, settings.classes], |u| 2.0 * u - 1.0);
        let gradient = nhwc_to_nchw(&program.pullback(&kept, &cotangent).unwrap()).unwrap();
        let gradient = values(&gradient);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let some: Vec<f64> = gradient.into_iter().step_by(golden.gradient_step).collect();
        let near = |found: &[f64], expected: &[f64], scale: f64| {
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-10 * scale, "{name}: {found} for {expected}");
            }
        };
        near(&values(&logits), &golden.logits, 1.0);
        near(&some, &golden.gradient, golden.gradient_norm);
        near(&[norm], &[golden.gradient_norm], golden.gradient_norm);
    }
}
