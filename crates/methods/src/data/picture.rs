//! One PNG or JPEG image, as it lies in a file of its own or in a row of a table: looked at, decoded to
//! `[C, H, W]` in [0, 1], or brought to the input of a network by a preprocessing. The content decides the
//! format, not the ending of a name.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;
use std::sync::Once;

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader};

use super::preprocess::Preprocessing;
use super::records;
use super::resize::Image;
use crate::error::{Error, Result};
use crate::regular;

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
        let reader = regular::open(path)
            .and_then(|file| ImageReader::new(BufReader::new(file)).with_guessed_format());
        Ok(Self { reader: reader.map_err(Error::io("read", path))?, path, row: None })
    }
}

#[cfg(feature = "parquet")]
impl<'a> Picture<'a, Cursor<&'a [u8]>> {
    /// The image that row `row` of the file at `path` holds.
    ///
    /// # Errors
    /// None that memory can cause.
    pub(super) fn in_row(bytes: &'a [u8], path: &'a Path, row: usize) -> Result<Self> {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
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

    /// Decodes it to `out`, `[C, H, W]` of this shape. Transparency is dropped, and 16 bits per channel become 8
    /// ([`eight_bits_each`]).
    ///
    /// # Errors
    /// If it is damaged, cut short, or of another shape, to which `remedy` belongs.
    pub(super) fn decode(self, shape: [usize; 3], remedy: &str, out: &mut [f32]) -> Result<()> {
        let [channels, height, width] = shape;
        let place = self.place();
        let decoder = self.decoder()?;
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
        let image = eight_bits_each(image, place.path);
        let values: Vec<f32> = match channels {
            1 => eight_bits(&image.into_luma8()),
            _ => eight_bits(&image.into_rgb8()),
        };
        records::planes(&values, channels, out);
        Ok(())
    }

    /// Decodes it, of whatever size, to the input of a network, `[3, H, W]`. Transparency is dropped, and 16 bits
    /// per channel become 8 ([`eight_bits_each`]).
    ///
    /// # Errors
    /// If it is damaged, cut short, or would become too large on its way.
    pub(super) fn prepare(self, preprocessing: &Preprocessing, out: &mut [f32]) -> Result<()> {
        let place = self.place();
        let decoder = self.decoder()?;
        // Before anything is decoded, as in `decode`.
        place.check_pixels(decoder.dimensions(), PIXEL_LIMIT)?;
        let image =
            DynamicImage::from_decoder(decoder).map_err(|problem| place.damaged(&problem))?;
        let image = eight_bits_each(image, place.path).into_rgb8();
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

    /// What decodes it. Of a JPEG all bytes are looked at first: its decoder fills what was cut off with grey.
    fn decoder(self) -> Result<Box<dyn ImageDecoder + 'a>> {
        let place = self.place();
        let damaged = |problem: image::ImageError| place.damaged(&problem);
        if self.reader.format() != Some(ImageFormat::Jpeg) {
            return Ok(Box::new(self.reader.into_decoder().map_err(damaged)?));
        }
        let mut bytes = Vec::new();
        let mut reader = self.reader.into_inner();
        reader.read_to_end(&mut bytes).map_err(Error::io("read", place.path))?;
        if !jpeg_has_its_end(&bytes) {
            let remedy = "get the file again, or save the image as png or jpeg";
            return Err(place.error("image", "the file is cut short: a JPEG ends in EOI", remedy));
        }
        let reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
        Ok(Box::new(reader.into_decoder().map_err(damaged)?))
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

/// The image with 8 bits per channel, as Pillow has it, by which published accuracies were measured: the upper 8 of
/// the 16 bits of colours and of grey with transparency. Grey without is cut off at 255, which leaves most of such
/// images white; that is told.
pub(super) fn eight_bits_each(image: DynamicImage, path: &Path) -> DynamicImage {
    let upper = |values: Vec<u16>| values.into_iter().map(|value| (value >> 8) as u8).collect();
    let (width, height) = (image.width(), image.height());
    let made = match image {
        DynamicImage::ImageLuma16(image) => {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tracing::warn!(
                    "{}: grey images of 16 bits are cut off at 255, as Pillow does it; save them with 8 bits if \
                     they were meant otherwise",
                    path.display()
                );
            });
            let cut = |value: u16| u8::try_from(value).unwrap_or(u8::MAX);
            let values = image.into_raw().into_iter().map(cut).collect();
            ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma8)
        }
        DynamicImage::ImageLumaA16(image) => {
            ImageBuffer::from_raw(width, height, upper(image.into_raw()))
                .map(DynamicImage::ImageLumaA8)
        }
        DynamicImage::ImageRgb16(image) => {
            ImageBuffer::from_raw(width, height, upper(image.into_raw()))
                .map(DynamicImage::ImageRgb8)
        }
        DynamicImage::ImageRgba16(image) => {
            ImageBuffer::from_raw(width, height, upper(image.into_raw()))
                .map(DynamicImage::ImageRgba8)
        }
        other => Some(other),
    };
    made.unwrap_or_default()
}

/// Whether the marker EOI ends the last scan of a JPEG (ITU T.81, annex B.1). What follows it is ignored by every
/// decoder; segments may hold whole JPEGs of their own, so they are passed over by their lengths.
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut at = 2;
    loop {
        // To the next marker: a byte 0xff and one that is neither filling nor, in a scan, data.
        let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xff))
        else {
            return false;
        };
        at += next;
        match bytes.get(at + 1) {
            None => return false,
            Some(&END) => return true,
            Some(0xff) => at += 1,
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            // A segment, or the header of a scan, behind which its data lies.
            Some(_) => {
                let length = bytes.get(at + 2..at + 4);
                let Some(length) = length.map(|l| usize::from(l[0]) << 8 | usize::from(l[1]))
                else {
                    return false;
                };
                at += 2 + length;
            }
        }
    }
}

fn eight_bits(values: &[u8]) -> Vec<f32> {
    values.iter().map(|&v| f32::from(v) / 255.0).collect()
}
