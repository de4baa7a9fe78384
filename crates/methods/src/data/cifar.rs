//! CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009). The
//! binary versions are records of label bytes and 3 x 32 x 32 pixels, without a header; the Python
//! versions are pickles.

use std::path::{Path, PathBuf};

use super::element::Element;
use super::records::{Order, Records};
use super::source::{self, Source};
use super::{DataInfo, Dataset, Format, cifar_pickle};
use crate::error::{Error, Result};

pub(super) const CIFAR10: Format = Format {
    name: "cifar10",
    usage: "cifar10:FILE_OR_FOLDER",
    sign: "a folder with test_batch.bin or test_batch, or a .bin file of records of 3073 bytes",
    fits: |path| TEN.fits(path),
    open: |path| TEN.open(path.as_ref()),
};

/// Labels are the fine ones.
pub(super) const CIFAR100: Format = Format {
    name: "cifar100",
    usage: "cifar100:FILE_OR_FOLDER",
    sign: "a folder with test.bin or test and meta, or a .bin file of records of 3074 bytes",
    fits: |path| HUNDRED.fits(path),
    open: |path| HUNDRED.open(path.as_ref()),
};

const TEN: Variant = Variant {
    name: "cifar10",
    label_bytes: 1,
    classes: 10,
    test_file: "test_batch.bin",
    pickle: "test_batch",
    beside: "batches.meta",
    labels: "labels",
};
const HUNDRED: Variant = Variant {
    name: "cifar100",
    label_bytes: 2,
    classes: 100,
    test_file: "test.bin",
    pickle: "test",
    beside: "meta",
    labels: "fine_labels",
};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: u64 = 3 * 32 * 32;

struct Variant {
    name: &'static str,
    /// Bytes before the pixels; the last of them is the label.
    label_bytes: u64,
    classes: usize,
    /// What the published folder calls its test set.
    test_file: &'static str,
    /// What the published folder of the Python version calls it.
    pickle: &'static str,
    /// And what lies beside it there.
    beside: &'static str,
    /// Key of the labels in the pickle.
    labels: &'static str,
}

impl Variant {
    fn fits(&self, path: &Path) -> bool {
        if path.is_dir() {
            let has = |name: &str| path.join(name).is_file();
            return has(self.test_file) || has(self.pickle) && has(self.beside);
        }
        if path.file_name().is_some_and(|name| name == self.pickle) {
            return cifar_pickle::is_pickle(path);
        }
        let size = path.metadata().map_or(0, |file| file.len());
        path.extension().is_some_and(|ending| ending == "bin")
            && size > 0
            && size.is_multiple_of(self.label_bytes + PIXELS)
    }

