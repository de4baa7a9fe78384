//! ONNX files that were exported of known networks, opened as a user's model is: recorded logits and gradients, on the
//! CPU or on the device `EPSBALL_TEST_DEVICE`.

use candle_core::{Device, Tensor};
use epsball::device::Precision;
use epsball::model::Classifier;
use epsball::model::file::{Declared, load};
use epsball::onnx::{Layout, OnnxForm};
use epsball::rows::Rows;
use serde::Deserialize;

use super::{oracle, placed, precision};

#[derive(Deserialize)]
struct Index {
    made: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    reference: String,
    outputs: Vec<serde_json::Value>,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
struct Tolerance {
    logits: f32,
    grad: f32,
}

/// Largest difference.
fn apart(a: &[f32], b: &Tensor) -> f32 {
    let b: Vec<f32> =
        b.to_dtype(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
#[ignore = "needs the oracle files"]
fn families_of_onnx_files_meet_recorded_logits_and_gradients() {
    if precision() != Precision::F32 {
        return;
    }
    let index = std::fs::read(oracle("onnx/index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    let mut failed = Vec::new();
    for entry in &index.made {
        let reference = oracle(&format!("onnx/{}", entry.reference));
        let reference = candle_core::safetensors::load(reference, &Device::Cpu).unwrap();
        let (x, gradient) = (&reference["x"], &reference["grad"]);
        let nhwc = matches!(x.dims()[3], 1 | 3);
        let planes = |t: &Tensor| match nhwc {
            true => t.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap(),
            false => t.clone(),
        };
        let (x, gradient) = (planes(x), planes(gradient));
        let sides = x.dims();
        let onnx = OnnxForm {
            layout: Some(if nhwc { Layout::Nhwc } else { Layout::Nchw }),
            shape: Some([sides[1], sides[2], sides[3]]),
            output: (entry.outputs.len() > 1).then(|| "logits".into()),
            ..OnnxForm::default()
        };
        let path = oracle(&format!("onnx/{}", entry.file));
        let network = match load(&path, &Declared { onnx, ..Declared::default() }) {
            Ok((network, _)) => placed(network),
            Err(error) => {
                failed.push(error.to_string());
                continue;
            }
        };
        // Their recorded outputs are probabilities, and logits are what is read.
        if entry.file.contains("/softmax.") {
            continue;
        }
        let images = Rows::of_tensor(&x.to_dtype(candle_core::DType::F32).unwrap()).unwrap();
        let (logits, pull) = network.linearise(&images).unwrap();
        let z = apart(&logits.values().unwrap(), &reference["logits"]);
        let cotangent = reference["cotangent"].to_dtype(candle_core::DType::F32).unwrap();
        let cotangent =
            cotangent.broadcast_as(reference["logits"].dims()).unwrap().contiguous().unwrap();
        let g =
            pull(&Rows::of_tensor(&cotangent).unwrap().at(&images.location()).unwrap()).unwrap();
        let g = apart(&g.values().unwrap(), &gradient);
        if z > entry.tolerance.logits || g > entry.tolerance.grad {
            failed.push(format!("{}: logits {z:.1e}, gradient {g:.1e}", entry.file));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
