//! Small random instances of the published network families against logits and input gradients that
//! their original definitions gave: from the file through recognition to the program.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use epsball::device::Precision;
use epsball::loss::Loss;
use epsball::model::{Classifier, FrozenNetwork, ModelInfo, checkpoint};
use epsball::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};
use epsball::rng::Stream;
use epsball::rows::Rows;
use epsball::zoo::{self, Normalisation, Stored, Value};

use super::{oracle, placed, precision};

/// File, the architecture that it has to be recognised as, and what names and shapes cannot tell.
type Case = (&'static str, &'static str, &'static [(&'static str, Value)]);

const CASES: &[Case] = &[
    ("preact_rn18_v1", "preact-resnet-18", &[]),
    ("preact_rn18_v2_bn_before_fc", "preact-resnet-18", &[]),
    ("preact_rn18_out_shortcut_bn_before_fc", "preact-resnet-18", &[]),
    ("cifar_rn18", "cifar-resnet", &[]),
    ("cifar_rn50_bottleneck", "cifar-resnet", &[]),
    ("wrn_d10_w2", "wide-resnet", &[]),
    ("wrn_d10_w1_sub_block1", "wide-resnet", &[]),
    ("wrn_d10_w1_mu_sigma", "wide-resnet", &[]),
    ("wrn_d10_w1_2x_minus_1", "wide-resnet", &[]),
    (
        "wrn_d10_w1_per_image_standardise",
        "wide-resnet",
        &[("per_image_standardisation", Value::Flag(true))],
    ),
    ("wrn_d10_w1_cosine_head", "wide-resnet", &[]),
    ("dm_wrn_d10_w2_swish", "dm-wide-resnet", &[]),
    ("dm_wrn_d10_w1_silu_c100", "dm-wide-resnet", &[]),
    ("meansparse_dm_wrn_d10_w1", "dm-wide-resnet", &[]),
    ("dm_preact_rn18_swish", "dm-preact-resnet-18", &[]),
    ("smoothing_cifar_rn20", "smoothing-resnet-110", &[]),
    ("tv_rn18_normalised", "imagenet-resnet", &[]),
    ("tv_rn50_bare_keys", "imagenet-resnet", &[]),
    ("robust_wrn_34r_style", "wrn-34-r", &[]),
    ("robust_resnet_a4_style", "wrn-a4", &[]),
    ("ra_wrn_se", "ra-wide-resnet", &[]),
    ("pssilu_wrn_d10_w1", "pssilu-wide-resnet", &[]),
    ("resnext_d11_grouped", "cifar-resnext-29", &[]),
    ("card_lrr_rn18", "card-lrr-resnet-18", &[]),
    ("card_wide_preact_no_affine", "card-wide-preact-resnet-18", &[]),
    ("ensemble_three_bottleneck_probabilities", "pretrained-ensemble", &[]),
    ("timm_vit", "vit", &[("heads", Value::Number(4))]),
    ("tv_vit", "torchvision-vit", &[("heads", Value::Number(4))]),
    ("vit_convstem_normalised", "vit-convstem", &[("heads", Value::Number(4))]),
    ("timm_convnext", "convnext", &[]),
    ("tv_convnext", "torchvision-convnext", &[]),
    ("convnext_convstem_two_convs", "convnext-convstem", &[]),
    ("timm_swin", "swin", &[]),
    ("tv_swin", "torchvision-swin", &[]),
    ("swin_old_key_layout", "swin", &[]),
    ("mimir_swin", "swin", &[("fine_epsilon", Value::Flag(true))]),
    ("xcit_cifar", "xcit", &[("patch", Value::Number(4))]),
    ("xcit_imagenet", "xcit", &[("patch", Value::Number(16))]),
];

/// Its weights as a checkpoint, read the way `convert` reads one, and what was recorded.
fn golden(name: &str) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>) {
    let file = oracle(&format!("zoo/{name}.safetensors"));
    let all = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let (recorded, weights): (BTreeMap<_, _>, BTreeMap<_, _>) =
        all.into_iter().partition(|(name, _)| name.starts_with("__"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, safetensors::serialize(&weights, None).unwrap()).unwrap();
    (checkpoint::read_set(&path, None).unwrap().tensors, recorded)
}

fn numbers(value: &serde_json::Value) -> Option<Vec<f64>> {
    value.as_array().map(|list| list.iter().map(|v| v.as_f64().unwrap()).collect())
}

pub(super) fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn network(case: &Case, entry: &serde_json::Value) -> (FrozenNetwork, BTreeMap<String, Tensor>) {
    let (name, architecture, told) = case;
    let (mut tensors, recorded) = golden(name);
    let stored = zoo::take_normalisation(&mut tensors).unwrap();
    let mut found = zoo::recognise(&tensors, stored.as_ref());
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    let mut found = found.remove(0);
    assert_eq!(found.architecture.name, *architecture, "{name}");
    let settings = &mut found.settings;
    let shape = numbers(&entry["input_size"]).unwrap();
    settings.input_shape = [shape[0] as usize, shape[1] as usize, shape[2] as usize];
    for (parameter, value) in *told {
        assert!(settings.parameters.insert((*parameter).into(), value.clone()).is_some(), "{name}");
    }
    // Constants that the file holds have to be found there; others are told.
    let normalisation = &entry["normalization"];
    let constants = numbers(&normalisation["mean"]).zip(numbers(&normalisation["std"]));
    let constants = constants.map(|(mean, std)| Normalisation { mean, std });
    if normalisation["stored"].as_str().is_some_and(|text| text.starts_with("state_dict")) {
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-7);
        let (stored, told) = (stored.unwrap(), constants.unwrap());
        assert!(close(&stored.mean, &told.mean) && close(&stored.std, &told.std), "{name}");
    } else {
        settings.normalisation = constants;
    }
    let program = found.architecture.program(&mut Stored::new(tensors), settings).unwrap();
    let info = ModelInfo::new(*name, settings.input_shape, settings.classes);
    (placed(FrozenNetwork::new(info, program)), recorded)
}

