//! Networks that others trained or exported, against recorded logits and gradients.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::nn::Program;
use crate::onnx::{Layout, Network, OnnxForm, read};

#[derive(Deserialize)]
struct Index {
    real: Vec<Entry>,
    made: Vec<Entry>,
    hostile: Vec<Hostile>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    reference: String,
    input: Sides,
    outputs: Vec<Output>,
    tolerance: Tolerance,
    #[serde(default)]
    gradient_not_unique_on: Vec<String>,
}

#[derive(Deserialize)]
struct Sides {
    shape: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
}

#[derive(Deserialize)]
struct Tolerance {
    logits: f64,
    grad: f64,
}

#[derive(Deserialize)]
struct Hostile {
    file: String,
    expect: String,
    must_say: String,
}

pub(super) fn oracle(file: &str) -> PathBuf {
    let root = std::env::var_os("EPSBALL_ORACLE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"),
        PathBuf::from,
    );
    root.join("onnx").join(file)
}

fn index() -> Index {
    serde_json::from_slice(&std::fs::read(oracle("index.json")).unwrap()).unwrap()
}

fn open(file: &str, form: &OnnxForm) -> crate::Result<Network> {
    let path = oracle(file);
    read(&path, &std::fs::read(&path).unwrap())?.network(form)
}

/// Images as the program reads them, of tensors as the file wants them.
fn images(x: &Tensor, layout: Layout, [c, h, w]: [usize; 3]) -> Tensor {
    let n = x.elem_count() / (c * h * w);
    match layout {
        Layout::Nhwc => x.reshape((n, h, w, c)).unwrap(),
        _ => {
            let planes = x.reshape((n, c, h, w)).unwrap();
            planes.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
        }
    }
}

/// The other way, as numbers.
fn numbers(g: &Tensor, layout: Layout) -> Vec<f32> {
    let g = match layout {
        Layout::Nhwc => g.clone(),
        _ => g.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap(),
    };
    g.flatten_all().unwrap().to_vec1().unwrap()
}

