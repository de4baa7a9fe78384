//! Masks: patches of any form, drawn as an image. A threat model is copied wherever it is needed, so a mask is kept
//! once, for as long as the program runs, and what is copied is a reference to it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::data::grey_image;
use crate::digest::sha256;
use crate::error::{Error, Result};

/// The pixels of a window that a patch may change.
#[derive(Clone, Copy)]
pub struct Mask(&'static Pixels);

#[derive(Debug, PartialEq, Eq)]
struct Pixels {
    size: [usize; 2],
    /// Row by row.
    set: Vec<bool>,
    /// Start of the SHA-256 of size and pixels.
    digest: String,
}

/// All masks that were ever made.
static KNOWN: Mutex<Vec<&'static Pixels>> = Mutex::new(Vec::new());

impl Mask {
    /// The mask of this many rows and columns with the pixels that are `set`, row by row.
    ///
    /// # Errors
    /// If there are none, or not as many as the size says.
    pub fn new(size: [usize; 2], set: Vec<bool>) -> Result<Self> {
        let remedy = "a mask is an image, and white is where the patch may change it";
        if !set.contains(&true) {
            return Err(Error::setting("mask", "no pixel of it is white", remedy));
        }
        if size[0].checked_mul(size[1]) != Some(set.len()) {
            let problem = format!("{} pixels are not {} rows of {}", set.len(), size[0], size[1]);
            return Err(Error::setting("mask", problem, remedy));
        }
        let bits: String = set.iter().map(|set| if *set { '1' } else { '0' }).collect();
        let digest = sha256(format!("{}x{} {bits}", size[0], size[1]).as_bytes())[..8].to_owned();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = known.iter().find(|mask| mask.size == size && mask.set == set) {
            return Ok(Self(mask));
        }
        let mask: &'static Pixels = Box::leak(Box::new(Pixels { size, set, digest }));
        known.push(mask);
        Ok(Self(mask))
    }

    /// The mask in an image file, of the size of the image: the pixels whose grey value is above one half.
    ///
    /// # Errors
    /// If the file is no image, or has no white pixel.
    pub fn read(path: &Path) -> Result<Self> {
        let (size, grey) = grey_image(path)?;
        Self::new(size, grey.into_iter().map(|value| value > 127).collect()).map_err(|error| {
            let remedy = "draw white where the patch may change the image";
            Error::file(path, "mask", error.to_string(), remedy)
        })
    }

    /// Rows and columns.
    pub fn size(self) -> [usize; 2] {
        self.0.size
    }

    /// Whether the pixel in this row and column is in it.
    pub fn has(self, row: usize, column: usize) -> bool {
        let [height, width] = self.0.size;
        row < height && column < width && self.0.set[row * width + column]
    }
}

impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        // Equal ones are the same.
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Mask {}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({self})")
    }
}

impl std::fmt::Display for Mask {
    /// By its size and its digest: `mask:9x16:1f2e3d4c`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Pixels { size: [height, width], digest, .. } = self.0;
        write!(f, "mask:{height}x{width}:{digest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_masks_are_one_and_empty_ones_none() {
        let mask = |set: &[bool]| Mask::new([2, 2], set.to_vec());
        let (one, same) = (mask(&[true, false, true, true]), mask(&[true, false, true, true]));
        let (one, other) = (one.unwrap(), mask(&[true; 4]).unwrap());
        assert!(one == same.unwrap() && one != other);
        assert!(one.has(1, 0) && !one.has(0, 1) && !one.has(2, 0) && !one.has(0, 2));
        assert!(one.to_string().starts_with("mask:2x2:") && one.to_string().len() == 17);
        assert_ne!(one.to_string(), other.to_string());
        for error in [mask(&[false; 4]).unwrap_err(), mask(&[true; 3]).unwrap_err()] {
            assert!(error.to_string().starts_with("mask: ") && error.hint().is_some());
        }
    }

    #[test]
    fn a_mask_is_read_from_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let pixels = vec![0, 255, 200, 10, 128, 127];
        image::GrayImage::from_raw(3, 2, pixels).unwrap().save(&path).unwrap();
        let mask = Mask::read(&path).unwrap();
        assert_eq!(mask.size(), [2, 3]);
        let set = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)].map(|(r, c)| mask.has(r, c));
        assert_eq!(set, [false, true, true, false, true, false]);
        image::GrayImage::new(2, 2).save(&path).unwrap();
        let error = Mask::read(&path).unwrap_err();
        assert!(error.to_string().contains("no pixel of it is white"), "{error}");
        std::fs::write(&path, "no image").unwrap();
        assert!(Mask::read(&path).is_err());
    }
}
