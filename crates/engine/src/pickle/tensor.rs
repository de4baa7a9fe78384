//! From a view as a checkpoint describes it (storage, offset, shape, strides) to a tensor. Every
//! number in that description comes from the file and is checked against the storage before it is
//! used; only then are the elements gathered in row-major order.

use std::borrow::Cow;
use std::rc::Rc;

use candle_core::Tensor;

use super::dtype::DType;
use super::value::{Heap, Object, Value};

/// A block of numbers that a pickle refers to.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Name of the block in its file.
    pub(crate) key: Rc<str>,
    /// Format of the numbers.
    pub(crate) dtype: DType,
    /// How many numbers the block holds, by the pickle's account.
    pub(crate) numel: u64,
}

impl Storage {
    /// The longest key, in bytes; PyTorch writes numbers.
    const KEY: usize = 256;

    /// The storage that a persistent reference names: the tuple ("storage", class, key, device,
    /// number of elements), in old files followed by None.
    pub(crate) fn from_reference(heap: &Heap, reference: Value) -> Result<Self, String> {
        use super::global::Global;
        let (tag, class, key, numel, rest) = match heap.tuple(reference) {
            Some([tag, class, key, _device, numel, rest @ ..]) => {
                (*tag, *class, *key, *numel, rest)
            }
            _ => return Err("refers to something outside that is no storage".into()),
        };
        if heap.text(tag).is_none_or(|tag| &**tag != "storage") {
            return Err("refers to something outside that is no storage".into());
        }
        if rest.iter().any(|value| *value != Value::None) {
            return Err("holds a view of a storage as PyTorch wrote it before version 0.4".into());
        }
        let key = heap.text(key).filter(|key| key.len() <= Self::KEY);
        match (class, key, numel) {
            (Value::Global(Global::Storage(dtype)), Some(key), Value::Int(numel)) => {
                let numel = u64::try_from(numel).map_err(|_| "holds a storage of negative size")?;
                Ok(Self { key: Rc::clone(key), dtype, numel })
            }
            _ => Err("refers to a storage of unknown kind".into()),
        }
    }

    /// Bytes of the block; `None` if no file could hold it.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.numel.checked_mul(self.dtype.width())
    }
}

/// A tensor as the file describes it: some numbers of a storage. Not yet checked.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) storage: Storage,
    /// Position of the first element in the storage, in elements.
    pub(crate) offset: u64,
    /// Extent of each dimension.
    pub(crate) shape: Vec<u64>,
    /// Elements of the storage between neighbours, for each dimension; 0 repeats an element.
    pub(crate) stride: Vec<u64>,
}

impl View {
    /// The most dimensions that PyTorch itself supports.
    const RANK: usize = 64;
    /// The most elements of one tensor.
    const ELEMENTS: u64 = 1 << 31;

