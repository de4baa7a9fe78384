//! Images and labels from files. A data set is opened once, checked as far as its header allows,
//! and then read by index in batches: nothing assumes that it fits in memory. One file per format;
//! [`open`] and the list `FORMATS` below bring them together.
//!
//! A new format is one new file with a `Format`, and one line in that list.

mod ahead;
mod array;
mod arrays;
mod catalogue;
mod cifar;
pub mod cifar_c;
mod cifar_pickle;
mod classes;
mod digits;
mod element;
mod folder;
mod idx;
mod imagenet;
mod jpeg;
mod label_file;
mod npy;
mod npz;
mod parquet;
mod picture;
mod preprocess;
mod records;
mod resize;
mod safetensors;
mod source;
mod subset;
mod svhn;
#[cfg(test)]
mod tests;

use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::hub::{self, Kind, Reference};
use crate::model::ModelInfo;
use crate::ops::with_slice;
use crate::rows::Rows;

pub use ahead::ahead;
pub use array::Array;
pub use arrays::arrays;
pub use catalogue::{CATALOGUE, Known};
pub(crate) use picture::grey_image;
pub use subset::{Selection, Subset};

/// One way to store images and labels, as [`open`] needs to know it.
struct Format {
    /// What stands before the colon of a specification.
    name: &'static str,
    /// The whole specification, for help and errors.
    usage: &'static str,
    /// How a path without a prefix is recognised, in words.
    sign: &'static str,
    /// The same as a test.
    fits: fn(&Path) -> bool,
    /// Opens what stands after the colon.
    open: fn(&str) -> Result<Box<dyn Dataset>>,
}

/// In the order in which an unnamed path is tried.
const FORMATS: &[Format] = &[
    digits::FORMAT,
    idx::FORMAT,
    cifar::CIFAR10,
    cifar::CIFAR100,
    npy::FORMAT,
    npz::FORMAT,
    safetensors::FORMAT,
    folder::FORMAT,
    imagenet::FORMAT,
    cifar_c::FORMAT,
    svhn::FORMAT,
    parquet::FORMAT,
];

/// The forms a data specification can take, for help texts: `digits[:test|train|all]`,
/// `idx:IMAGES[,LABELS]`, ...
pub fn usages() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|format| format.usage)
}

/// Whether `name` is that of a format.
pub fn is_format(name: &str) -> bool {
    FORMATS.iter().any(|format| format.name == name)
}

/// Opens the data set that `spec` names: `FORMAT:PATH`, or a path whose format its name shows.
/// [`usages`] lists the formats. Where labels lie in a file of their own, it is the one that the
/// usual naming gives, unless it follows after a comma. Each path may be a file of the Hugging Face
/// Hub, `hf:OWNER/NAME[@REVISION]/FILE[#SHA256]`, which is fetched first.
///
/// # Errors
/// If the format is unknown or cannot be guessed, a file is missing, or a header does not fit its
/// file. Pixels are checked when they are read.
///
/// ```
/// use epsball_engine::model::file::{Declared, load};
/// use epsball_engine::model::{Classifier, predictions};
/// use epsball_methods::data;
/// # std::env::set_current_dir("../..")?;
///
/// let model = load("benchmarks/models/digits-trades.safetensors".as_ref(), &Declared::default())?.0;
/// let images = data::open("digits:test")?;
/// assert_eq!(images.info().shape, model.info().input_shape);
///
/// let mut correct = 0;
/// for batch in data::batches(images.as_ref(), 100) {
///     let batch = batch?;
///     let predicted = predictions(&model.logits(&batch.rows()?)?)?;
///     correct += predicted.iter().zip(&batch.labels).filter(|(p, label)| p == label).count();
/// }
/// assert!(correct > images.info().len * 9 / 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let (head, rest) = spec.split_once(':').unwrap_or((spec, ""));
    if let Some(format) = FORMATS.iter().find(|format| format.name == head) {
        if rest.is_empty() && format.name != digits::FORMAT.name {
            return Err(Error::setting(
                "data",
                format!("`{spec}` has no path"),
                format!("write {}", format.usage),
            ));
        }
        return (format.open)(&fetched(rest)?);
    }
    let spec = &fetched(spec)?;
    let (path, _) = label_file::split(spec);
    if !path.exists() {
        // A word alone or before a colon was meant as a name; one letter is a Windows drive.
        if head.len() != 1 && !head.contains(['/', '\\', '.']) {
            return Err(Error::unknown("data set", head, FORMATS.iter().map(|f| f.name)));
        }
        return Err(Error::io("read", &path)(std::io::ErrorKind::NotFound.into()));
    }
    match FORMATS.iter().find(|format| (format.fits)(&path)) {
        Some(format) => (format.open)(spec),
        None => {
            let tried: Vec<_> =
                FORMATS.iter().map(|f| format!("{} ({})", f.name, f.sign)).collect();
            Err(Error::file(
                &path,
                "format",
                format!("not recognised; tried {}", tried.join(", ")),
                "name the format before the path, as in `idx:PATH`",
            ))
        }
    }
}

/// A short name for what `spec` names, fit for a folder: `digits`, `cifar10`, the file or folder without
/// its path and ending.
pub fn stem(spec: &str) -> String {
    let path = match spec.split_once(':') {
        Some((name, _)) if name == digits::FORMAT.name => name,
        Some((name, rest)) if FORMATS.iter().any(|format| format.name == name) => rest,
        _ => spec,
    };
    let path = path.split([',', '#']).next().unwrap_or("").trim_end_matches(['/', '\\']);
    let file = path.rsplit(['/', '\\', ':']).next().unwrap_or("");
    let file = file.split('@').next().unwrap_or("").trim_end_matches(".gz");
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).trim_start_matches('.');
    let safe = |c: char| if c.is_alphanumeric() || "-_+.".contains(c) { c } else { '_' };
    let stem = if stem.is_empty() { "data" } else { stem };
    stem.chars().map(safe).collect()
}

