//! An n-dimensional array inside a file, and the step from an array of images and one of labels to a
//! data set: the common half of IDX, npy, npz and safetensors.

use super::DataInfo;
use super::element::Element;
use super::records::{Order, Records};
use super::source::Source;
use crate::error::{Error, Result};

/// A row-major array that begins at `offset` of `source` and lies inside it.
#[derive(Debug)]
pub struct Array {
    source: Source,
    offset: u64,
    element: Element,
    shape: Vec<usize>,
    /// What errors call it: the name in its container, or `images`, `labels`.
    field: String,
}

impl Array {
    /// The array of this type and shape that the bytes from `offset` to `end` of `source` hold.
    ///
    /// # Errors
    /// If it needs more or fewer bytes than that.
    pub(super) fn new(
        source: Source,
        (offset, end): (u64, u64),
        element: Element,
        shape: Vec<usize>,
        field: impl Into<String>,
    ) -> Result<Self> {
        let field = field.into();
        let found = end.min(source.len()).checked_sub(offset);
        // In u64 and checked: a header can claim any shape, and nothing is allocated for it.
        let expected = shape
            .iter()
            .try_fold(element.size() as u64, |n, &side| n.checked_mul(u64::try_from(side).ok()?));
        if expected.is_none() || expected != found {
            let expected = expected.map_or("more than 2^64".to_owned(), |n| n.to_string());
            return Err(Error::file(
                source.path(),
                field,
                format!(
                    "{element} of shape {shape:?} needs {expected} bytes, {} found",
                    found.unwrap_or(0)
                ),
                "the file is cut short or damaged: get it again",
            ));
        }
        Ok(Self { source, offset, element, shape, field })
    }

    fn error(&self, problem: impl Into<String>, remedy: &str) -> Error {
        Error::file(self.source.path(), &self.field, problem, remedy)
    }

    /// Extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether pixels may have its type: bytes, which mean 0 to 255, or floats.
    pub fn is_pixel(&self) -> bool {
        self.element.is_pixel()
    }

    /// NumPy's name of its type.
    pub fn type_name(&self) -> String {
        self.element.to_string()
    }

    /// Image number `index` of an array of images of `out.len()` numbers each, in the order of the file
    /// and as they are: values outside [0, 1] and NaN too. Bytes are divided by 255.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let size = out.len() * self.element.size();
        let bytes = self.source.read(self.offset + (index * size) as u64, size)?;
        self.element.pixels(&bytes, 255.0, out);
        Ok(())
    }

    /// The array `[N]` as integers.
    ///
    /// # Errors
    /// If it has another shape or holds no integers.
    pub fn numbers(&self) -> Result<Vec<i128>> {
        let [len] = *self.shape.as_slice() else {
            let problem = format!("it has shape {:?}, not [N]", self.shape);
            return Err(self.error(problem, "the file is damaged: get it again"));
        };
        let bytes = self.source.read(self.offset, len * self.element.size())?;
        self.element.integers(&bytes).ok_or_else(|| {
            let problem = format!("it holds {}, not integers", self.element);
            self.error(problem, "the file is damaged: get it again")
        })
    }

    /// The array as class numbers.
    ///
    /// # Errors
    /// If it is not `[N]` or `[N, 1]`, or holds anything but integers of at least 0.
    pub fn labels(&self) -> Result<Vec<u32>> {
        let ([len] | [len, 1]) = *self.shape.as_slice() else {
            let problem = format!("labels have shape {:?}, not [N]", self.shape);
            return Err(self.error(problem, "store one class number per image"));
        };
        // In parts: as integers of any type they take far more memory than in the file.
        const PART: usize = 1 << 16;
        let mut classes = Vec::new();
        for first in (0..len).step_by(PART) {
            let size = self.element.size();
            let bytes = self
                .source
                .read(self.offset + (first * size) as u64, PART.min(len - first) * size)?;
            let numbers = self.element.integers(&bytes).ok_or_else(|| {
                let problem = format!("labels are {}, not integers", self.element);
                self.error(problem, "store class numbers, as in `labels.astype('int64')`")
            })?;
            for (index, number) in (first..).zip(numbers) {
                classes.push(u32::try_from(number).map_err(|_| {
                    let problem = format!("label {number} of image {index} is not a class number");
                    self.error(problem, "number the classes from 0; leave unlabelled images out")
                })?);
            }
        }
        Ok(classes)
    }
}

