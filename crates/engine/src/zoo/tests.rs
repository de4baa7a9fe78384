//! Every architecture with parameters, small and with random weights: its gradient against finite
//! differences, its two forward readings against each other, and whether its own names and shapes
//! lead back to it. The sizes of the published networks are checked by their numbers of weights.

mod golden;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};
use crate::rng::Stream;

/// Random weights in f64, kept by name.
#[derive(Default)]
struct Random(BTreeMap<String, Tensor>);

impl Source for Random {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let mut values = vec![0.0_f32; shape.iter().product()];
        let stream = Stream::new(5, name).draw(0, 0);
        if name.ends_with("running_var") || (name.ends_with("weight") && shape.len() == 1) {
            stream.uniform(&mut values);
            values.iter_mut().for_each(|v| *v += 0.5);
        } else {
            stream.normal(&mut values);
            let fan_in: usize = shape.iter().skip(1).product();
            let scale = (1.5 / fan_in as f32).sqrt();
            values.iter_mut().for_each(|v| *v *= scale);
        }
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(DType::F64)?;
        self.0.insert(name.into(), tensor.clone());
        Ok(Some(tensor))
    }

    fn problems(&self, _: fn(&str) -> bool) -> Vec<String> {
        Vec::new()
    }
}

/// Counts weights without making them.
#[derive(Default)]
struct Counted(usize);

impl Source for Counted {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        if !name.contains("running_") {
            self.0 += shape.iter().product::<usize>();
        }
        Ok(None)
    }

    fn problems(&self, _: fn(&str) -> bool) -> Vec<String> {
        Vec::new()
    }
}

/// Name and parameters of small networks.
const SMALL: &[(&str, &[(&str, &str)])] = &[
    ("lenet", &[("channels", "2,3"), ("hidden", "5,4"), ("padded", "false")]),
    (
        "lenet",
        &[
            ("channels", "2,3"),
            ("hidden", "5,4"),
            ("padded", "false"),
            ("activation", "tanh"),
            ("average_pool", "true"),
            ("sequential_names", "true"),
        ],
    ),
    ("cnn-a", &[("channels", "2,3"), ("hidden", "5")]),
    ("cifar-resnet-a", &[("depth", "14"), ("width", "3")]),
    ("cifar-vgg", &[("blocks", "1,2"), ("widths", "2,3")]),
    ("cifar-vgg", &[("blocks", "2,1,1"), ("widths", "2,3,3"), ("batch_norm", "false")]),
    ("imagenet-vgg", &[("blocks", "1,2"), ("widths", "2,3"), ("hidden", "5")]),
    (
        "imagenet-vgg",
        &[
            ("blocks", "1,1"),
            ("widths", "2,3"),
            ("hidden", "5"),
            ("batch_norm", "true"),
            ("timm_names", "true"),
        ],
    ),
    (
        "cifar-densenet",
        &[("blocks", "1,2,1"), ("stem", "3"), ("growth", "2"), ("bottleneck_width", "5")],
    ),
    (
        "imagenet-densenet",
        &[("blocks", "2,1"), ("stem", "3"), ("growth", "2"), ("bottleneck_width", "5")],
    ),
    (
        "imagenet-densenet",
        &[
            ("blocks", "1,2"),
            ("stem", "3"),
            ("growth", "2"),
            ("bottleneck_width", "4"),
            ("old_names", "true"),
        ],
    ),
    ("preact-resnet-18", &[("width", "3")]),
    ("preact-resnet-18-v2", &[("width", "3")]),
    ("cifar-resnet", &[("width", "2"), ("blocks", "1,2,1,1"), ("bottleneck", "true")]),
    ("cifar-resnet-18", &[]),
    ("wide-resnet", &[("depth", "10"), ("widen_factor", "1")]),
    ("wide-resnet", &[("depth", "10"), ("widen_factor", "1"), ("cosine_head", "true")]),
    (
        "wide-resnet",
        &[("depth", "10"), ("widen_factor", "1"), ("per_image_standardisation", "true")],
    ),
    ("dm-wide-resnet", &[("depth", "10"), ("widen_factor", "1")]),
    ("dm-wide-resnet", &[("depth", "10"), ("widen_factor", "1"), ("activation", "relu")]),
    ("dm-preact-resnet-18", &[("blocks", "1,1,1,1"), ("activation", "gelu")]),
    ("dm-wide-resnet", &[("depth", "10"), ("widen_factor", "1"), ("mean_sparse", "true")]),
    ("dm-preact-resnet-18", &[("blocks", "1,2,1,1")]),
    ("smoothing-resnet-110", &[("depth", "8")]),
    ("imagenet-resnet-18", &[("bottleneck_width", "3")]),
    (
        "imagenet-resnet",
        &[("blocks", "1,2,1,1"), ("width", "2"), ("bottleneck_width", "4"), ("groups", "2")],
    ),
    ("wrn-34-r", &[("stem", "3"), ("blocks", "1,2,1"), ("widths", "4,4,2")]),
    ("wrn-a4", &[("stem", "4"), ("blocks", "1,2,1"), ("widths", "4,4,3")]),
    ("ra-wide-resnet", &[("stem", "4"), ("blocks", "1,2,1"), ("widths", "6,8,10")]),
    (
        "ra-wide-resnet",
        &[("stem", "4"), ("blocks", "1,1,1"), ("widths", "6,8,10"), ("mean_sparse", "true")],
    ),
    ("pssilu-wide-resnet", &[("depth", "10"), ("widen_factor", "1")]),
    (
        "cifar-resnext-29",
        &[("depth", "11"), ("width", "2"), ("bottleneck_width", "4"), ("groups", "2")],
    ),
    ("card-lrr-resnet-18", &[]),
    ("card-wide-preact-resnet-18", &[]),
    ("pretrained-ensemble", &[("members", "2"), ("blocks", "1,2,1,1"), ("width", "2")]),
    ("vit", &[("width", "6"), ("depth", "2"), ("heads", "3"), ("patch", "8")]),
    ("torchvision-vit", &[("width", "4"), ("depth", "1"), ("heads", "2"), ("patch", "4")]),
    ("vit-convstem", &[("stem", "2"), ("width", "6"), ("depth", "1"), ("heads", "2")]),
    ("convnext", &[("blocks", "1,2,1"), ("widths", "3,4,6")]),
    ("torchvision-convnext", &[("blocks", "1,1"), ("widths", "3,4")]),
    ("convnext-convstem", &[("stem", "2,3,4"), ("blocks", "1,1,2"), ("widths", "4,5,6")]),
    ("swin", &[("width", "4"), ("blocks", "2,1"), ("heads", "1,2"), ("window", "2")]),
    (
        "swin",
        &[
            ("width", "4"),
            ("blocks", "1,2"),
            ("heads", "2,1"),
            ("window", "1"),
            ("old_names", "true"),
            ("fine_epsilon", "true"),
        ],
    ),
    ("torchvision-swin", &[("width", "4"), ("blocks", "2,1"), ("heads", "1,2"), ("window", "2")]),
    ("xcit", &[("width", "8"), ("depth", "2"), ("heads", "2"), ("patch", "8")]),
    ("xcit", &[("width", "8"), ("depth", "1"), ("class_depth", "1"), ("patch", "4")]),
];

