//! What concerns all formats: finding the right one, surviving hostile bytes, and the published data
//! sets read against what is known about them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use zip::CompressionMethod;

use super::*;

/// Name and content of a file.
type NamedBytes = (&'static str, Vec<u8>);

/// Files that each reader accepts, by format; the images come first.
fn good_files() -> Vec<(&'static str, Vec<NamedBytes>)> {
    let images = npy::tests::npy("'<f4'", "(1, 2, 1)", &[0, 0, 0, 0, 0, 0, 128, 63]);
    let labels = npy::tests::npy("'|u1'", "(1,)", &[1]);
    let members = [("images.npy", images.clone()), ("labels.npy", labels.clone())];
    let tensor = Tensor::zeros((1, 1, 2, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(2, 1).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(2, 1).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let files = vec![
        (
            "idx",
            vec![
                ("images-idx3", idx::tests::idx(&[1, 2, 1], &[0, 255])),
                ("labels-idx1", idx::tests::idx(&[1], &[1])),
            ],
        ),
        ("cifar10", vec![("ten.bin", cifar::tests::record(&[9]))]),
        ("cifar100", vec![("hundred.bin", cifar::tests::record(&[19, 99]))]),
        (
            "cifar10",
            vec![(
                "test_batch",
                cifar_pickle::tests::batch("labels", &[9], [1, 3072], false, &[200; 3072]),
            )],
        ),
        ("npy", vec![("images.npy", images), ("labels.npy", labels)]),
        ("npz", vec![("a.npz", npz::tests::archive(&members, CompressionMethod::Stored))]),
        ("npz", vec![("b.npz", npz::tests::archive(&members, CompressionMethod::Deflated))]),
        ("safetensors", vec![("a.safetensors", safetensors::tests::file(&tensor, &[1]))]),
        ("svhn", vec![("a_32x32.mat", svhn::tests::file(false))]),
        ("svhn", vec![("b_32x32.mat", svhn::tests::file(true))]),
        ("folder", vec![("class/a.png", png.into_inner())]),
        ("folder", vec![("class/a.jpg", jpeg.into_inner())]),
    ];
    #[cfg(feature = "parquet")]
    let files = [files, vec![("parquet", vec![("a.parquet", parquet::tests::file())])]].concat();
    files
}

/// Writes the files to a folder and returns the path to open.
fn write(root: &Path, format: &str, files: &[NamedBytes]) -> PathBuf {
    for (name, bytes) in files {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        std::fs::write(root.join(name), bytes).unwrap();
    }
    if format == "folder" { root.into() } else { root.join(files[0].0) }
}

fn read_all(spec: &str) -> Result<Vec<u32>> {
    let data = open(spec)?;
    let mut labels = Vec::new();
    for batch in batches(data.as_ref(), 7) {
        labels.extend(batch?.labels);
    }
    Ok(labels)
}

#[test]
fn every_format_is_found_by_name_and_by_path() {
    for (format, files) in good_files() {
        let root = tempfile::tempdir().unwrap();
        let path = write(root.path(), format, &files);
        let path = path.to_str().unwrap();
        let named = read_all(&format!("{format}:{path}")).unwrap();
        assert_eq!(named.len(), 1, "{format}");
        assert_eq!(read_all(path).unwrap(), named, "{format}");
    }
    assert_eq!(open("digits").unwrap().info().len, 360);
    assert_eq!(open("digits:all").unwrap().info().len, 1797);
    assert_eq!(usages().count(), FORMATS.len());
    assert!(FORMATS.iter().all(|format| format.usage.starts_with(format.name)));
}

#[test]
fn specifications_that_name_nothing() {
    let root = tempfile::tempdir().unwrap();
    let odd = root.path().join("images.mat");
    std::fs::write(&odd, "MATLAB").unwrap();
    let odd = odd.to_str().unwrap();
    for (spec, problem, hint) in [
        ("digit", "unknown data set `digit`", "did you mean `digits`?"),
        ("foldr:pets", "unknown data set `foldr`", "did you mean `folder`?"),
        ("", "unknown data set ``", "known: digits, idx, cifar10, "),
        ("npz:", "data: `npz:` has no path", "write npz:FILE.npz"),
        ("cifar10", "data: `cifar10` has no path", "write cifar10:FILE_OR_FOLDER"),
        ("digits:dev", "unknown split of digits `dev`", "known: test, train, all"),
        (odd, "not recognised; tried digits (by its name only), idx (", "name the format"),
    ] {
        let error = open(spec).err().unwrap_or_else(|| panic!("{spec} opened"));
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{:?}", error.hint());
    }
    for spec in ["none/x.npy", "./none", "npy:none/x.npy,none/y.npy", "C:\\none.npz", "npz:none"] {
        let error = open(spec).err().unwrap_or_else(|| panic!("{spec} opened")).to_string();
        assert!(error.starts_with("cannot read") && error.contains("none"), "{error}");
    }
}

#[test]
fn batches_cover_the_whole_once() {
    let digits = open("digits").unwrap();
    for (size, count) in [(100, 4), (360, 1), (usize::MAX, 1), (0, 360)] {
        let all: Vec<_> = batches(digits.as_ref(), size).map(|batch| batch.unwrap()).collect();
        assert_eq!(all.len(), count);
        let ids: Vec<_> = all.iter().flat_map(|batch| batch.ids.clone()).collect();
        assert_eq!(ids, (1437..1797).collect::<Vec<_>>());
    }
    let error = digits.read(&[0, 360]).unwrap_err();
    assert_eq!(error.to_string(), "index: image 360 of digits, which has 360");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bytes without meaning, alone and behind the beginning of a good file.
    #[test]
    fn random_bytes_never_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        keep in 0.0..1.0f64,
        alone: bool,
    ) {
        for (format, mut files) in good_files() {
            for file in 0..files.len() {
                let good = files[file].1.clone();
                let kept = if alone { 0 } else { (good.len() as f64 * keep) as usize };
                files[file].1 = [&good[..kept], &noise].concat();
                let root = tempfile::tempdir().unwrap();
                let path = write(root.path(), format, &files);
                let _ = read_all(&format!("{format}:{}", path.display()));
                files[file].1 = good;
            }
        }
    }

    /// Single bytes changed: headers that still parse but lie.
    #[test]
    fn changed_bytes_never_panic(changes in proptest::collection::vec((0.0..1.0f64, any::<u8>()), 1..4)) {
        for (format, mut files) in good_files() {
            for file in 0..files.len() {
                let good = files[file].1.clone();
                for (place, value) in &changes {
                    // Headers are short: half of the changes go to the first 160 bytes.
                    let span = if value % 2 == 0 { good.len().min(160) } else { good.len() };
                    files[file].1[(place * span as f64) as usize] = *value;
                }
                let root = tempfile::tempdir().unwrap();
                let path = write(root.path(), format, &files);
                let _ = read_all(&format!("{format}:{}", path.display()));
                files[file].1 = good;
            }
        }
    }
}

fn oracle(file: &str) -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle");
    let root = std::env::var("EPSBALL_ORACLE").unwrap_or_else(|_| default.into());
    let path = Path::new(&root).join(file);
    assert!(path.exists(), "{} is missing: set EPSBALL_ORACLE", path.display());
    path
}

#[test]
#[ignore = "needs the oracle files"]
fn mnist_is_read_as_published() {
    let data = open(oracle("mnist/t10k-images-idx3-ubyte.gz").to_str().unwrap()).unwrap();
    assert_eq!((data.info().len, data.info().shape), (10_000, [1, 28, 28]));
    let first = data.read(&(0..10).collect::<Vec<_>>()).unwrap();
    assert_eq!(first.labels, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let (mut sizes, mut sum) = ([0; 10], 0.0);
    for batch in batches(data.as_ref(), 1000) {
        let batch = batch.unwrap();
        batch.labels.iter().for_each(|&label| sizes[label as usize] += 1);
        let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        sum += pixels.into_iter().map(f64::from).sum::<f64>();
    }
    // Class sizes of the test set, and its mean pixel as usually quoted.
    assert_eq!(sizes, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert!((sum / 7_840_000.0 - 0.1325).abs() < 1e-4, "mean {}", sum / 7_840_000.0);
}

#[test]
#[ignore = "needs the oracle files"]
fn cifar_labels_are_the_canonical_ones() {
    let data = open(oracle("cifar10/cifar10_test_9822.bin").to_str().unwrap()).unwrap();
    assert_eq!((data.info().len, data.info().classes), (9822, Some(10)));
    let integers = |file| {
        let tensor = Tensor::read_npy(oracle(file)).unwrap();
        tensor.to_dtype(candle_core::DType::I64).unwrap().to_vec1::<i64>().unwrap()
    };
    let index = integers("cifar10/cifar10_test_9822_index.npy");
    let labels = integers("cifar10/cifar10_test_labels_all10000.npy");
    assert_eq!(index.len(), 9822);
    for batch in batches(data.as_ref(), 1000) {
        let batch = batch.unwrap();
        for (id, label) in batch.ids.iter().zip(batch.labels) {
            assert_eq!(i64::from(label), labels[index[*id as usize] as usize], "image {id}");
        }
    }
}
