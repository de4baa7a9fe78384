//! The bundled data set: 1,797 real images of handwritten digits, 8 x 8, from the UCI optical digits
//! (E. Alpaydin and C. Kaynak, 1998, doi 10.24432/C50P49, CC BY 4.0). It is compiled into the
//! binary; datasets/digits/README.md tells where it comes from.

use super::source::{self, Source};
use super::{Dataset, Format, Selection, Subset, array, npy};
use crate::error::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "digits",
    usage: "digits[:test|train|all]",
    sign: "by its name only",
    fits: |_| false,
    open,
};

const IMAGES: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/digits/images.npy"));
const LABELS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/digits/labels.npy"));

/// The last 360 of the 1,797 images are the test split.
const FIRST_TEST: usize = 1437;

/// Pixels count the black points of a 4 x 4 block, so 16 is full.
const WHITE: f32 = 16.0;

/// Opens a split, `test` if none is named. Images keep their index in the whole as their id.
fn open(split: &str) -> Result<Box<dyn Dataset>> {
    let array = |bytes: &'static [u8], file: &str| {
        let source = Source::memory(file.as_ref(), bytes);
        let end = source.len();
        npy::read_header(source, (0, end), "array")
    };
    let (images, labels) =
        (array(IMAGES, "digits/images.npy")?, array(LABELS, "digits/labels.npy")?);
    let mut all = array::pair(FORMAT.name.into(), source::sha256(IMAGES), images, &labels)?;
    all.white = WHITE;
    all.info.classes = Some(10);
    let len = all.info.len;
    let (name, indices) = match split {
        "" | "test" => ("digits", FIRST_TEST..len),
        "train" => ("digits-train", 0..FIRST_TEST),
        "all" => ("digits-all", 0..len),
        _ => return Err(Error::unknown("split of digits", split, ["test", "train", "all"])),
    };
    all.info.name = name.into();
    Ok(Box::new(Subset::new(Box::new(all), &Selection::Indices(indices.collect()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes stand in datasets/digits/README.md too.
    #[test]
    fn the_files_are_the_exported_ones() {
        let readme = include_str!("../../../../datasets/digits/README.md");
        for (file, sha256) in [
            (IMAGES, "88e52eb3e11cb9cc0130dc8fc4b6256aa919b3275fec17e6c2f880e1ae8d34ae"),
            (LABELS, "03ec0343bca84958ae3df825f252a3680415fa07fccb1ed1125ed521c13169e5"),
        ] {
            assert_eq!(source::sha256(file), sha256);
            assert!(readme.contains(sha256));
        }
    }

    /// Class sizes as the UCI page lists them for its test set; first labels and the first image as
    /// `sklearn.datasets.load_digits` returns them.
    #[test]
    fn contents_are_those_of_the_source() {
        let all = open("all").unwrap();
        assert_eq!((all.info().len, all.info().shape), (1797, [1, 8, 8]));
        assert_eq!(all.info().classes, Some(10));
        let batch = all.read(&(0..1797).collect::<Vec<_>>()).unwrap();
        assert_eq!(batch.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let mut sizes = [0; 10];
        batch.labels.iter().for_each(|&label| sizes[label as usize] += 1);
        assert_eq!(sizes, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(pixels[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0].map(|v| v / 16.0));
        assert_eq!(pixels.iter().copied().fold(0.0, f32::max), 1.0);
    }

    #[test]
    fn the_splits_part_the_whole_and_keep_its_ids() {
        let (test, train) = (open("").unwrap(), open("train").unwrap());
        assert_eq!((test.info().len, train.info().len), (360, 1437));
        assert_eq!(
            (test.info().name.as_str(), train.info().name.as_str()),
            ("digits", "digits-train")
        );
        assert_eq!(test.read(&[0, 359]).unwrap().ids, [1437, 1796]);
        assert_eq!(train.read(&[0, 1436]).unwrap().ids, [0, 1436]);
        let error = open("validation").err().unwrap();
        assert_eq!(error.to_string(), "unknown split of digits `validation`");
    }
}