/// What no name and no shape says; recognition assumes the usual value and doubts it.
const UNTOLD: [&str; 6] =
    ["per_image_standardisation", "heads", "patch", "fine_epsilon", "activation", "average_pool"];

/// 8 x 8 images and 3 classes, no normalisation.
fn small((name, parameters): (&str, &[(&str, &str)])) -> (&'static Architecture, NetworkSettings) {
    let architecture = find(name).unwrap();
    let mut settings = architecture.settings();
    settings.input_shape = [3, 16, 16];
    settings.classes = 3;
    settings.normalisation = None;
    for (name, value) in parameters {
        assert!(settings.parameters.insert((*name).into(), value.parse().unwrap()).is_some());
    }
    if name.ends_with("-18") {
        settings.parameters.insert("width".into(), Value::Number(3));
    }
    (architecture, settings)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn normal(shape: &[usize], draw: u32) -> Tensor {
    let mut values = vec![0.0_f32; shape.iter().product()];
    Stream::new(2, "zoo test").draw(0, draw).normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
}

#[test]
fn small_networks_have_the_gradient_of_their_reference() {
    for case in SMALL {
        let (architecture, settings) = small(*case);
        let program = architecture.program(&mut Random::default(), &settings).unwrap();
        let x = normal(&[2, 3, 16, 16], 0);
        let (logits, kept) = program.save(&nchw_to_nhwc(&x).unwrap()).unwrap();
        let want = values(&program.reference(&x).unwrap());
        assert!(want.iter().all(|v| v.is_finite()), "{case:?}");
        for (got, want) in values(&logits).iter().zip(&want) {
            assert!((got - want).abs() < 1e-10 * want.abs().max(1.0), "{case:?}: {got} for {want}");
        }
        let g = normal(&[2, 3], 1);
        let gradient = nhwc_to_nchw(&program.pullback(&kept, &g).unwrap()).unwrap();
        let along = normal(&[2, 3, 16, 16], 2);
        let got: f64 = values(&(gradient * &along).unwrap()).iter().sum();
        let step = 1e-6;
        let moved = |h: f64| {
            let x = (&x + (&along * h).unwrap()).unwrap();
            values(&(program.reference(&x).unwrap() * &g).unwrap()).iter().sum::<f64>()
        };
        let want = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((got - want).abs() < 1e-5 * want.abs().max(0.1), "{case:?}: {got} for {want}");
    }
}

#[test]
fn names_and_shapes_lead_back_to_the_architecture() {
    for case in SMALL {
        let (architecture, mut settings) = small(*case);
        let mut random = Random::default();
        architecture.program(&mut random, &settings).unwrap();
        let found = recognise(&random.0, None);
        let [one] = found.as_slice() else { panic!("{case:?}: {found:?}") };
        assert_eq!(one.architecture.family, architecture.family, "{case:?}");
        for about in UNTOLD {
            let doubted = one.doubts.iter().any(|doubt| doubt.about == about);
            if doubted || about == "per_image_standardisation" {
                let assumed = one.settings.parameters.get(about).cloned();
                settings
                    .parameters
                    .entry(about.into())
                    .and_modify(|v| v.clone_from(&assumed.unwrap()));
            }
        }
        assert_eq!(one.settings.parameters, settings.parameters, "{case:?}");
        assert_eq!(one.settings.classes, 3);
        assert!(!one.doubts.is_empty(), "{case:?}: the normalisation is never sure");
    }
}

#[test]
fn who_names_a_form_is_believed_where_the_tensors_do_not_tell() {
    let v2 = find("preact-resnet-18-v2").unwrap();
    let mut random = Random::default();
    v2.program(&mut random, &small(("preact-resnet-18-v2", &[("width", "3")])).1).unwrap();
    let tensors = random.0.into_iter().filter(|(name, _)| !name.starts_with("bn.")).collect();
    let about = |found: &Recognised| found.doubts.iter().map(|d| d.about).collect::<Vec<_>>();
    let found = find("preact-resnet-18").unwrap().recognise(&tensors, None).unwrap();
    assert_eq!(found.settings.parameters["activated_shortcut"], Value::Flag(false));
    assert_eq!(about(&found), ["activated_shortcut", "normalisation"]);
    let found = v2.recognise(&tensors, None).unwrap();
    assert_eq!(found.settings.parameters["activated_shortcut"], Value::Flag(true));
    assert_eq!(found.settings.parameters["norm_before_head"], Value::Flag(false));
    assert_eq!(about(&found), ["normalisation"]);
}

#[test]
fn published_sizes_have_the_published_numbers_of_weights() {
    for (name, weights) in [
        ("lenet", 61_706),
        ("cnn-a", 166_406),
        ("cifar-resnet-a", 269_722),
        ("cifar-vgg", 14_728_266),
        ("imagenet-vgg", 138_357_544),
        ("cifar-densenet", 1_000_618),
        ("imagenet-densenet", 7_978_856),
        ("preact-resnet-18", 11_171_146),
        ("cifar-resnet-18", 11_173_962),
        ("cifar-resnet-50", 23_520_842),
        ("wrn-28-10", 36_479_194),
        ("wrn-34-10", 46_160_474),
        ("wrn-70-16", 266_796_506),
        ("dm-wrn-28-10", 36_479_194),
        ("smoothing-resnet-110", 1_730_714),
        ("imagenet-resnet-18", 11_689_512),
        ("imagenet-resnet-50", 25_557_032),
        ("imagenet-wide-resnet-50-2", 68_883_240),
        ("imagenet-resnext-50-32x4d", 25_028_904),
        ("vit-base-16", 86_567_656),
        ("vit-small-16", 22_050_664),
        ("torchvision-vit-base-16", 86_567_656),
        ("convnext", 28_589_128),
        ("torchvision-convnext", 28_589_128),
        ("swin", 87_768_224),
        ("mimir-swin-large", 196_532_476),
        ("torchvision-swin", 28_288_354),
        ("xcit-s12", 26_253_304),
    ] {
        let architecture = find(name).unwrap();
        let mut counted = Counted::default();
        architecture.program(&mut counted, &architecture.settings()).unwrap();
        assert_eq!(counted.0, weights, "{name}");
    }
}

/// What the tensors of a small network are recognised as.
fn recognised(name: &str, change: impl Fn(&mut NetworkSettings)) -> Recognised {
    let architecture = find(name).unwrap();
    let mut settings = architecture.settings();
    change(&mut settings);
    let mut random = Random::default();
    architecture.program(&mut random, &settings).unwrap();
    let mut found = recognise(&random.0, None);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_size_of_the_images_is_measured_where_layers_depend_on_it() {
    for (name, shape) in [
        ("lenet", [1, 28, 28]),
        ("cnn-a", [1, 28, 28]),
        ("cnn-a", [3, 64, 64]),
        ("cifar-cnn-a", [3, 32, 32]),
        ("cifar-vgg", [3, 64, 64]),
    ] {
        let found = recognised(name, |settings| {
            settings.input_shape = shape;
            settings.normalisation = None;
        });
        assert_eq!((found.architecture.name, found.settings.input_shape), (name, shape));
        assert_eq!(found.settings.normalisation.is_some(), name == "cifar-cnn-a");
    }
    for shape in [[1, 28, 28], [3, 32, 32]] {
        let found = recognised("lenet", |settings| {
            settings.input_shape = shape;
            settings.parameters.insert("padded".into(), false.into());
        });
        assert_eq!(
            (found.settings.input_shape, &found.settings.parameters["padded"]),
            (shape, &false.into())
        );
        assert_eq!(found.doubts.iter().any(|doubt| doubt.about == "padded"), shape[0] == 3);
    }
}

#[test]
fn an_activation_that_does_not_exist_is_refused() {
    let architecture = find("dm-wide-resnet").unwrap();
    let mut settings = architecture.settings();
    settings.parameters.insert("activation".into(), "swish".into());
    let error = architecture.program(&mut Counted::default(), &settings).unwrap_err().to_string();
    assert_eq!(
        error,
        "parameter activation: is swish, has to be one of relu, silu, gelu, tanh, sigmoid, softplus"
    );
}

#[test]
fn the_constants_of_a_file_become_the_normalisation() {
    let constant = |values: [f32; 3], shape: &[usize]| {
        Tensor::new(&values, &Device::Cpu).unwrap().reshape(shape).unwrap()
    };
    for (names, shape) in [
        (["mu", "sigma"], &[1_usize, 3, 1, 1][..]),
        (["mu", "sigma"], &[3, 1, 1]),
        (["normalize.mean", "normalize.std"], &[3]),
    ] {
        let mut tensors = BTreeMap::from([
            (names[0].to_string(), constant([0.25, 0.5, 0.75], shape)),
            (names[1].to_string(), constant([0.5, 0.25, 0.125], shape)),
            ("fc.weight".to_string(), constant([1.0, 2.0, 3.0], &[3])),
        ]);
        let found = take_normalisation(&mut tensors).unwrap().unwrap();
        assert_eq!(found.mean, [0.25, 0.5, 0.75]);
        assert_eq!(found.std, [0.5, 0.25, 0.125]);
        assert_eq!(tensors.len(), 1);
        assert_eq!(take_normalisation(&mut tensors).unwrap(), None);
    }
}

#[test]
fn parameters_that_cannot_be_are_refused() {
    let architecture = find("wrn-28-10").unwrap();
    for (name, value, expected) in [
        ("depth", Value::Number(27), "6n + 4"),
        ("depth", Value::Number(0), "1 to 8192"),
        ("widen_factor", Value::Flag(true), "has to be a number"),
        ("width", Value::Number(64), "unknown parameter `width`"),
    ] {
        let mut settings = architecture.settings();
        settings.parameters.insert(name.into(), value);
        let error =
            architecture.program(&mut Counted::default(), &settings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn sizes_of_a_damaged_file_are_refused() {
    let architecture = find("preact-resnet-18").unwrap();
    for (shape, classes) in [
        ([3, usize::MAX, usize::MAX], 10),
        ([3, 0, 32], 10),
        ([3, 32, 32], 0),
        ([3, 32, 32], 1 << 40),
    ] {
        let settings = NetworkSettings { input_shape: shape, classes, ..architecture.settings() };
        let error =
            architecture.program(&mut Counted::default(), &settings).unwrap_err().to_string();
        assert!(error.contains("input shape: no network takes"), "{error}");
    }
    // 2^28 blocks, of which a file holds none.
    let architecture = find("pretrained-ensemble").unwrap();
    let mut settings = architecture.settings();
    settings.parameters.insert("members".into(), Value::Number(1 << 13));
    settings.parameters.insert("blocks".into(), vec![1 << 13; 4].into());
    let error = architecture.program(&mut Stored::new(BTreeMap::new()), &settings).unwrap_err();
    assert!(error.to_string().contains("more than 16384 tensors are missing"), "{error}");
}
