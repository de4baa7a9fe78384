//! Safetensors with the tensors `images` and `labels`, such as the adversarial images of a run. Only
//! the header is read at first. Images of a run come with checksums, and none is handed out whose own
//! does not fit.

use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;

use super::array::{self, Array};
use super::element::Element;
use super::records::Records;
use super::source::{self, Source};
use super::{Batch, DataInfo, Dataset, Format, image_check};
use crate::error::{Error, Result};
use crate::tensor_header;

pub(super) const FORMAT: Format = Format {
    name: "safetensors",
    usage: "safetensors:FILE.safetensors",
    sign: "a file ending in .safetensors",
    fits: |path| path.extension().is_some_and(|ending| ending == "safetensors"),
    open: |path| open(path.as_ref()),
};

fn open(path: &Path) -> Result<Box<dyn Dataset>> {
    let (images, labels) = (tensor(path, "images")?, tensor(path, "labels")?);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into();
    let whole = array::pair(name, source::sha256_file(path)?, images, &labels)?;
    if !of_a_run(path)? {
        return Ok(Box::new(whole));
    }
    let numbers = |name: &str| tensor(path, name)?.numbers();
    let (ids, found, checks) = (numbers("ids")?, numbers("found")?, numbers("checks")?);
    let len = whole.info().len;
    if [&ids, &found, &checks].iter().any(|numbers| numbers.len() != len) {
        let problem = format!("ids, found and checks are not those of {len} images");
        return Err(Error::file(path, "checks", problem, CHANGED));
    }
    Ok(Box::new(Checked { path: path.into(), whole, ids, found, checks }))
}

/// What to do about a file of a run that is not as the run left it.
const CHANGED: &str =
    "the file was changed or damaged: copy it from a backup, or run the job again";

/// The adversarial images of a run.
struct Checked {
    path: PathBuf,
    whole: Records,
    ids: Vec<i128>,
    found: Vec<i128>,
    checks: Vec<i128>,
}

impl Dataset for Checked {
    fn info(&self) -> &DataInfo {
        self.whole.info()
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        let batch = self.whole.read(indices)?;
        for (index, digest) in indices.iter().zip(batch.digests()?) {
            let (id, found) = (self.ids[*index] as u64, self.found[*index] as u8);
            if i128::from(image_check(id, found, &digest)) != self.checks[*index] {
                let field = format!("image {index}");
                return Err(Error::file(&self.path, field, "its checksum does not fit", CHANGED));
            }
        }
        Ok(batch)
    }
}

/// Whether a run has written the file, which its header says.
fn of_a_run(path: &Path) -> Result<bool> {
    let (header, _) = header(path)?;
    Ok(header.metadata().as_ref().is_some_and(|about| about.contains_key("epsball"))
        || header.info("checks").is_some())
}

pub(super) fn tensor(path: &Path, name: &str) -> Result<Array> {
    let error = |field: &str, problem: String| Error::file(path, field, problem, TENSORS);
    let (header, data) = header(path)?;
    let Some(info) = header.info(name) else {
        let found = header.offset_keys().join(", ");
        return Err(error(name, format!("no tensor has that name; found: {found}")));
    };
    let element = element(info.dtype)
        .ok_or_else(|| error(name, format!("type {} is not supported", info.dtype)))?;
    let (start, end) = info.data_offsets;
    let span = (data + start as u64, data + end as u64);
    Array::new(Source::open(path)?, span, element, info.shape.clone(), name)
}

/// The names of its tensors, in the order of their bytes.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    Ok(header(path)?.0.offset_keys())
}

/// What the file should hold.
const TENSORS: &str = "write the tensors `images` and `labels` with the safetensors library";

/// The header of the file, and where its data begin.
fn header(path: &Path) -> Result<(Metadata, u64)> {
    let error = |field: &str, problem: String| Error::file(path, field, problem, TENSORS);
    let source = Source::open(path)?;
    let length = source.read(0, 8)?;
    let length = u64::from_le_bytes(length.as_chunks().0.first().copied().unwrap_or_default());
    if length > tensor_header::LONGEST {
        return Err(error("header", format!("claims to have {length} bytes")));
    }
    let header = source.read(8, length as usize)?;
    let header = tensor_header::parse(&header).map_err(|problem| error("header", problem))?;
    let data = 8 + length;
    let expected = (header.data_len() as u64).saturating_add(data);
    if expected != source.len() {
        let problem = format!("{expected} bytes expected, {} found", source.len());
        return Err(Error::file(path, "length", problem, "the file is cut short: get it again"));
    }
    Ok((header, data))
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use candle_core::{DType, Device, Tensor};

    use super::*;

    /// A safetensors file of float images and int64 labels.
    pub(in crate::data) fn file(images: &Tensor, labels: &[i64]) -> Vec<u8> {
        let labels = Tensor::new(labels, &Device::Cpu).unwrap();
        let tensors = HashMap::from([("images", images.clone()), ("labels", labels)]);
        ::safetensors::serialize(tensors, None).unwrap()
    }

    fn open_bytes(bytes: &[u8]) -> Result<Box<dyn Dataset>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        open(file.path())
    }

    fn ramp() -> Tensor {
        (Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap() / 16.0)
            .unwrap()
            .reshape((2, 1, 2, 3))
            .unwrap()
    }

    #[test]
    fn images_and_labels_come_back() {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            let data = open_bytes(&file(&ramp().to_dtype(dtype).unwrap(), &[8, 0])).unwrap();
            assert_eq!((data.info().len, data.info().shape), (2, [1, 2, 3]));
            let batch = data.read(&[1]).unwrap();
            assert_eq!(batch.labels, [0]);
            let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(pixels, [6.0, 7.0, 8.0, 9.0, 10.0, 11.0].map(|v| v / 16.0));
        }
    }

    #[test]
    fn bad_files() {
        let good = file(&ramp(), &[8, 0]);
        let tensors = HashMap::from([("pixels", ramp())]);
        for (bytes, problem) in [
            (good[..good.len() - 1].to_vec(), "length: "),
            (good[..6].to_vec(), "at least 8 bytes expected, 6 found"),
            (good[..40].to_vec(), "bytes expected, 40 found"),
            (vec![255; 64], "header: claims to have 18446744073709551615 bytes"),
            ([&[2, 0, 0, 0, 0, 0, 0, 0], &b"[]"[..]].concat(), "header: "),
            (
                ::safetensors::serialize(tensors, None).unwrap(),
                "images: no tensor has that name; found: pixels",
            ),
            (file(&ramp(), &[8]), "labels: 1 labels for 2 images"),
            (file(&ramp(), &[8, -1]), "labels: label -1 of image 1"),
            (file(&ramp().to_dtype(DType::I64).unwrap(), &[8, 0]), "images: images are int64"),
        ] {
            let error = open_bytes(&bytes).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
