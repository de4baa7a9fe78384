//! Every verdict on a network whose answers are known, every format, and files that are refused.

use std::collections::HashMap;
use std::io::{Cursor, Write as _};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::read::Images;
use super::*;

use self::build::{Pickle, stream, zip as checkpoint};
use crate::data::{Batch, DataInfo, Dataset};
use crate::error::Result;
use crate::model::{FrozenNetwork, ModelInfo};
use crate::nn::{Linear, flatten, seq};
use crate::threat::{Norm, Patch, Threat};

/// The writer of small checkpoints that the engine's own tests have.
#[allow(dead_code, reason = "these tests need a part of it")]
#[path = "../../../crates/engine/src/model/checkpoint/tests/build.rs"]
mod build;

const SHAPE: [usize; 3] = [1, 2, 2];

/// Two classes: z0 - z1 = w . x + b.
fn linear(w: &[f32], b: f32, shape: [usize; 3]) -> FrozenNetwork {
    let mut weight = w.iter().map(|v| v / 2.0).collect::<Vec<_>>();
    weight.extend(w.iter().map(|v| -v / 2.0));
    let weight = Tensor::from_vec(weight, (2, w.len()), &Device::Cpu).unwrap();
    let bias = Tensor::new(&[b / 2.0, -b / 2.0], &Device::Cpu).unwrap();
    let info = ModelInfo::new("test", shape, 2);
    let layers = seq([flatten(), Linear::new(weight, Some(bias)).layer()]);
    FrozenNetwork::build(info, &layers).unwrap()
}

/// A data set in memory, whose images have the indices 10, 11, ...
struct Fixed(DataInfo, Tensor, Vec<u32>);

impl Fixed {
    fn new(pixels: &[f32], shape: [usize; 3], labels: &[u32]) -> Self {
        let len = labels.len();
        let name = "fixed".to_string();
        let info = DataInfo { name, len, shape, classes: None, sha256: String::new() };
        let dims = (len, shape[0], shape[1], shape[2]);
        let images = Tensor::from_slice(pixels, dims, &Device::Cpu).unwrap();
        Self(info, images, labels.to_vec())
    }
}

impl Dataset for Fixed {
    fn info(&self) -> &DataInfo {
        &self.0
    }

    fn id(&self, index: usize) -> u64 {
        10 + index as u64
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        let rows = Tensor::from_iter(indices.iter().map(|i| *i as u32), &Device::Cpu)?;
        Ok(Batch {
            ids: indices.iter().map(|index| self.id(*index)).collect(),
            images: self.1.index_select(&rows, 0)?,
            labels: indices.iter().map(|index| self.2[*index]).collect(),
        })
    }
}

fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}

fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor of a pickle on the storage `key` of `class`.
fn tensor(pickle: Pickle, class: &str, key: &str, shape: &[usize]) -> Pickle {
    let shape: Vec<i64> = shape.iter().map(|side| *side as i64).collect();
    let mut stride = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        stride[axis - 1] = stride[axis] * shape[axis];
    }
    let p = pickle.global("torch._utils", "_rebuild_tensor_v2").raw(b"(");
    let p = p.storage(class, key, shape.iter().product(), b"").long(0);
    p.ints(&shape).ints(&stride).raw(b"\x89}tR")
}

fn open(
    file: &str,
    bytes: &[u8],
    key: Option<&str>,
    data: &Fixed,
) -> Result<(Vec<usize>, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    let images = Images::open(&Foreign { path, key: key.map(str::to_owned) }, data)?;
    let pixels = images.read(0..images.positions.len())?;
    Ok((images.positions, pixels))
}

fn judged(adversarial: &[f32], data: &Fixed, threat: Threat, batch: usize) -> Judgement {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x_adv.npy");
    let shape = [data.0.len, 1, 2, 2];
    std::fs::write(&path, npy("<f4", &shape, &floats(adversarial))).unwrap();
    let foreign = Foreign { path, key: None };
    // Class 0 if the pixels sum to more than 2.
    let model = linear(&[1.0; 4], -2.0, SHAPE);
    judge_foreign(&foreign, &model, data, &threat, batch, &|| false).unwrap()
}

fn grey(levels: &[f32]) -> Vec<f32> {
    levels.iter().flat_map(|level| [*level; 4]).collect()
}