fn wide(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(candle_core::DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The first four test images of MNIST or CIFAR-10, laid out in these sides.
fn first4(sides: &[usize]) -> Tensor {
    // The two formats as they are: an IDX file has a header of 16 bytes, a record of CIFAR its label before the pixels.
    let (bytes, first, record, shape) = match sides.iter().product::<usize>() {
        784 => {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(oracle("../mnist/t10k-images-idx3-ubyte.gz")).unwrap();
            flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
            (bytes, 16, 784, [4, 1, 28, 28])
        }
        _ => {
            let file = oracle("../cifar10/cifar10_test_9822.bin");
            (std::fs::read(file).unwrap(), 1, 3073, [4, 3, 32, 32])
        }
    };
    let width = shape[1..].iter().product::<usize>();
    let image = |i: usize| bytes[first + i * record..][..width].iter();
    let pixels: Vec<f32> = (0..4).flat_map(image).map(|byte| f32::from(*byte) / 255.0).collect();
    let images = Tensor::from_vec(pixels, shape.as_slice(), &Device::Cpu).unwrap();
    match layout(sides) {
        Layout::Nhwc => images.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap(),
        _ => images,
    }
}

/// Largest difference.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}

/// Where the channels are, as the index tells by sides.
fn layout(sides: &[usize]) -> Layout {
    match sides {
        [_, _, _, 1 | 3] => Layout::Nhwc,
        [_, _, _, _] => Layout::Nchw,
        _ => Layout::Flat,
    }
}

/// Logits and gradient of the program on `x` against what is recorded; the two distances.
fn distances(
    program: &Program,
    x: &Tensor,
    (layout, image): (Layout, [usize; 3]),
    logits: &Tensor,
    gradient: Option<(&Tensor, &Tensor)>,
) -> (f64, f64) {
    let x = images(x, layout, image);
    let (z, kept) = program.save(&x).unwrap();
    let of_logits = apart(&wide(&z), &wide(logits));
    let Some((cotangent, gradient)) = gradient else { return (of_logits, 0.0) };
    let (n, classes) = z.dims2().unwrap();
    let cotangent = Tensor::from_vec(
        wide(cotangent).into_iter().cycle().take(n * classes).collect::<Vec<_>>(),
        (n, classes),
        &Device::Cpu,
    );
    let g = program.pullback(&kept, &cotangent.unwrap()).unwrap();
    (of_logits, apart(&numbers(&g, layout), &wide(gradient)))
}

type Tensors = HashMap<String, Tensor>;

fn tensors(file: &str) -> Tensors {
    candle_core::safetensors::load(oracle(file), &Device::Cpu).unwrap()
}

/// Only the files whose names contain `EPSBALL_ONNX`, if it is set.
fn wanted(file: &str) -> bool {
    std::env::var("EPSBALL_ONNX").map_or(true, |part| file.contains(&part))
}

#[test]
#[ignore = "needs the oracle files"]
fn networks_that_others_trained() {
    let inputs = tensors("real/inputs.safetensors");
    let mut failed = Vec::new();
    for entry in index().real.iter().filter(|entry| wanted(&entry.file)) {
        let reference = tensors(&entry.reference);
        for (key, logits) in reference.iter().filter(|(key, _)| key.starts_with("logits.")) {
            let set = key.strip_prefix("logits.").unwrap();
            let gradient = reference.get(&format!("grad.{set}"));
            let sides = &entry.input.shape;
            let sides: Vec<usize> =
                sides.iter().map(|side| side.as_u64().unwrap_or(1) as usize).collect();
            let x = match set {
                "first4" => &first4(&sides),
                _ => {
                    let text: Vec<String> = sides.iter().map(usize::to_string).collect();
                    &inputs[&format!("{set}.{}", text.join("x"))]
                }
            };
            let layout = layout(&x.dims()[1..]);
            let form = OnnxForm { layout: Some(layout), ..OnnxForm::default() };
            let network = match open(&entry.file, &form) {
                Ok(network) => network,
                Err(error) => {
                    failed.push(format!("{}: {error}", entry.file));
                    continue;
                }
            };
            let softmax = reference.get(&format!("before_softmax64.{set}"));
            for program in [network.program.fused(), network.program] {
                let (z, g) = distances(
                    &program,
                    x,
                    (layout, network.image),
                    softmax.unwrap_or(logits),
                    gradient.map(|gradient| (&reference["cotangent"], gradient)),
                );
                // What goes into a softmax has a scale of its own; the tolerance is that of numbers up to 1.
                let scale = softmax.map_or(1.0, |logits| {
                    wide(logits).iter().fold(1.0, |most: f64, z| most.max(f64::from(z.abs())))
                });
                let unique = !entry.gradient_not_unique_on.iter().any(|other| other == set);
                if z > entry.tolerance.logits * scale || (unique && g > entry.tolerance.grad) {
                    failed.push(format!("{} {set}: logits {z:.1e}, gradient {g:.1e}", entry.file));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
#[ignore = "needs the oracle files"]
fn networks_that_were_exported() {
    let mut failed = Vec::new();
    let mut done = 0;
    for entry in index().made.iter().filter(|entry| wanted(&entry.file)) {
        let reference = tensors(&entry.reference);
        let x = &reference["x"];
        let layout = layout(x.dims());
        for (i, output) in entry.outputs.iter().enumerate() {
            let name = |key: &str| if i == 0 { key.into() } else { format!("{key}.{i}") };
            let (several, output) = (entry.outputs.len() > 1, output.name.clone());
            let form = OnnxForm {
                layout: Some(layout),
                output: several.then_some(output),
                shape: (x.rank() == 4 && layout == Layout::Nchw)
                    .then(|| [x.dims()[1], x.dims()[2], x.dims()[3]]),
                ..OnnxForm::default()
            };
            let network = match open(&entry.file, &form) {
                Ok(network) => network,
                Err(error) => {
                    failed.push(format!("{}: {error}", entry.file));
                    continue;
                }
            };
            // What comes before a final softmax is another function.
            if network.notes.iter().any(|note| note.contains("left out")) {
                continue;
            }
            for program in [network.program.fused(), network.program] {
                let (z, g) = distances(
                    &program,
                    x,
                    (layout, network.image),
                    &reference[&name("logits")],
                    Some((&reference[&name("cotangent")], &reference[&name("grad")])),
                );
                done += 1;
                if z > entry.tolerance.logits || g > entry.tolerance.grad {
                    failed.push(format!("{}: logits {z:.1e}, gradient {g:.1e}", entry.file));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{done} done, {} failed:\n{}", failed.len(), failed.join("\n"));
}

/// What the message about a file has to contain that the reader accepts and the lowering does not; the reader's own
/// refusals are tested with it.
const REFUSALS: [(&str, &[&str]); 22] = [
    ("output_shape_lies", &["declares 1000", "give 10"]),
    ("unknown_op", &["odd", "FancyNorm", "not supported"]),
    ("custom_domain", &["odd", "com.example.FancyNorm"]),
    ("non_max_suppression", &["NonMaxSuppression", "detector"]),
    ("loop", &["node loop", "control flow"]),
    ("if_on_the_image", &["are mixed"]),
    ("random_defence", &["RandomNormalLike", "random"]),
    ("dropout_in_training_mode", &["node drop", "training mode"]),
    ("argmax_output", &["ArgMax", "no gradient"]),
    ("channels_mismatch", &["node conv", "1 channel", "3"]),
    ("gemm_mismatch", &["node fc", "4 values against 5"]),
    ("stride_zero", &["node conv", "strides: 0"]),
    ("pads_huge", &["node conv", "pads: 1099511627776"]),
    ("negative_pads", &["node conv", "pads: -1"]),
    ("attribute_wrong_type", &["node conv", "strides", "a text"]),
    ("unknown_attribute", &["node relu", "unknown attribute alpha"]),
    ("too_many_inputs", &["node relu", "2 inputs where 1"]),
    ("too_few_inputs", &["node fc", "1 input"]),
    ("batch_mixes_images", &["are mixed", "depend on the others"]),
    ("int8_qlinearconv", &["QLinearConv", "DequantizeLinear", "no gradient"]),
    ("memory_bomb_concat", &["more than"]),
    ("memory_bomb_constant_of_shape", &["too large"]),
];

#[test]
#[ignore = "needs the oracle files"]
fn hostile_files() {
    let mut failed = Vec::new();
    for entry in index().hostile.iter().filter(|entry| wanted(&entry.file)) {
        let outcome = open(&entry.file, &OnnxForm::default());
        let said = match &outcome {
            Ok(network) => format!("accepted, {:?}", network.notes),
            Err(error) => format!("{error}; {}", error.hint().unwrap_or_default()),
        };
        let words = REFUSALS.iter().find(|(name, _)| entry.file == format!("hostile/{name}.onnx"));
        let names_it = words.is_none_or(|(_, words)| words.iter().all(|word| said.contains(word)));
        let right = match entry.expect.as_str() {
            "refuse" => outcome.is_err() && names_it,
            "accept" => outcome.is_ok(),
            _ => names_it,
        };
        if !right {
            failed.push(format!("{}, {}: {said}", entry.file, entry.must_say));
        }
        if let Ok(network) = outcome
            && entry.expect.contains("accept")
        {
            let control = tensors("hostile/control.safetensors");
            if let (Some(x), Some(logits)) = (control.get("x"), control.get("logits")) {
                let (z, _) =
                    distances(&network.program, x, (Layout::Nchw, network.image), logits, None);
                if z > 1e-5 {
                    failed.push(format!("{}: logits {z:.1e} off", entry.file));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