/// Derivative of `-log(p[y])` by the probabilities, for a network that ends in them.
fn of_log_probability(p: &Tensor, labels: &[u32]) -> Tensor {
    let mut g = p.to_vec2::<f32>().unwrap();
    for (row, label) in g.iter_mut().zip(labels) {
        for (class, value) in row.iter_mut().enumerate() {
            *value = if class == *label as usize { -1.0 / *value } else { 0.0 };
        }
    }
    Tensor::new(g, &Device::Cpu).unwrap()
}

/// The limits are what the recording states as those of f32 arithmetic.
#[test]
#[ignore = "needs the oracle files"]
fn families_give_the_recorded_logits_and_gradients() {
    let index = std::fs::read_to_string(oracle("zoo/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let entries = index["entries"].as_array().unwrap();
    let entry = |name: &str| {
        let file = format!("{name}.safetensors");
        entries.iter().find(|entry| entry["file"] == file.as_str()).unwrap()
    };
    assert_eq!(entries.len(), CASES.len());
    for case in CASES {
        let entry = entry(case.0);
        let (network, recorded) = network(case, entry);
        let labels = recorded["__y"].to_dtype(DType::U32).unwrap().to_vec1().unwrap();
        let cotangent = |logits: &Tensor| {
            if entry["loss"].as_str().unwrap().contains("-log(p[y])") {
                return of_log_probability(logits, &labels);
            }
            Loss::CrossEntropy.evaluate(logits, &labels, None).unwrap().cotangent
        };
        let limit = |name: &str| entry["tolerance"][name].as_f64().unwrap();
        let limits = (limit("suggested_logits_atol"), limit("suggested_grad_rel_l2"));
        assert_agree(case.0, &network, &recorded, &cotangent, limits);
    }
}

/// The plain and the fused program give the recorded logits and gradients: absolute differences of logits
/// and the relative L2 difference of gradients stay below the limits.
pub(super) fn assert_agree(
    name: &str,
    network: &FrozenNetwork,
    recorded: &BTreeMap<String, Tensor>,
    cotangent: &dyn Fn(&Tensor) -> Tensor,
    limits: (f64, f64),
) {
    let x = &recorded["__x"];
    let (logits, pull) = network.linearise(&Rows::of_tensor(x).unwrap()).unwrap();
    let logits = logits.tensor().unwrap();
    let cotangent_of_rows = Rows::of_tensor(&cotangent(&logits)).unwrap();
    let gradient = pull(&cotangent_of_rows).unwrap().tensor().unwrap();
    let fused = (flat(&logits), flat(&gradient));
    let (logits, kept) = network.program().save(&nchw_to_nhwc(x).unwrap()).unwrap();
    let gradient = network.program().pullback(&kept, &cotangent(&logits)).unwrap();
    let plain = (flat(&logits), flat(&nhwc_to_nchw(&gradient).unwrap()));
    let bf16 = || limits_in_bf16(network, recorded, cotangent);
    let fused_limits = if precision() == Precision::Bf16 { bf16() } else { limits };
    for (form, (logits, gradient), limits) in
        [("plain", plain, limits), ("fused", fused, fused_limits)]
    {
        let of_logits = flat(&recorded["__logits"])
            .iter()
            .zip(&logits)
            .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
        let want = flat(&recorded["__grad"]);
        let of_gradient =
            norm(gradient.iter().zip(&want).map(|(a, b)| a - b)) / norm(want.iter().copied());
        eprintln!(
            "{name:<40} {form} logits {of_logits:.1e} of {:.1e}, gradient {of_gradient:.1e} of {:.1e}",
            limits.0, limits.1
        );
        assert!(of_logits <= limits.0, "{name} {form}: logits by {of_logits}");
        assert!(of_gradient <= limits.1, "{name} {form}: gradient by {of_gradient}");
    }
}

/// Limits of a network in bf16: a tenth of the largest logit, and four times what the gradient changes by in
/// f32 when every pixel is off by 2^-8 of itself. A stored value is off by up to 2^-9 of itself, and where a
/// ReLU near 0 then takes the other side, gradients change by far more than that, in every precision.
fn limits_in_bf16(
    network: &FrozenNetwork,
    recorded: &BTreeMap<String, Tensor>,
    cotangent: &dyn Fn(&Tensor) -> Tensor,
) -> (f64, f64) {
    let x = &recorded["__x"];
    let mut noise = vec![0.0_f32; x.elem_count()];
    Stream::new(0, "recorded in bf16").draw(0, 0).normal(&mut noise);
    let noise = Tensor::from_vec(noise, x.shape(), &Device::Cpu).unwrap();
    let moved = (x + (x * (noise / 256.0).unwrap()).unwrap()).unwrap();
    let (logits, kept) = network.program().save(&nchw_to_nhwc(&moved).unwrap()).unwrap();
    let gradient = network.program().pullback(&kept, &cotangent(&logits)).unwrap();
    let gradient = flat(&nhwc_to_nchw(&gradient).unwrap());
    let want = flat(&recorded["__grad"]);
    let change = norm(gradient.iter().zip(&want).map(|(a, b)| a - b)) / norm(want.iter().copied());
    let most = flat(&recorded["__logits"]).iter().fold(0.0_f64, |most, z| most.max(z.abs()));
    (0.1 * most, 4.0 * change)
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