#[test]
fn every_verdict() {
    let data = Fixed::new(&grey(&[0.6, 0.4, 0.6, 0.6]), SHAPE, &[0, 1, 1, 0]);
    let threat = Threat::ball(Norm::Linf, 0.2);
    let adversarial = grey(&[0.45, 0.45, 0.45, 0.35]);
    let judgement = judged(&adversarial, &data, threat, 3);
    let verdicts: Vec<Verdict> = judgement.verdicts.iter().map(|row| row.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Broken, Verdict::Robust, Verdict::Misclassified, Verdict::Outside]
    );
    let row = &judgement.verdicts[0];
    assert_eq!((row.idx, row.label, row.clean, row.prediction), (10, 0, 0, 1));
    assert!(row.inside && row.in_box && (row.l1 - 0.6).abs() < 1e-6 && row.l0 == 4);
    assert_eq!(judgement.clean_accuracy, 0.75);
    assert_eq!(judgement.robust_accuracy, 0.5, "an image outside counts as robust");
    let [low, high] = judgement.interval;
    assert!(low > 0.1 && low < 0.5 && high > 0.5 && high < 0.9);
    for batch in [0, 1, 100] {
        let again = judged(&adversarial, &data, threat, batch);
        assert_eq!(again.verdicts, judgement.verdicts);
    }
    // What it says would count the image does count it, and a little less does not.
    let about = judgement.about_outside.clone().unwrap();
    assert_eq!(about.beyond_box, 0);
    assert!((about.excess.unwrap() - 0.05).abs() < 1e-6, "{about:?}");
    let eps: f32 = about.sufficient.unwrap().parse().unwrap();
    let counted = |eps: f32| judged(&adversarial, &data, Threat::ball(Norm::Linf, eps), 4).broken;
    assert_eq!((counted(eps), counted(eps - 1e-4)), (2, 1));
    let text = judgement.to_string();
    assert!(text.contains("robust accuracy  at most 50.00 % (2 of 4; 95 % interval"), "{text}");
    assert!(text.contains("1 broken, 1 robust, 1 outside, 1 misclassified"), "{text}");
    assert!(text.contains("eps 0.25") && text.contains("would count them"), "{text}");
    assert!(text.contains("farthest broken  0.15") && !text.contains("not allowed"), "{text}");
    assert!((judgement.farthest.unwrap() - 0.15).abs() < 1e-6 && judgement.not_allowed == 1);
    let csv = String::from_utf8(judgement.csv().unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 5);
    assert!(csv.contains(",outside,false,true,"), "{csv}");
}

#[test]
fn a_hair_too_far_is_outside() {
    let data = Fixed::new(&grey(&[0.5625]), SHAPE, &[0]);
    let threat = Threat::ball(Norm::Linf, 0.125);
    assert_eq!(judged(&grey(&[0.4375]), &data, threat, 1).broken, 1);
    assert_eq!(judged(&grey(&[0.4375 - 1e-5]), &data, threat, 1).outside, 1);
    let patch = Threat::Patch(Patch::rectangle(1, 2));
    let one_row = [0.0, 0.0, 0.5625, 0.5625];
    assert_eq!(judged(&one_row, &data, patch, 1).broken, 1);
    assert_eq!(judged(&one_row, &data, patch, 1).farthest, Some(2.0));
    let about = judged(&grey(&[0.25]), &data, patch, 1).about_outside.unwrap();
    assert_eq!((about.excess, about.sufficient.as_deref()), (Some(1.0), Some("2x2")));
}

#[test]
fn what_leaves_the_box_or_is_no_number_never_counts() {
    let data = Fixed::new(&[0.05, 0.95, 0.7, 0.7, 0.4, 0.4, 0.4, 0.4], SHAPE, &[0, 1]);
    let threat = Threat::ball(Norm::Linf, 0.2);
    let adversarial = [-0.05, 0.8, 0.55, 0.55, f32::NAN, 0.4, 0.4, 0.4];
    let judgement = judged(&adversarial, &data, threat, 2);
    assert_eq!((judgement.broken, judgement.robust_accuracy), (0, 1.0));
    assert!(judgement.verdicts.iter().all(|row| !row.inside && !row.in_box));
    assert_eq!(judgement.verdicts[0].verdict, Verdict::Outside);
    let row = &judgement.verdicts[1];
    assert!(row.linf.is_nan() && row.l2.is_nan() && row.l1.is_nan() && row.l0 == 1, "{row:?}");
    let about = judgement.about_outside.clone().unwrap();
    assert!(about.beyond_box >= 1 && about.excess.is_none() && about.sufficient.is_none());
    assert!(judgement.to_string().contains("leave the box [0, 1] or hold NaN"), "{judgement}");
}

