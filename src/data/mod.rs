//! Images and labels from files. A data set is opened once, checked as far as its header allows,
//! and then read by index in batches: nothing assumes that it fits in memory. One file per format;
//! [`open`] is the list of them.

use candle_core::Tensor;

use crate::error::Result;

/// What is known about a data set before an image is read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataInfo {
    /// Short name for tables: `digits`, or the file stem.
    pub name: String,
    /// Number of images.
    pub len: usize,
    /// Shape of one image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// Number of classes the format or catalogue declares, where it does.
    pub classes: Option<usize>,
    /// Lower-case hex SHA-256 of the image file (for a folder: of the sorted list of names).
    pub sha256: String,
}

/// Images with labels and the names they keep for life.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Index of each image in its data set: the key of its randomness and of its result row.
    pub ids: Vec<u64>,
    /// `[N, C, H, W]`, f32 in [0, 1].
    pub images: Tensor,
    /// True classes, `N` of them.
    pub labels: Vec<u32>,
}

impl Batch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A readable data set.
pub trait Dataset: Send + Sync {
    /// Size, shape and identity.
    fn info(&self) -> &DataInfo;

    /// The images at `indices` (each below `info().len`, any order), f32 NCHW in [0, 1] on the CPU.
    ///
    /// # Errors
    /// If a file cannot be read or decoded, or holds values outside [0, 1].
    fn read(&self, indices: &[usize]) -> Result<Batch>;
}
