//! The files that adversarial images come in, as lists of named arrays. Pickles are read and never run.

use std::path::Path;

use candle_core::{DType, Tensor};

use crate::data::{Array, arrays};
use crate::error::{Error, Result};
use crate::model::checkpoint::Saved;

/// An open file of arrays.
pub(super) enum File<'p> {
    /// NumPy's formats and safetensors; images are read one at a time.
    Arrays(Vec<(String, Result<Array>)>),
    /// A file of `torch.save`; an array is read as a whole.
    Saved(Saved<'p>),
}

/// An array of a file, not yet read.
pub(super) struct Entry {
    /// Its name; empty if the file holds a single one without a name.
    pub(super) name: String,
    /// Extent of each dimension; none if the array cannot be read.
    pub(super) shape: Vec<usize>,
    /// The name of its type in the words of NumPy, or why it cannot be read.
    pub(super) type_name: String,
    /// Pixels may have its type.
    pub(super) is_pixel: bool,
}

/// An array of a file.
pub(super) enum Numbers {
    Array(Array),
    /// Images in [0, 1], row by row.
    Pixels(Vec<f32>),
    Integers(Vec<i64>),
}

impl<'p> File<'p> {
    /// Opens the file `path`, whose ending says what it is.
    ///
    /// # Errors
    /// If it cannot be read or is damaged, its format is not known, or it is a pickle that names anything
    /// beyond tensors and plain data.
    pub(super) fn open(path: &'p Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npz" | "npy" | "safetensors") => arrays(path).map(Self::Arrays),
            Some("pt" | "pth") => Saved::open(path).map(Self::Saved),
            _ => Err(Error::file(
                path,
                "format",
                "its ending is none of .npz, .npy, .safetensors, .pt and .pth",
                "save the images as numpy.savez(path, x_adv=...) or torch.save({\"x_adv\": ...}, path)",
            )),
        }
    }

    /// Its arrays, in the order of the file.
    pub(super) fn entries(&self) -> Vec<Entry> {
        match self {
            Self::Arrays(all) => all.iter().map(|(name, array)| described(name, array)).collect(),
            Self::Saved(saved) => saved
                .list()
                .map(|tensor| Entry {
                    name: tensor.name,
                    shape: tensor
                        .shape
                        .iter()
                        .map(|side| usize::try_from(*side).unwrap_or(usize::MAX))
                        .collect(),
                    type_name: tensor.type_name.into(),
                    is_pixel: tensor.is_pixel,
                })
                .collect(),
        }
    }

    /// Takes array number `index` of [`File::entries`] out of the list.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn read(&mut self, path: &Path, index: usize) -> Result<Numbers> {
        let taken = || Error::file(path, "arrays", "the array was read before", "");
        match self {
            Self::Arrays(all) => {
                let place = all.get_mut(index).ok_or_else(taken)?;
                std::mem::replace(&mut place.1, Err(taken())).map(Numbers::Array)
            }
            Self::Saved(saved) => numbers(&saved.read(index)?),
        }
    }
}

fn described(name: &str, array: &Result<Array>) -> Entry {
    match array {
        Ok(array) => Entry {
            name: name.to_owned(),
            shape: array.shape().to_vec(),
            type_name: array.type_name(),
            is_pixel: array.is_pixel(),
        },
        Err(error) => Entry {
            name: name.to_owned(),
            shape: Vec::new(),
            type_name: error.to_string(),
            is_pixel: false,
        },
    }
}

fn numbers(tensor: &Tensor) -> Result<Numbers> {
    let flat = tensor.flatten_all()?;
    Ok(match flat.dtype() {
        DType::U8 => Numbers::Pixels(
            flat.to_vec1::<u8>()?.into_iter().map(|b| f32::from(b) / 255.0).collect(),
        ),
        DType::F32 => Numbers::Pixels(flat.to_vec1()?),
        _ => Numbers::Integers(flat.to_dtype(DType::I64)?.to_vec1()?),
    })
}

impl Numbers {
    /// Image number `index`, of `out.len()` numbers in the order of the file. Values outside [0, 1] and
    /// NaN are handed out as they are.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let first = index * out.len();
        match self {
            Self::Array(array) => array.image(index, out)?,
            Self::Pixels(pixels) => match pixels.get(first..first + out.len()) {
                Some(image) => out.copy_from_slice(image),
                None => out.fill(f32::NAN),
            },
            Self::Integers(_) => out.fill(f32::NAN),
        }
        Ok(())
    }

    /// The array as integers; `None` if it is not one of integers.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn integers(&self) -> Result<Option<Vec<i128>>> {
        Ok(match self {
            Self::Array(array) if array.type_name().contains("int") => match array.shape() {
                [_] => Some(array.numbers()?),
                _ => Some(array.labels()?.into_iter().map(i128::from).collect()),
            },
            Self::Array(_) => None,
            // Bytes were scaled as pixels are.
            Self::Pixels(pixels) => {
                let byte = |value: &f32| i128::from((value * 255.0).round() as u8);
                Some(pixels.iter().map(byte).collect())
            }
            Self::Integers(numbers) => Some(numbers.iter().map(|n| i128::from(*n)).collect()),
        })
    }
}