    /// The view that the arguments of a rebuild call describe: storage, offset, shape, strides;
    /// gradient flags and hooks after them do not matter here.
    pub(crate) fn from_arguments(heap: &Heap, arguments: &[Value]) -> Result<Self, String> {
        let [storage, offset, shape, stride, ..] = arguments else {
            return Err("a tensor without offset, shape or strides".into());
        };
        let Some(Object::Storage(storage)) = heap.get(*storage) else {
            return Err(format!("a tensor made from {}", heap.kind(*storage)));
        };
        let number = |value: &Value| match value {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let numbers = |value: &Value| -> Option<Vec<u64>> {
            let items = heap.tuple(*value).filter(|items| items.len() <= Self::RANK)?;
            items.iter().map(number).collect()
        };
        match (number(offset), numbers(shape), numbers(stride)) {
            (Some(offset), Some(shape), Some(stride)) if shape.len() == stride.len() => {
                Ok(Self { storage: storage.clone(), offset, shape, stride })
            }
            _ => Err("a tensor whose offset, shape or strides are not what they must be".into()),
        }
    }

    /// The view of all of `storage` in row-major order, for formats without strides.
    pub(crate) fn whole(storage: Storage, shape: Vec<u64>) -> Self {
        let mut stride = vec![1_u64; shape.len()];
        for axis in (1..shape.len()).rev() {
            stride[axis - 1] = stride[axis].saturating_mul(shape[axis]);
        }
        Self { storage, offset: 0, shape, stride }
    }

    /// Number of elements, if that is a number of elements a tensor can have.
    pub(crate) fn elements(&self) -> Result<u64, String> {
        // An extent of 0 makes the tensor empty, but the other extents still have to be sane: the
        // tensor library multiplies them.
        let mut extents = self.shape.iter().filter(|extent| **extent > 0);
        let product = extents.try_fold(1_u64, |n, extent| n.checked_mul(*extent));
        match product {
            Some(n) if n <= Self::ELEMENTS => Ok(if self.shape.contains(&0) { 0 } else { n }),
            _ => Err(format!("shape {:?} has too many elements", self.shape)),
        }
    }

    /// The tensor, from the bytes of its storage.
    pub(crate) fn build(&self, storage: &[u8]) -> Result<Tensor, String> {
        let bytes = self.gather(storage)?;
        // The bounds check below has shown that every extent fits.
        let shape: Vec<usize> = self
            .shape
            .iter()
            .map(|extent| usize::try_from(*extent).unwrap_or(usize::MAX))
            .collect();
        self.storage.dtype.decode(&bytes, &shape).map_err(|error| error.to_string())
    }

    /// The bytes of the elements in row-major order.
    fn gather<'b>(&self, storage: &'b [u8]) -> Result<Cow<'b, [u8]>, String> {
        let elements = self.elements()?;
        if elements == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let width = self.storage.dtype.width();
        let held = self.storage.numel.min(storage.len() as u64 / width);
        let axes = || self.shape.iter().zip(&self.stride);
        let last = axes()
            .try_fold(self.offset, |at, (extent, stride)| {
                at.checked_add(stride.checked_mul(extent - 1)?)
            })
            .filter(|last| *last < held);
        let Some(last) = last else {
            return Err(format!(
                "extends past the end of its storage: offset {}, shape {:?}, strides {:?} in {held} \
                 elements",
                self.offset, self.shape, self.stride
            ));
        };
        // All positions are at most `last`, which lies inside a slice, so they fit a usize.
        let width = width as usize;
        let start = self.offset as usize;
        let contiguous = {
            let mut expected = 1;
            axes().rev().all(|(extent, stride)| {
                let fits = *extent == 1 || *stride == expected;
                expected *= extent;
                fits
            })
        };
        if contiguous {
            return Ok(Cow::Borrowed(&storage[start * width..(last as usize + 1) * width]));
        }
        let axes: Vec<(usize, usize)> = axes()
            .filter(|(extent, _)| **extent > 1)
            .map(|(extent, stride)| (*extent as usize, *stride as usize))
            .collect();
        let mut bytes = Vec::with_capacity(elements as usize * width);
        let mut index = vec![0; axes.len()];
        let mut at = start;
        for _ in 0..elements {
            bytes.extend_from_slice(&storage[at * width..(at + 1) * width]);
            for (i, (extent, stride)) in index.iter_mut().zip(&axes).rev() {
                *i += 1;
                at += stride;
                if *i < *extent {
                    break;
                }
                at -= stride * *extent;
                *i = 0;
            }
        }
        Ok(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: u64, shape: &[u64], stride: &[u64]) -> View {
        let storage = Storage { key: "0".into(), dtype: DType::U8, numel: 12 };
        View { storage, offset, shape: shape.to_vec(), stride: stride.to_vec() }
    }

    /// The bytes 0..12 seen through the view.
    fn seen(offset: u64, shape: &[u64], stride: &[u64]) -> Result<Vec<u8>, String> {
        let bytes: Vec<u8> = (0..12).collect();
        view(offset, shape, stride).gather(&bytes).map(Cow::into_owned)
    }

    #[test]
    fn views_gather_in_row_major_order() {
        assert_eq!(seen(0, &[12], &[1]).unwrap(), (0..12).collect::<Vec<u8>>());
        assert_eq!(seen(2, &[2, 3], &[3, 1]).unwrap(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(seen(0, &[2, 3], &[1, 2]).unwrap(), [0, 2, 4, 1, 3, 5], "transposed");
        assert_eq!(seen(1, &[3], &[4]).unwrap(), [1, 5, 9], "strided");
        assert_eq!(seen(5, &[2, 2], &[0, 1]).unwrap(), [5, 6, 5, 6], "expanded");
        assert_eq!(seen(11, &[], &[]).unwrap(), [11], "scalar");
        assert_eq!(seen(11, &[1, 1], &[700, 900]).unwrap(), [11], "strides of extent 1 are free");
        assert_eq!(seen(99, &[0, 3], &[3, 1]).unwrap(), [0_u8; 0], "empty");
        let wide = seen(0, &[2, 2, 3], &[6, 1, 2]).unwrap();
        assert_eq!(wide, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11], "channels last");
    }

    #[test]
    fn views_outside_the_storage_are_refused() {
        for (offset, shape, stride) in [
            (1, &[12_u64][..], &[1_u64][..]),
            (12, &[], &[]),
            (0, &[2, 2], &[11, 1]),
            (0, &[3], &[u64::MAX / 2 + 1]),
            (u64::MAX, &[2], &[1]),
            (0, &[1 << 32], &[0]),
            (0, &[1 << 40, 1 << 40], &[0, 0]),
            (0, &[0, u64::MAX, 4], &[0, 0, 0]),
        ] {
            assert!(seen(offset, shape, stride).is_err(), "{offset} {shape:?} {stride:?}");
        }
    }

    #[test]
    fn a_storage_shorter_than_it_claims_bounds_the_view() {
        let short = view(0, &[12], &[1]).gather(&[0; 11]).unwrap_err();
        assert!(short.contains("past the end"), "{short}");
    }
}