/// The paths of a specification; where one is a reference to the Hub, that of the file in the cache.
fn fetched(list: &str) -> Result<String> {
    let paths = list.split(',').map(|part| match Reference::parse(part, Kind::Dataset)? {
        Some(reference) => {
            let path = hub::fetch(&catalogue::pinned(reference, CATALOGUE))?;
            Ok(path.to_string_lossy().into_owned())
        }
        None => Ok(part.to_owned()),
    });
    Ok(paths.collect::<Result<Vec<_>>>()?.join(","))
}

/// The whole of `dataset` in its own order, `size` images at a time (the last batch may be smaller;
/// 0 counts as 1).
pub fn batches(dataset: &dyn Dataset, size: usize) -> impl Iterator<Item = Result<Batch>> + '_ {
    let (len, size) = (dataset.info().len, size.max(1));
    (0..len).step_by(size).map(move |start| {
        let end = start.saturating_add(size).min(len);
        dataset.read(&(start..end).collect::<Vec<_>>())
    })
}

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
    /// Refuses labels that are no class of the network.
    ///
    /// # Errors
    /// If there is one.
    pub fn check_labels(&self, info: &ModelInfo) -> Result<()> {
        match self.labels.iter().position(|label| *label as usize >= info.classes) {
            None => Ok(()),
            Some(i) => Err(Error::setting(
                format!("label of image {}", self.ids[i]),
                format!("is {}, {} has {} classes", self.labels[i], info.name, info.classes),
                "choose the data set the network was trained for",
            )),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The images as rows in the computer's memory, as networks take them.
    ///
    /// # Errors
    /// If they are not f32 on the CPU.
    pub fn rows(&self) -> Result<Rows> {
        Rows::of_tensor(&self.images)
    }

    /// Identity of each image: [`image_digest`] of its label and its pixels. Where it lies, in which
    /// file and under which index, is not part of it.
    ///
    /// # Errors
    /// If the images are not f32 on the CPU.
    pub fn digests(&self) -> Result<Vec<String>> {
        let [n, shape @ ..] = *<&[usize; 4]>::try_from(self.images.dims()).map_err(|_| {
            Error::setting("images", "are not [N, C, H, W]", "report this as a bug")
        })?;
        let length = shape.iter().product::<usize>().max(1);
        with_slice::<f32, _>(&self.images, |pixels| {
            let images: Vec<&[f32]> = pixels.chunks_exact(length).take(n).collect();
            Ok(images
                .par_iter()
                .zip(&self.labels)
                .map(|(image, label)| image_digest(*label, shape, image))
                .collect())
        })
    }
}

/// What an image is: the first 16 hex digits of the SHA-256 of its label, its shape `[C, H, W]` and its
/// pixels, `f32` in [0, 1]. Of a million images two share one by chance about once
/// in 40 million data sets.
pub fn image_digest(label: u32, shape: [usize; 3], pixels: &[f32]) -> String {
    let mut bytes = Vec::with_capacity(4 * pixels.len() + 28);
    bytes.extend(label.to_le_bytes());
    bytes.extend(shape.iter().flat_map(|side| (*side as u64).to_le_bytes()));
    bytes.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
    let mut digest = sha256(&bytes);
    digest.truncate(16);
    digest
}

/// Checksum of an adversarial image among those of a run: its index, whether it was found, and the
/// [`image_digest`] of its pixels with its label.
pub fn image_check(idx: u64, found: u8, digest: &str) -> u64 {
    let hash = sha256(format!("{idx} {found} {digest}").as_bytes());
    u64::from_str_radix(&hash[..16], 16).unwrap_or(0)
}

/// What a data set is: the SHA-256 of the list of its images.
pub fn list_digest(images: &[String]) -> String {
    sha256(images.join("\n").as_bytes())
}

/// A readable data set.
pub trait Dataset: Send + Sync {
    /// Size, shape and identity.
    fn info(&self) -> &DataInfo;

    /// The id of the image at `index`, without reading it.
    fn id(&self, index: usize) -> u64 {
        index as u64
    }

    /// The images at `indices` (each below `info().len`, any order), f32 NCHW in [0, 1] on the CPU.
    ///
    /// # Errors
    /// If a file cannot be read or decoded, or holds values outside [0, 1].
    fn read(&self, indices: &[usize]) -> Result<Batch>;
}

impl DataInfo {
    /// Numbers in one image, C * H * W.
    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Refuses an index that no image has.
    fn check(&self, indices: &[usize]) -> Result<()> {
        match indices.iter().find(|&&index| index >= self.len) {
            None => Ok(()),
            Some(index) => Err(Error::setting(
                "index",
                format!("image {index} of {}, which has {}", self.name, self.len),
                format!("indices run from 0 to {}", self.len.saturating_sub(1)),
            )),
        }
    }

    /// The batch of `pixels` (NCHW, one image per index) whose true classes `label` knows.
    fn batch(
        &self,
        indices: &[usize],
        pixels: Vec<f32>,
        label: impl Fn(usize) -> u32,
    ) -> Result<Batch> {
        let [channels, height, width] = self.shape;
        let shape = (indices.len(), channels, height, width);
        Ok(Batch {
            ids: indices.iter().map(|&index| index as u64).collect(),
            images: Tensor::from_vec(pixels, shape, &Device::Cpu)?,
            labels: indices.iter().map(|&index| label(index)).collect(),
        })
    }
}
