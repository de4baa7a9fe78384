//! NumPy arrays (NEP 1, "A simple file format for NumPy arrays"), versions 1 to 3: images in one file,
//! labels in another. candle's own reader loads whole arrays; this one reads the header and then the
//! images asked for.

use std::path::{Path, PathBuf};

use super::array::{self, Array};
use super::element::Element;
use super::source::{self, Source};
use super::{Dataset, Format, label_file};
use crate::error::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "npy",
    usage: "npy:IMAGES.npy[,LABELS.npy]",
    sign: "a file ending in .npy",
    fits: |path| path.extension().is_some_and(|ending| ending == "npy"),
    open,
};

const MAGIC: &[u8] = b"\x93NUMPY";

fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let (images, labels) = label_file::split(spec);
    let labels = match labels {
        Some(path) => path,
        None => find_labels(&images)?,
    };
    let whole = |path: &Path, field: &str| {
        let source = Source::open(path)?;
        let end = source.len();
        read_header(source, (0, end), field)
    };
    let name = images.file_stem().unwrap_or_default().to_string_lossy().into();
    let (pixels, labels) = (whole(&images, "images")?, whole(&labels, "labels")?);
    Ok(Box::new(array::pair(name, source::sha256_file(&images)?, pixels, &labels)?))
}

/// `images.npy` has `labels.npy` beside it, `v6_data.npy` has `v6_labels.npy`, `x_test.npy` has
/// `y_test.npy`.
fn find_labels(images: &Path) -> Result<PathBuf> {
    let name = label_file::name(images);
    let mut names = Vec::new();
    // CIFAR-10.1 says `data`.
    for images in ["images", "data"] {
        if name.contains(images) {
            names.push(name.replace(images, "labels"));
        }
    }
    if let Some(rest) = name.strip_prefix(['x', 'X']) {
        names.push(format!("y{rest}"));
        names.push(format!("Y{rest}"));
    }
    label_file::beside(images, &names, FORMAT.usage)
}

/// The array that lies from `start` to `end` of `source`, header included.
///
/// # Errors
/// If it is not an npy file, of a type without meaning here, column-major, or of another length than
/// its header says.
pub(super) fn read_header(source: Source, (start, end): (u64, u64), field: &str) -> Result<Array> {
    let error = |problem: String, remedy: &str| Error::file(source.path(), field, problem, remedy);
    let preamble = source.read(start, 8)?;
    if !preamble.starts_with(MAGIC) {
        return Err(error("not an npy file".into(), "write it with numpy.save"));
    }
    let (length_at, length_bytes) = match preamble[6] {
        1 => (start + 8, 2),
        2 | 3 => (start + 8, 4),
        version => {
            let problem = format!("npy format version {version} is not known");
            return Err(error(problem, "write it with numpy.save"));
        }
    };
    let bytes = source.read(length_at, length_bytes)?;
    let length = bytes.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let header = source.read(length_at + length_bytes as u64, length)?;
    let header = String::from_utf8_lossy(&header);
    let value = |key| {
        let missing = || error(format!("no `{key}` in the header"), "write it with numpy.save");
        value(&header, key).ok_or_else(missing)
    };

    let descr = value("descr")?;
    let descr = descr.split(['\'', '"']).nth(1).unwrap_or(descr);
    let element = element(descr).ok_or_else(|| {
        let problem = format!("type `{descr}` is not supported");
        let remedy = "convert it: images to uint8 or float32, labels to int64, little-endian";
        error(problem, remedy)
    })?;
    let shape = value("shape")?;
    let shape = sides(shape).ok_or_else(|| {
        error(
            format!("shape `{}` is not a tuple of sizes", brief(shape)),
            "write it with numpy.save",
        )
    })?;
    if !value("fortran_order")?.starts_with("False") && shape.len() > 1 {
        return Err(error(
            "the array is column-major (fortran_order)".into(),
            "save a row-major copy: numpy.save(path, numpy.ascontiguousarray(array))",
        ));
    }
    let first = length_at + (length_bytes + length) as u64;
    Array::new(source, (first, end), element, shape, field)
}

/// What follows `'key':` in the header, a Python dictionary with these three keys only.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = |quote| {
        let (_, rest) = header.split_once(&format!("{quote}{key}{quote}"))?;
        rest.trim_start().strip_prefix(':')
    };
    quoted('\'').or_else(|| quoted('"')).map(str::trim_start)
}

/// `(3, 4)`, `(3,)` or `()` as numbers.
fn sides(tuple: &str) -> Option<Vec<usize>> {
    let (inside, _) = tuple.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().strip_suffix(',').unwrap_or(inside.trim());
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|side| side.trim().parse().ok()).collect()
}

fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

