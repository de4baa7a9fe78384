//! Images of one size at equal distances in a file: what every format but the image folder comes to.

use std::path::Path;

use super::element::Element;
use super::source::Source;
use super::{Batch, DataInfo, Dataset};
use crate::error::{Error, Result};

/// How far outside [0, 1] rounding may have carried a float pixel. Further out is an error; within,
/// the pixel is clamped.
const TOLERANCE: f32 = 1e-6;

/// In which order the numbers of an image lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `[C, H, W]`.
    Planes,
    /// `[H, W, C]`.
    ChannelsLast,
    /// `[H, W, C]` as MATLAB has it, the first side changing fastest.
    ColumnMajor,
}

/// Images read from a [`Source`] on demand; the labels, four bytes each, are in memory.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) info: DataInfo,
    pub(super) source: Source,
    /// Where the first image begins.
    pub(super) first: u64,
    /// Bytes from the beginning of one image to that of the next.
    pub(super) stride: u64,
    pub(super) element: Element,
    /// The byte that means 1.0.
    pub(super) white: f32,
    pub(super) order: Order,
    pub(super) labels: Vec<u32>,
}

impl Records {
    fn decode(&self, bytes: &[u8], out: &mut [f32]) {
        if self.order == Order::Planes {
            return self.element.pixels(bytes, self.white, out);
        }
        let mut pixels = vec![0.0; out.len()];
        self.element.pixels(bytes, self.white, &mut pixels);
        let [channels, height, width] = self.info.shape;
        if self.order == Order::ChannelsLast {
            return planes(&pixels, channels, out);
        }
        // Each plane is stored as `[W, H]`.
        let area = height * width;
        for (plane, out) in pixels.chunks_exact(area).zip(out.chunks_exact_mut(area)) {
            planes(plane, height, out);
        }
    }
}

impl Dataset for Records {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        self.info.check(indices)?;
        let size = self.info.pixels();
        let mut bytes = vec![0; size * self.element.size()];
        let mut pixels = vec![0.0; indices.len() * size];
        for (&index, image) in indices.iter().zip(pixels.chunks_exact_mut(size)) {
            self.source.read_at(self.first + index as u64 * self.stride, &mut bytes)?;
            self.decode(&bytes, image);
            to_unit_interval(image, self.source.path(), index)?;
        }
        self.info.batch(indices, pixels, |index| self.labels[index])
    }
}

/// Rearranges `[H, W, C]` into `[C, H, W]`.
pub(super) fn planes(pixels: &[f32], channels: usize, out: &mut [f32]) {
    let area = pixels.len() / channels;
    for (position, pixel) in pixels.chunks_exact(channels).enumerate() {
        for (channel, &value) in pixel.iter().enumerate() {
            out[channel * area + position] = value;
        }
    }
}

/// Clamps rounding errors away; refuses what cannot be one.
fn to_unit_interval(image: &mut [f32], path: &Path, index: usize) -> Result<()> {
    for value in image {
        // Written so that NaN fails.
        if !(-TOLERANCE..=1.0 + TOLERANCE).contains(value) {
            return Err(Error::file(
                path,
                format!("image {index}"),
                format!("pixel value {value} is outside [0, 1]"),
                if value.is_nan() {
                    "replace the NaN pixels where the file is made"
                } else {
                    "divide the pixels by 255, or by what is white in them; if they are normalised, \
                     undo it: normalisation belongs inside the model"
                },
            ));
        }
        *value = value.clamp(0.0, 1.0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounding_errors_are_clamped() {
        let mut image = [-1e-6, -0.5e-6, 0.0, 0.5, 1.0, 1.000_001];
        to_unit_interval(&mut image, Path::new("x"), 0).unwrap();
        assert_eq!(image, [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]);
        for bad in [-1.1e-6, 1.000_002, 1.5, f32::INFINITY, f32::NAN] {
            let error = to_unit_interval(&mut [0.5, bad], Path::new("x.npy"), 17).unwrap_err();
            assert!(error.to_string().starts_with("x.npy: image 17: pixel value"), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn planes_are_the_transpose() {
        let mut out = [0.0; 6];
        planes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut out);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
