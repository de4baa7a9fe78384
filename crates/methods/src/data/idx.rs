//! IDX, the format of MNIST and its successors (LeCun, Cortes and Burges, "The MNIST database of
//! handwritten digits", section on file formats): four magic bytes, big-endian sizes, bytes. Files
//! may be gzipped as published; those are unpacked into memory, plain ones are read on demand.

use std::path::{Path, PathBuf};

use super::array::{self, Array};
use super::element::Element;
use super::source::{self, Source};
use super::{Dataset, Format, label_file};
use crate::error::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "idx",
    usage: "idx:IMAGES[,LABELS]",
    sign: "a file with `idx3` in its name",
    fits: |path| label_file::name(path).contains("idx3") && path.is_file(),
    open,
};

fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let (images, labels) = label_file::split(spec);
    let labels = match labels {
        Some(path) => path,
        None => find_labels(&images)?,
    };
    // What the headers say is looked at before a file is read to its end.
    let pixels = read_header::<3>(&images, "images")?;
    let labels = read_header::<1>(&labels, "labels")?;
    let name = images.with_extension("").file_name().unwrap_or_default().to_string_lossy().into();
    Ok(Box::new(array::pair(name, source::sha256_file(&images)?, pixels, &labels)?))
}

/// `t10k-images-idx3-ubyte.gz` has its labels in `t10k-labels-idx1-ubyte.gz`; either may have been
/// unpacked.
fn find_labels(images: &Path) -> Result<PathBuf> {
    let name = label_file::name(images).replace("images", "labels").replace("idx3", "idx1");
    let other = match name.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => format!("{name}.gz"),
    };
    label_file::beside(images, &[name, other], FORMAT.usage)
}

/// Opens an array of bytes with `DIMENSIONS` dimensions.
fn read_header<const DIMENSIONS: usize>(path: &Path, field: &str) -> Result<Array> {
    let source = Source::open_gzip_or_plain(path)?;
    let header = source.read(0, 4 * (1 + DIMENSIONS))?;
    let mut words = header.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
    // Two zero bytes, the type code of an unsigned byte, the number of dimensions.
    let (magic, expected) = (words.next().unwrap_or_default(), 0x0800 + DIMENSIONS as u32);
    if magic != expected {
        return Err(Error::file(
            path,
            "magic number",
            format!("{magic:#010x} found, {expected:#010x} expected for {field}"),
            "name the images first and the labels second, in IDX files of unsigned bytes",
        ));
    }
    let shape = words.map(|side| side as usize).collect();
    let span = (header.len() as u64, source.len());
    Array::new(source, span, Element::U8, shape, field)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An IDX file of bytes.
    pub(in crate::data) fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|side| file.extend(side.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    }

    #[test]
    fn plain_and_gzipped_files_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let images = idx(&[2, 1, 3], &[0, 51, 102, 153, 204, 255]);
        let plain = write(folder.path(), "t-images-idx3-ubyte", &images);
        let packed = write(folder.path(), "t-images-idx3-ubyte.gz", &gzip(&images));
        // One label file serves both, packed or not.
        write(folder.path(), "t-labels-idx1-ubyte.gz", &gzip(&idx(&[2], &[7, 2])));
        for path in [plain, packed] {
            let data = open(&path).unwrap();
            assert_eq!((data.info().len, data.info().shape), (2, [1, 1, 3]));
            assert_eq!(data.info().sha256, source::sha256(&std::fs::read(&path).unwrap()));
            let batch = data.read(&[1, 0, 1]).unwrap();
            assert_eq!((batch.ids, batch.labels), (vec![1, 0, 1], vec![2, 7, 2]));
            assert_eq!(batch.images.dims(), [3, 1, 1, 3]);
            let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(pixels, [0.6, 0.8, 1.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        }
    }

    #[test]
    fn bad_files() {
        let good = idx(&[2, 1, 3], &[0; 6]);
        let good_labels = idx(&[2], &[0, 1]);
        let packed = gzip(&good);
        let long = [&good[..], &[0]].concat();
        let floats = [&[0, 0, 0x0d, 3], &good[4..]].concat();
        for (images, labels, problem) in [
            (&good[..good.len() - 1], &good_labels[..], "needs 6 bytes, 5 found"),
            (&long, &good_labels, "needs 6 bytes, 7 found"),
            (&good[..9], &good_labels, "at least 16 bytes expected, 9 found"),
            (&[], &good_labels, "at least 16 bytes expected, 0 found"),
            (&packed[..packed.len() - 9], &good_labels, "gzip: cannot be unpacked"),
            (&floats, &good_labels, "magic number: 0x00000d03 found, 0x00000803 expected"),
            (&good_labels, &good_labels, "at least 16 bytes expected, 10 found"),
            (&good, &good, "magic number: 0x00000803 found, 0x00000801 expected"),
            (&good, &good_labels[..9], "needs 2 bytes, 1 found"),
            (&good, &idx(&[3], &[0; 3]), "3 labels for 2 images"),
            (&idx(&[0, 1, 3], &[]), &idx(&[0], &[]), "holds no images"),
            (&idx(&[u32::MAX; 3], &[0; 6]), &good_labels, "more than 2^64 bytes, 6 found"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let images = write(folder.path(), "i", images);
            let labels = write(folder.path(), "l", labels);
            let error = open(&format!("{images},{labels}")).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_missing_label_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        // Where the images are missing, they are what is said to be missing.
        let error = open(&folder.path().join("t-images").to_string_lossy()).err().unwrap();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        let path = write(folder.path(), "t-images.idx3-ubyte", &idx(&[1, 1, 1], &[0]));
        let error = open(&path).err().unwrap();
        let problem = "no `t-labels.idx1-ubyte` or `t-labels.idx1-ubyte.gz` beside it";
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(error.hint().as_deref(), Some("name the label file: idx:IMAGES[,LABELS]"));
    }
}