fn element(descr: &str) -> Option<Element> {
    Some(match descr {
        "|u1" | "<u1" => Element::U8,
        "|i1" | "<i1" => Element::I8,
        "<u2" => Element::U16,
        "<i2" => Element::I16,
        "<u4" => Element::U32,
        "<i4" => Element::I32,
        "<u8" => Element::U64,
        "<i8" => Element::I64,
        "<f2" => Element::F16,
        "<f4" => Element::F32,
        "<f8" => Element::F64,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    /// An npy file laid out as NumPy 2 lays it out.
    pub(in crate::data) fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
        with_header(
            &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"),
            bytes,
        )
    }

    fn with_header(header: &str, bytes: &[u8]) -> Vec<u8> {
        let header = format!("{header:<width$}\n", width = 117.max(header.len()));
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), bytes].concat()
    }

    fn read(images: &[u8], labels: &[u8]) -> Result<(super::super::DataInfo, Vec<f32>, Vec<u32>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x_test.npy");
        std::fs::write(&path, images).unwrap();
        std::fs::write(folder.path().join("y_test.npy"), labels).unwrap();
        let data = open(path.to_str().unwrap())?;
        let batch = data.read(&(0..data.info().len).collect::<Vec<_>>())?;
        Ok((data.info().clone(), batch.images.flatten_all()?.to_vec1()?, batch.labels))
    }

    #[test]
    fn bytes_and_floats_in_every_layout() {
        let bytes: Vec<u8> = (0..24).map(|i| i * 10).collect();
        let floats: Vec<u8> =
            bytes.iter().flat_map(|b| (f32::from(*b) / 255.0).to_le_bytes()).collect();
        let labels = npy("'<i8'", "(2,)", &[3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let expected: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
        for (descr, data) in [("'|u1'", &bytes), ("'<f4'", &floats)] {
            for (dims, shape) in [("(2, 3, 4)", [1, 3, 4]), ("(2, 3, 2, 2)", [3, 2, 2])] {
                let (info, pixels, classes) = read(&npy(descr, dims, data), &labels).unwrap();
                assert_eq!((info.len, info.shape, info.classes), (2, shape, None));
                assert_eq!(info.name, "x_test");
                assert_eq!(pixels, expected);
                assert_eq!(classes, [3, 1]);
            }
            let (info, pixels, _) = read(&npy(descr, "(2, 2, 2, 3)", data), &labels).unwrap();
            assert_eq!(info.shape, [3, 2, 2]);
            assert_eq!(pixels[..4], [expected[0], expected[3], expected[6], expected[9]]);
            assert_eq!(pixels[12..16], [expected[12], expected[15], expected[18], expected[21]]);
        }
    }

    #[test]
    fn files_of_another_writer() {
        let folder = tempfile::tempdir().unwrap();
        let images = Tensor::rand(0f32, 1f32, (3, 3, 4, 5), &Device::Cpu).unwrap();
        images.write_npy(folder.path().join("images.npy")).unwrap();
        let labels = Tensor::new(&[5u32, 0, 7], &Device::Cpu).unwrap();
        labels.write_npy(folder.path().join("labels.npy")).unwrap();
        let data = open(folder.path().join("images.npy").to_str().unwrap()).unwrap();
        let batch = data.read(&[2, 0]).unwrap();
        assert_eq!(batch.labels, [7, 5]);
        let expected = images.index_select(&Tensor::new(&[2u32, 0], &Device::Cpu).unwrap(), 0);
        let difference = (batch.images - expected.unwrap()).unwrap().abs().unwrap();
        assert_eq!(difference.sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
    }

    #[test]
    fn bad_files() {
        let labels = npy("'|u1'", "(1,)", &[0]);
        let float = |v: f32| npy("'<f4'", "(1, 1, 1)", &v.to_le_bytes());
        let fortran = "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1, 1), }";
        let image = npy("'|u1'", "(1, 1, 1)", &[0]);
        let version = [MAGIC, &[9, 0], &image[8..]].concat();
        let endless = [MAGIC, &[2, 0], &[255; 4]].concat();
        for (images, labels, problem) in [
            (&float(1.5), &labels, "image 0: pixel value 1.5 is outside [0, 1]"),
            (&float(f32::NAN), &labels, "image 0: pixel value NaN"),
            (&image[..image.len() - 1].to_vec(), &labels, "needs 1 bytes, 0 found"),
            (&image[..5].to_vec(), &labels, "at least 8 bytes expected, 5 found"),
            (&endless, &labels, "at least 4294967307 bytes expected"),
            (&version, &labels, "version 9"),
            (&b"\x89PNG\r\n\x1a\n".to_vec(), &labels, "not an npy file"),
            (&with_header(fortran, &[0]), &labels, "column-major"),
            (&with_header("{'descr': '|u1', 'fortran_order': False}", &[0]), &labels, "no `shape`"),
            (&npy("'>f4'", "(1, 1, 1)", &[0; 4]), &labels, "type `>f4` is not supported"),
            (&npy("'|O'", "(1, 1, 1)", &[0; 4]), &labels, "type `|O` is not supported"),
            (&npy("[('r', '|u1')]", "(1, 1, 1)", &[0; 4]), &labels, "is not supported"),
            (&npy("'<i4'", "(1, 1, 1)", &[0; 4]), &labels, "images are int32"),
            (&npy("'|u1'", "(1, -1, 1)", &[0]), &labels, "shape `(1, -1, 1)"),
            (&npy("'|u1'", "(1, 1)", &[0]), &labels, "images have shape [1, 1]"),
            (&npy("'|u1'", "(0, 1, 1)", &[]), &labels, "holds no images"),
            (&npy("'|u1'", "(9999999999, 9999999999, 9)", &[0]), &labels, "more than 2^64 bytes"),
            (&image, &npy("'|i1'", "(1,)", &[255]), "label -1 of image 0"),
            (&image, &npy("'|u1'", "(2,)", &[0, 0]), "2 labels for 1 images"),
            (&image, &npy("'<f4'", "(1,)", &[0; 4]), "labels are float32"),
        ] {
            let error = read(images, labels).expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_missing_label_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, problem) in [
            ("test_images.npy", "no `test_labels.npy` beside it"),
            ("x.npy", "no `y.npy` or `Y.npy` beside it"),
            ("photos.npy", "its name does not tell that of the label file"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, npy("'|u1'", "(1, 1, 1)", &[0])).unwrap();
            let error = open(path.to_str().unwrap()).err().unwrap().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