    /// The test file if `path` is a folder, with the name for tables.
    fn file(&self, path: &Path) -> Result<(PathBuf, String)> {
        if !path.is_dir() {
            let stem = path.file_stem().unwrap_or_default();
            return Ok((path.into(), stem.to_string_lossy().into()));
        }
        let found = [self.test_file, self.pickle].map(|name| path.join(name));
        if let Some(file) = found.into_iter().find(|file| file.is_file()) {
            return Ok((file, self.name.into()));
        }
        Err(Error::file(
            path,
            self.test_file,
            format!("not in the folder, and neither is {}", self.pickle),
            "name the unpacked folder of the binary or the Python version",
        ))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Dataset>> {
        let (path, name) = self.file(path)?;
        let source = Source::open(&path)?;
        // A record begins with a label, which is below 100.
        if source.len() > 0 && source.read(0, 1)? == [cifar_pickle::FIRST_BYTE] {
            let (pixels, labels) = cifar_pickle::read(&path, self.labels, self.classes)?;
            let sha256 = source::sha256_file(&path)?;
            let source = Source::memory(&path, pixels);
            return Ok(Box::new(self.records(name, sha256, source, 0, labels)));
        }
        let stride = self.label_bytes + PIXELS;
        if source.len() == 0 || !source.len().is_multiple_of(stride) {
            let whole = source.len() / stride;
            return Err(Error::file(
                &path,
                "length",
                format!(
                    "{} bytes found, a multiple of {stride} expected ({whole} whole records and {} \
                     bytes)",
                    source.len(),
                    source.len() % stride
                ),
                "the file is cut short, or of the other CIFAR: get it again",
            ));
        }
        let labels = self.labels(&source, stride)?;
        let sha256 = source::sha256_file(&path)?;
        Ok(Box::new(self.records(name, sha256, source, self.label_bytes, labels)))
    }

    /// Images of `source`, each behind `gap` bytes.
    fn records(
        &self,
        name: String,
        sha256: String,
        source: Source,
        gap: u64,
        labels: Vec<u32>,
    ) -> Records {
        let (len, classes) = (labels.len(), Some(self.classes));
        Records {
            info: DataInfo { name, len, shape: SHAPE, classes, sha256 },
            source,
            first: gap,
            stride: gap + PIXELS,
            element: Element::U8,
            white: 255.0,
            order: Order::Planes,
            labels,
        }
    }

    fn labels(&self, source: &Source, stride: u64) -> Result<Vec<u32>> {
        let mut labels = Vec::new();
        for record in 0..source.len() / stride {
            let mut label = [0];
            source.read_at(record * stride + self.label_bytes - 1, &mut label)?;
            if usize::from(label[0]) >= self.classes {
                return Err(Error::file(
                    source.path(),
                    format!("image {record}"),
                    format!("label {} of a data set with {} classes", label[0], self.classes),
                    "the file is damaged, or of the other CIFAR",
                ));
            }
            labels.push(label[0].into());
        }
        Ok(labels)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record whose pixels count up from its label.
    pub(in crate::data) fn record(label_bytes: &[u8]) -> Vec<u8> {
        let label = usize::from(label_bytes[label_bytes.len() - 1]);
        let pixels = (0..3072).map(|i| ((i + label) % 256) as u8);
        label_bytes.iter().copied().chain(pixels).collect()
    }

    #[test]
    fn both_variants_as_file_and_folder() {
        for (variant, records, labels) in [
            (TEN, [record(&[3]), record(&[9])], [3, 9]),
            (HUNDRED, [record(&[19, 49]), record(&[1, 99])], [49, 99]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(variant.test_file);
            std::fs::write(&file, records.concat()).unwrap();
            for path in [folder.path(), &file] {
                assert!(variant.fits(path));
                let data = variant.open(path).unwrap();
                assert_eq!(data.info().len, 2);
                assert_eq!(data.info().classes, Some(variant.classes));
                let batch = data.read(&[1]).unwrap();
                assert_eq!(batch.labels, labels[1..]);
                assert_eq!(batch.images.dims(), [1, 3, 32, 32]);
                let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(pixels[0], labels[1] as f32 / 255.0);
                assert_eq!(pixels[3071], ((3071 + labels[1]) % 256) as f32 / 255.0);
            }
        }
    }

    #[test]
    fn the_python_versions_read_the_same() {
        for (variant, label, records) in [
            (TEN, 9, [record(&[3]), record(&[9])]),
            (HUNDRED, 99, [record(&[0, 3]), record(&[1, 99])]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let pixels = records.map(|record| record[variant.label_bytes as usize..].to_vec());
            let batch = cifar_pickle::tests::batch(
                variant.labels,
                &[3, label],
                [2, 3072],
                false,
                &pixels.concat(),
            );
            std::fs::write(folder.path().join(variant.pickle), batch).unwrap();
            assert!(!variant.fits(folder.path()));
            std::fs::write(folder.path().join(variant.beside), "").unwrap();
            assert!(variant.fits(folder.path()));
            let data = variant.open(folder.path()).unwrap();
            assert_eq!((data.info().len, data.info().name.as_str()), (2, variant.name));
            let batch = data.read(&[1]).unwrap();
            assert_eq!(batch.labels, [u32::from(label)]);
            let found = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let wanted: Vec<f32> = pixels[1].iter().map(|byte| f32::from(*byte) / 255.0).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn bad_files() {
        let good = record(&[3]);
        for (variant, bytes, problem) in [
            (TEN, &good[..3000], "3000 bytes found, a multiple of 3073 expected"),
            (TEN, &[], "0 bytes found"),
            (HUNDRED, &good, "3073 bytes found, a multiple of 3074 expected"),
            (TEN, &[&good[..], &record(&[10])].concat(), "image 1: label 10 of a data set with 10"),
            (HUNDRED, &record(&[0, 100]), "image 0: label 100 of a data set with 100"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let error = variant.open(file.path()).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
        let folder = tempfile::tempdir().unwrap();
        let error = TEN.open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("test_batch.bin: not in the folder"), "{error}");
    }
}