/// `[C, H, W]` and whether the channels come last, for an array of images of this shape.
///
/// `[N, H, W]` is grey. `[N, A, B, C]` is channels-first unless only C can be a number of channels,
/// 1 or 3.
fn layout(shape: &[usize]) -> Option<([usize; 3], bool)> {
    match *shape {
        [_, h, w] => Some(([1, h, w], false)),
        [_, h, w, c @ (1 | 3)] if h != 1 && h != 3 => Some(([c, h, w], true)),
        [_, c, h, w] => Some(([c, h, w], false)),
        _ => None,
    }
}

/// The data set of `images`, bytes or floats of shape `[N, H, W]`, `[N, C, H, W]` or `[N, H, W, C]`,
/// and `labels`, integers of shape `[N]`.
///
/// # Errors
/// If types or shapes are not these, there are no images, the counts differ or a label is negative.
pub(super) fn pair(name: String, sha256: String, images: Array, labels: &Array) -> Result<Records> {
    let (field, shape) = (images.field.clone(), images.shape.clone());
    let records = pair_quietly(name, sha256, images, labels)?;
    if records.order == Order::ChannelsLast {
        let path = records.source.path().display();
        tracing::warn!("{path}: {field}: shape {shape:?} is read as [N, H, W, C]");
    }
    Ok(records)
}

/// [`pair`] for a format that always stores the channels last.
pub(super) fn pair_quietly(
    name: String,
    sha256: String,
    images: Array,
    labels: &Array,
) -> Result<Records> {
    let element = images.element;
    if !element.is_pixel() {
        return Err(images.error(
            format!("images are {element}"),
            "store uint8 (0 to 255) or float32 (0.0 to 1.0)",
        ));
    }
    let Some((shape, channels_last)) = layout(&images.shape) else {
        return Err(images.error(
            format!("images have shape {:?}", images.shape),
            "store [N, C, H, W], or [N, H, W] for grey images",
        ));
    };
    if images.shape.contains(&0) {
        let problem = format!("shape {:?} holds no images", images.shape);
        return Err(images.error(problem, "check the export: a data set has at least one image"));
    }
    let len = images.shape[0];
    // Before the labels take memory.
    if let [labels_len] | [labels_len, 1] = *labels.shape.as_slice()
        && labels_len != len
    {
        return Err(labels.error(
            format!("{labels_len} labels for {len} images"),
            "take images and labels from the same export",
        ));
    }
    let labels_list = labels.labels()?;
    Ok(Records {
        info: DataInfo { name, len, shape, classes: None, sha256 },
        stride: (shape.iter().product::<usize>() * element.size()) as u64,
        source: images.source,
        first: images.offset,
        element,
        white: 255.0,
        order: if channels_last { Order::ChannelsLast } else { Order::Planes },
        labels: labels_list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        assert_eq!(layout(&[9, 28, 28]), Some(([1, 28, 28], false)));
        assert_eq!(layout(&[9, 3, 32, 32]), Some(([3, 32, 32], false)));
        assert_eq!(layout(&[9, 32, 32, 3]), Some(([3, 32, 32], true)));
        assert_eq!(layout(&[9, 28, 28, 1]), Some(([1, 28, 28], true)));
        assert_eq!(layout(&[9, 3, 5, 3]), Some(([3, 5, 3], false)));
        assert_eq!(layout(&[9, 1, 5, 1]), Some(([1, 5, 1], false)));
        assert_eq!(layout(&[9, 2, 5, 4]), Some(([2, 5, 4], false)));
        assert_eq!(layout(&[9, 64]), None);
        assert_eq!(layout(&[]), None);
    }

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let source = Source::memory("x".as_ref(), vec![0; 8]);
        let shape = vec![usize::MAX, usize::MAX, 2];
        let error = Array::new(source, (0, 8), Element::F32, shape, "images").unwrap_err();
        assert!(error.to_string().contains("more than 2^64 bytes, 8 found"), "{error}");
    }

    #[test]
    fn labels_have_to_be_class_numbers() {
        let labels = |element: Element, shape: &[usize], bytes: &[u8]| {
            let source = Source::memory("y.npy".as_ref(), bytes.to_vec());
            let all = (0, bytes.len() as u64);
            Array::new(source, all, element, shape.to_vec(), "labels").unwrap().labels()
        };
        assert_eq!(labels(Element::I8, &[2, 1], &[0, 7]).unwrap(), [0, 7]);
        for (element, shape, bytes, problem) in [
            (Element::I8, &[2][..], &[0, 0xff][..], "label -1 of image 1"),
            (Element::U64, &[1], &[255; 8], "label 18446744073709551615 of image 0"),
            (Element::F32, &[1], &[0; 4], "labels are float32"),
            (Element::U8, &[2, 2], &[0; 4], "labels have shape [2, 2]"),
        ] {
            let error = labels(element, shape, bytes).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
