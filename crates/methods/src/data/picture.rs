//! One PNG or JPEG image, as it lies in a file of its own or in a row of a table: looked at, decoded to
//! `[C, H, W]` in [0, 1], or brought to the input of a network by a preprocessing. The content decides the
//! format, not the ending of a name.

use std::fs::File;
#[cfg(feature = "parquet")]
use std::io::Cursor;
use std::io::{BufRead, BufReader, Read as _, Seek};
use std::path::Path;
use std::sync::Once;

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader};

use super::jpeg;
use super::preprocess::Preprocessing;
use super::records;
use super::resize::Image;
use crate::error::{Error, Result};
use crate::regular;

/// Most pixels of one image: a header can claim billions, and memory is asked for on its word.
const PIXEL_LIMIT: u64 = 1 << 26;

/// Most pixels of one that is the input of a network as it is.
const INPUT_LIMIT: u64 = 1 << 24;

/// Most bytes of one image, in its file and decoded; the largest of ImageNet has 183 MB of colours.
const BYTE_LIMIT: u64 = 256 << 20;

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

    fn of(decoder: &impl ImageDecoder) -> Self {
        let (width, height) = decoder.dimensions();
        Self { width, height, color: decoder.color_type().has_color() }
    }

    fn of_jpeg(reader: impl BufRead) -> std::io::Result<Self> {
        let (width, height, color) = jpeg::header(reader)?;
        Ok(Self { width, height, color })
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
        let size = if self.reader.format() == Some(ImageFormat::Jpeg) {
            Size::of_jpeg(self.reader.into_inner()).map_err(|problem| place.damaged(&problem))?
        } else {
            Size::of(&self.reader.into_decoder().map_err(|problem| place.damaged(&problem))?)
        };
        place.check_pixels(size, INPUT_LIMIT)?;
        Ok(size)
    }

    /// Decodes it to `out`, `[C, H, W]` of this shape. Transparency is dropped, and 16 bits per channel become 8
    /// ([`eight_bits_each`]).
    ///
    /// # Errors
    /// If it is damaged, cut short, or of another shape, to which `remedy` belongs.
    pub(super) fn decode(self, shape: [usize; 3], remedy: &str, out: &mut [f32]) -> Result<()> {
        let [channels, height, width] = shape;
        let image = self.image(|place, size| {
            let (wide, high) = (size.width, size.height);
            if (wide as usize, high as usize) != (width, height) {
                let problem = format!("{wide}x{high}, not {width}x{height}");
                return Err(place.error("size", problem, remedy));
            }
            if channels == 1 && size.color {
                let problem = "has colours, the first image is grey";
                return Err(place.error("colour", problem, remedy));
            }
            Ok(())
        })?;
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
        let image = self.image(|place, size| place.check_pixels(size, PIXEL_LIMIT))?.into_rgb8();
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

    /// The image with 8 bits per channel, if `fits` takes it. That is asked before anything is decoded: memory is
    /// taken on the word of the header.
    fn image(
        self,
        fits: impl FnOnce(&ImageSource<'_>, Size) -> Result<()>,
    ) -> Result<DynamicImage> {
        let place = self.place();
        if self.reader.format() != Some(ImageFormat::Jpeg) {
            let decoder = self.reader.into_decoder().map_err(|problem| place.damaged(&problem))?;
            fits(&place, Size::of(&decoder))?;
            place.check_bytes(decoder.total_bytes())?;
            let image =
                DynamicImage::from_decoder(decoder).map_err(|problem| place.damaged(&problem))?;
            return Ok(eight_bits_each(image, place.path));
        }
        let mut bytes = Vec::new();
        let mut reader = self.reader.into_inner().take(BYTE_LIMIT);
        reader.read_to_end(&mut bytes).map_err(Error::io("read", place.path))?;
        let damaged = |problem: std::io::Error| place.damaged(&problem);
        fits(&place, Size::of_jpeg(&*bytes).map_err(damaged)?)?;
        jpeg::decode(&bytes).map_err(damaged)
    }

    fn place(&self) -> ImageSource<'a> {
        ImageSource { path: self.path, row: self.row }
    }
}

/// Rows, columns, and grey values of 8 bits of the image in a file: of a drawing, whatever colours it has.
///
/// # Errors
/// If it is damaged, empty, or has more than 2^24 pixels.
pub(crate) fn grey_image(path: &Path) -> Result<([usize; 2], Vec<u8>)> {
    let image = Picture::open(path)?.image(|place, size| place.check_pixels(size, INPUT_LIMIT))?;
    let image = image.into_luma8();
    Ok(([image.height() as usize, image.width() as usize], image.into_raw()))
}

/// What errors name.
struct ImageSource<'a> {
    path: &'a Path,
    row: Option<usize>,
}

impl ImageSource<'_> {
    fn error(&self, field: &str, problem: impl Into<String>, remedy: &str) -> Error {
        let field = match self.row {
            None => field.to_owned(),
            Some(row) => format!("row {row}: {field}"),
        };
        Error::file(self.path, field, problem, remedy)
    }

    /// Refuses an image without pixels, or with more than `limit`.
    fn check_pixels(&self, Size { width, height, .. }: Size, limit: u64) -> Result<()> {
        if !(1..=limit).contains(&(u64::from(width) * u64::from(height))) {
            let problem = format!("{width}x{height} is not between 1 and {limit} pixels");
            return Err(self.error("size", problem, "scale the images beforehand"));
        }
        Ok(())
    }

    /// Refuses an image that would have more than [`BYTE_LIMIT`] bytes in memory.
    fn check_bytes(&self, bytes: u64) -> Result<()> {
        if bytes > BYTE_LIMIT {
            let problem = format!("decoded it has {bytes} bytes, more than {BYTE_LIMIT}");
            return Err(self.error(
                "size",
                problem,
                "scale the image beforehand, or give it 8 bits",
            ));
        }
        Ok(())
    }

    fn damaged(&self, problem: &dyn std::fmt::Display) -> Error {
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

fn eight_bits(values: &[u8]) -> Vec<f32> {
    values.iter().map(|&v| f32::from(v) / 255.0).collect()
}
