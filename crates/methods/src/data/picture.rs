//! One PNG or JPEG image, as it lies in a file of its own or in a row of a table: looked at, decoded to
//! `[C, H, W]` in [0, 1], or brought to the input of a network by a preprocessing. The content decides the
//! format, not the ending of a name.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

use super::preprocess::Preprocessing;
use super::records;
use super::resize::Image;
use crate::error::{Error, Result};

/// Most pixels of one image: a header can claim billions, and memory is asked for on its word.
const PIXEL_LIMIT: u64 = 1 << 26;

/// Most pixels of one that is the input of a network as it is.
const INPUT_LIMIT: u64 = 1 << 24;

/// An image that is not decoded yet.
pub(super) struct Picture<'a, R: BufRead + Seek> {
    reader: ImageReader<R>,
    path: &'a Path,
    /// Its row, if the file is a table.
    row: Option<usize>,
}

/// What the header of an image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether it is more than shades of grey.
    pub(super) color: bool,
}

impl Size {
    /// `[C, H, W]`.
    pub(super) fn shape(self) -> [usize; 3] {
        [if self.color { 3 } else { 1 }, self.height as usize, self.width as usize]
    }
}

impl<'a> Picture<'a, BufReader<File>> {
    /// The image in a file of its own.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        Ok(Self { reader: reader.map_err(Error::io("read", path))?, path, row: None })
    }
}

#[cfg(feature = "parquet")]
impl<'a> Picture<'a, std::io::Cursor<&'a [u8]>> {
    /// The image that row `row` of the file at `path` holds.
    ///
    /// # Errors
    /// None that memory can cause.
    pub(super) fn in_row(bytes: &'a [u8], path: &'a Path, row: usize) -> Result<Self> {
        let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
        Ok(Self { reader: reader.map_err(Error::io("read", path))?, path, row: Some(row) })
    }
}

impl<'a, R: BufRead + Seek + 'a> Picture<'a, R> {
    /// What its header says.
    ///
    /// # Errors
    /// If it is damaged, empty, or has more than 2^24 pixels.
    pub(super) fn size(self) -> Result<Size> {
        let place = self.place();
        let decoder = self.reader.into_decoder().map_err(|problem| place.damaged(&problem))?;
        let (width, height) = place.check_pixels(decoder.dimensions(), INPUT_LIMIT)?;
        Ok(Size { width, height, color: decoder.color_type().has_color() })
    }

    /// Decodes it to `out`, `[C, H, W]` of this shape. Transparency is dropped; 16 bits per channel are kept.
    ///
    /// # Errors
    /// If it is damaged or of another shape, to which `remedy` belongs.
    pub(super) fn decode(self, shape: [usize; 3], remedy: &str, out: &mut [f32]) -> Result<()> {
        let [channels, height, width] = shape;
        let place = self.place();
        let decoder = self.reader.into_decoder().map_err(|problem| place.damaged(&problem))?;
        // Before anything is decoded: memory is asked for on the word of the header.
        let (wide, high) = decoder.dimensions();
        if (wide as usize, high as usize) != (width, height) {
            return Err(place.error(
                "size",
                format!("{wide}x{high}, not {width}x{height}"),
                remedy,
            ));
        }
        if channels == 1 && decoder.color_type().has_color() {
            return Err(place.error("colour", "has colours, the first image is grey", remedy));
        }
        let image =
            DynamicImage::from_decoder(decoder).map_err(|problem| place.damaged(&problem))?;
        let deep = image.color().bytes_per_pixel() / image.color().channel_count() > 1;
        let values: Vec<f32> = match (channels, deep) {
            (1, false) => eight_bits(&image.into_luma8()),
            (_, false) => eight_bits(&image.into_rgb8()),
            (1, true) => sixteen_bits(&image.into_luma16()),
            (_, true) => sixteen_bits(&image.into_rgb16()),
        };
        records::planes(&values, channels, out);
        Ok(())
    }

    /// Decodes it, of whatever size, to the input of a network, `[3, H, W]`. Transparency is dropped, and of
    /// 16 bits per channel the upper 8 are taken, as is done where published accuracies were measured.
    ///
    /// # Errors
    /// If it is damaged, or would become too large on its way.
    pub(super) fn prepare(self, preprocessing: &Preprocessing, out: &mut [f32]) -> Result<()> {
        let place = self.place();
        let decoder = self.reader.into_decoder().map_err(|problem| place.damaged(&problem))?;
        // Before anything is decoded, as in `decode`.
        place.check_pixels(decoder.dimensions(), PIXEL_LIMIT)?;
        let image =
            DynamicImage::from_decoder(decoder).map_err(|problem| place.damaged(&problem))?;
        let image = image.into_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (wide, high) = preprocessing.resized(width, height);
        // A narrow image becomes much larger when its shorter side is brought to a length.
        if wide.saturating_mul(high.max(height)) as u64 > PIXEL_LIMIT {
            let problem = format!("{width}x{height} would become {wide}x{high}");
            return Err(place.error("size", problem, "leave the image out, or crop it beforehand"));
        }
        let image = preprocessing.apply(Image { width, height, bytes: image.into_raw() });
        records::planes(&eight_bits(&image.bytes), 3, out);
        Ok(())
    }

    fn place(&self) -> Place<'a> {
        Place { path: self.path, row: self.row }
    }
}

/// What errors name.
struct Place<'a> {
    path: &'a Path,
    row: Option<usize>,
}

impl Place<'_> {
    fn error(&self, field: &str, problem: impl Into<String>, remedy: &str) -> Error {
        let field = match self.row {
            None => field.to_owned(),
            Some(row) => format!("row {row}: {field}"),
        };
        Error::file(self.path, field, problem, remedy)
    }

    /// Width and height, which are at least 1 and together at most `limit` pixels.
    fn check_pixels(&self, (width, height): (u32, u32), limit: u64) -> Result<(u32, u32)> {
        if !(1..=limit).contains(&(u64::from(width) * u64::from(height))) {
            let problem = format!("{width}x{height} is not between 1 and {limit} pixels");
            return Err(self.error("size", problem, "scale the images beforehand"));
        }
        Ok((width, height))
    }

    fn damaged(&self, problem: &image::ImageError) -> Error {
        let remedy = "get the file again, or save the image as png or jpeg";
        self.error("image", problem.to_string(), remedy)
    }
}

fn eight_bits(values: &[u8]) -> Vec<f32> {
    values.iter().map(|&v| f32::from(v) / 255.0).collect()
}

fn sixteen_bits(values: &[u16]) -> Vec<f32> {
    values.iter().map(|&v| f32::from(v) / 65535.0).collect()
}