#[test]
fn an_image_outside_is_told_though_it_changes_no_answer() {
    let data = Fixed::new(&grey(&[0.6, 0.6]), SHAPE, &[0, 1]);
    let judgement = judged(&grey(&[0.9, 0.9]), &data, Threat::ball(Norm::Linf, 0.2), 1);
    assert_eq!((judgement.robust, judgement.misclassified, judgement.outside), (1, 1, 0));
    assert_eq!((judgement.not_allowed, judgement.farthest), (2, None));
    let text = judgement.to_string();
    assert!(text.contains("not allowed      2 more outside the threat model"), "{text}");
    assert!(!text.contains("farthest"), "{text}");
}

/// Two images of 3x2x4, black and white.
fn pattern() -> (Fixed, Vec<f32>) {
    let pixels: Vec<f32> = (0..48_u32).map(|i| (i * i / 3 % 2) as f32).collect();
    (Fixed::new(&pixels, [3, 2, 4], &[4, 9]), pixels)
}

#[test]
fn every_format_reads_the_same_images() {
    let (data, pixels) = pattern();
    let shape = [2, 3, 2, 4];
    let bytes: Vec<u8> = pixels.iter().map(|pixel| (pixel * 255.0) as u8).collect();
    let doubles: Vec<u8> = pixels.iter().flat_map(|p| f64::from(*p).to_le_bytes()).collect();
    let halves: Vec<u8> =
        pixels.iter().flat_map(|p| half::f16::from_f32(*p).to_le_bytes()).collect();
    let brains: Vec<u8> =
        pixels.iter().flat_map(|p| half::bf16::from_f32(*p).to_le_bytes()).collect();
    let last: Vec<u8> = (0..48).map(|i| bytes[i / 24 * 24 + i % 3 * 8 + i % 24 / 3]).collect();
    let labels = npy("<i8", &[2], &[4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    let tensors = |dtype: DType| {
        let images = Tensor::from_slice(&pixels, &shape, &Device::Cpu).unwrap();
        let images = images.to_dtype(dtype).unwrap();
        safetensors::serialize(HashMap::from([("anything", images)]), None).unwrap()
    };
    let alone = |class: &str| tensor(Pickle::new(), class, "0", &shape).stop();
    let dict = |name: &str| {
        let p = tensor(Pickle::new().raw(b"}(").text(name), "FloatStorage", "0", &shape);
        let p = tensor(p.text("clean_inputs"), "FloatStorage", "0", &shape).text("labels");
        tensor(p, "LongStorage", "1", &[2]).raw(b"u").stop()
    };
    let long: Vec<u8> = [4_i64, 9].iter().flat_map(|label| label.to_le_bytes()).collect();
    let dict = |name| checkpoint(dict(name), vec![("0", floats(&pixels)), ("1", long.clone())]);
    for (file, content) in [
        ("x.npy", npy("<f4", &shape, &floats(&pixels))),
        ("x.npy", npy("|u1", &shape, &bytes)),
        ("x.npy", npy("<f8", &shape, &doubles)),
        ("x.npy", npy("<f2", &shape, &halves)),
        ("x.npy", npy("|u1", &[2, 2, 4, 3], &last)),
        ("x.npz", npz(&[("arr_1", labels.clone()), ("arr_0", npy("|u1", &shape, &bytes))])),
        (
            "x.npz",
            npz(&[
                ("x", npy("|u1", &shape, &[0; 48])),
                ("objects", npy("|O", &[1], b"\x80\x02.")),
                ("x_adv", npy("<f4", &shape, &floats(&pixels))),
                ("y", labels),
            ]),
        ),
        ("x.safetensors", tensors(DType::F32)),
        ("x.safetensors", tensors(DType::F64)),
        ("x.safetensors", tensors(DType::F16)),
        ("x.safetensors", tensors(DType::BF16)),
        ("x.pt", checkpoint(alone("FloatStorage"), vec![("0", floats(&pixels))])),
        ("x.pt", checkpoint(alone("ByteStorage"), vec![("0", bytes.clone())])),
        ("x.pth", checkpoint(alone("DoubleStorage"), vec![("0", doubles.clone())])),
        ("x.pth", checkpoint(alone("HalfStorage"), vec![("0", halves.clone())])),
        ("x.pth", checkpoint(alone("BFloat16Storage"), vec![("0", brains.clone())])),
        ("x.pth", stream(&alone("FloatStorage"), &[("0", floats(&pixels))])),
        ("x.pt", dict("adv_complete")),
        ("x.pt", dict("adv_inputs")),
    ] {
        let (positions, read) = open(file, &content, None, &data).unwrap();
        assert_eq!((positions, read), (vec![0, 1], pixels.clone()), "{file}");
    }
}

#[test]
fn indices_of_the_file_say_which_image_a_row_is_about() {
    let (data, pixels) = pattern();
    let file = |ids: [u8; 2], labels: [u8; 2]| {
        npz(&[
            ("images", npy("<f4", &[2, 3, 2, 4], &floats(&pixels))),
            ("ids", npy("|u1", &[2], &ids)),
            ("labels", npy("|u1", &[2], &labels)),
        ])
    };
    let (positions, read) = open("x.npz", &file([11, 10], [9, 4]), None, &data).unwrap();
    assert_eq!((positions, read), (vec![1, 0], pixels.clone()));
    for ids in [[11, 11], [0, 1]] {
        let error = open("x.npz", &file(ids, [9, 4]), None, &data).unwrap_err().to_string();
        assert!(error.contains("is not among those of fixed, or comes twice"), "{error}");
    }
    // Labels are compared row by row with those of the data set.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let model = linear(&[1.0; 24], -2.0, [3, 2, 4]);
    let threat = Threat::ball(Norm::L2, 1.0);
    let judge = |labels: [u8; 2]| {
        std::fs::write(&path, file([11, 10], labels)).unwrap();
        let foreign = Foreign { path: path.clone(), key: None };
        judge_foreign(&foreign, &model, &data, &threat, 1, &|| false)
    };
    let ids: Vec<u64> = judge([9, 4]).unwrap().verdicts.iter().map(|row| row.idx).collect();
    assert_eq!(ids, [11, 10]);
    let error = judge([9, 5]).unwrap_err().to_string();
    assert!(error.contains("labels: row 1 has label 5, and image 10 has label 4"), "{error}");
    let stopped = judge_foreign(
        &Foreign { path: path.clone(), key: None },
        &model,
        &data,
        &threat,
        1,
        &|| true,
    );
    assert!(matches!(stopped, Err(crate::error::Error::Interrupted)));
}

#[test]
fn files_that_leave_a_question_are_refused() {
    let (data, pixels) = pattern();
    let image = |n: usize| npy("<f4", &[n, 3, 2, 4], &floats(&pixels.repeat(2)[..24 * n]));
    let two = npz(&[("fgsm", image(2)), ("pgd", image(2))]);
    assert_eq!(open("x.npz", &two, Some("pgd"), &data).unwrap().1, pixels);
    let p = tensor(Pickle::new().raw(b"}(").text("apgd-ce"), "FloatStorage", "0", &[2, 3, 2, 4]);
    let p = tensor(p.text("square"), "FloatStorage", "0", &[2, 3, 2, 4]).raw(b"u").stop();
    let parts = checkpoint(p, vec![("0", floats(&pixels))]);
    assert_eq!(open("x.pt", &parts, Some("square"), &data).unwrap().1, pixels);
    let labels = npz(&[("x_adv", image(2)), ("y", npy("|u1", &[3], &[0; 3]))]);
    let evil = Pickle::new().global("os", "system").text("touch hacked").raw(b"\x85R");
    for (file, content, key, problem) in [
        ("x.npy", image(3), None, "3 adversarial images, and fixed has 2"),
        ("x.npz", labels, None, "y: 3 numbers for 2 images"),
        (
            "x.npz",
            two.clone(),
            None,
            "several arrays could be meant: `fgsm` (float32 [2, 3, 2, 4]), `pgd`",
        ),
        ("x.npz", two, Some("x"), "there is no array `x`; found: `fgsm`"),
        ("x.pt", parts, None, "several arrays could be meant: "),
        ("x.npy", npy("<i4", &[2, 3, 2, 4], &[0; 192]), None, "the array (int32 [2, 3, 2, 4])"),
        ("x.npy", npy("|O", &[2, 3, 2, 4], b"cos\nsystem\n"), None, "type `|O` is not supported"),
        (
            "x.npy",
            npy("|u1", &[2, 2, 3, 4], &[0; 48]),
            None,
            "has shape [2, 2, 3, 4], and the images of",
        ),
        ("x.npy", image(2)[..100].to_vec(), None, "bytes"),
        ("x.pt", checkpoint(evil.clone().stop(), vec![]), None, "`os.system`"),
        ("x.pth", stream(&evil.stop(), &[]), None, "`os.system`"),
        ("x.pt", checkpoint(Pickle::new().raw(b"}").stop(), vec![]), None, "no tensor found"),
        ("x.jpg", vec![0], None, "its ending is none of"),
    ] {
        let error = open(file, &content, key, &data).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}, not {problem}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert!(!Path::new("hacked").exists());
}
