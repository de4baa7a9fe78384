//! JPEG as Pillow reads it, to the last bit, because published accuracies are of images that Pillow has decoded. Both
//! ask libjpeg, here in the form of mozjpeg, whose decoder is that of libjpeg-turbo.

use std::io::{BufRead, Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageBuffer};
use mozjpeg::{ColorSpace, Decompress};

/// Width, height, and whether it is more than shades of grey.
///
/// # Errors
/// If the header is damaged.
pub(super) fn header(reader: impl BufRead) -> Result<(u32, u32, bool)> {
    caught(|| {
        let image = Decompress::new_reader(reader)?;
        let color = image.color_space() != ColorSpace::JCS_GRAYSCALE;
        Ok((image.width() as u32, image.height() as u32, color))
    })
}

/// Decodes a file; memory is taken on the word of its [`header`].
///
/// # Errors
/// If it is damaged or cut short, or of a kind that libjpeg does not read.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage> {
    check_scans(bytes)?;
    let made = caught(|| {
        let image = Decompress::new_mem(bytes)?;
        let (width, height) = (image.width() as u32, image.height() as u32);
        Ok(match image.color_space() {
            ColorSpace::JCS_GRAYSCALE => {
                let grey = image.grayscale()?.read_scanlines::<u8>()?;
                ImageBuffer::from_raw(width, height, grey).map(DynamicImage::ImageLuma8)
            }
            ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
                let inks = image.to_colorspace(ColorSpace::JCS_CMYK)?.read_scanlines::<u8>()?;
                let colors = inks.as_chunks().0.iter().flat_map(|inks| rgb(*inks));
                ImageBuffer::from_raw(width, height, colors.collect()).map(DynamicImage::ImageRgb8)
            }
            _ => {
                let colors = image.rgb()?.read_scanlines::<u8>()?;
                ImageBuffer::from_raw(width, height, colors).map(DynamicImage::ImageRgb8)
            }
        })
    })?;
    made.ok_or_else(|| Error::other("its lines are not as long as its header says"))
}

/// The colour of cyan, magenta, yellow and black, in Pillow's integers: what black leaves, without the share of an ink.
/// Pillow takes all inks as stored the other way round, which Adobe's programs have made the custom.
fn rgb([inks @ .., left]: [u8; 4]) -> [u8; 3] {
    let left = u32::from(left);
    inks.map(|stored| {
        // Divided by 255 and rounded.
        let product = u32::from(255 - stored) * left + 128;
        (left - ((product + (product >> 8)) >> 8)) as u8
    })
}

/// Most scans of an image; encoders write about ten. Each one is a pass over all pixels, of a few bytes in the file.
const SCANS: usize = 100;

/// Refuses a JPEG without the marker EOI behind its last scan (ITU T.81, annex B.1), whose missing pixels libjpeg would
/// fill with grey, and one of absurdly many scans. What follows EOI is ignored by every decoder; segments may hold
/// whole JPEGs of their own, so they are passed over by their lengths.
fn check_scans(bytes: &[u8]) -> Result<()> {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let cut = || Error::other("the file is cut short: a JPEG ends in EOI");
    let (mut at, mut scans) = (2, 0);
    loop {
        // To the next marker: a byte 0xff and one that is neither filling nor, in a scan, data.
        let next = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xff));
        at += next.ok_or_else(cut)?;
        match *bytes.get(at + 1).ok_or_else(cut)? {
            END => return Ok(()),
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            // A segment, or the header of a scan, behind which its data lies.
            marker => {
                scans += usize::from(marker == SCAN);
                if scans > SCANS {
                    return Err(Error::other(format!("it has more than {SCANS} scans")));
                }
                let length = bytes.get(at + 2..at + 4).ok_or_else(cut)?;
                at += 2 + (usize::from(length[0]) << 8 | usize::from(length[1]));
            }
        }
    }
}

/// libjpeg leaves by unwinding when a file is damaged.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|problem| {
        let text = problem.downcast_ref::<String>().map(String::as_str);
        Err(Error::other(text.unwrap_or("it cannot be decoded").to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Cursor, Read as _};

    use super::*;

    const FIXTURE: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/jpeg.zip"));

    /// The files of `scripts/export_jpegs.py`, by their names.
    fn files() -> BTreeMap<String, Vec<u8>> {
        let mut archive = zip::ZipArchive::new(Cursor::new(FIXTURE)).unwrap();
        let mut file = |index| {
            let mut file = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (file.name().unwrap().into_owned(), bytes)
        };
        (0..111).map(&mut file).collect()
    }

    #[test]
    fn pixels_are_those_of_pillow_to_the_last_bit() {
        let files = files();
        let mut images = 0;
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".jpg")) {
            let image = decode(bytes).unwrap();
            let (width, height, color) = header(&bytes[..]).unwrap();
            assert_eq!((image.width(), image.height()), (width, height), "{name}");
            assert_eq!(image.color().has_color(), color, "{name}");
            let wanted = &files[&name.replace(".jpg", ".raw")];
            assert!(image.into_bytes() == *wanted, "{name}");
            images += 1;
        }
        assert_eq!(images, 55);
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_refused() {
        let bytes = &files()["24x16-420-q75.jpg"];
        let error = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        for cut in 2..bytes.len() - 1 {
            assert!(error(&bytes[..cut]).contains("the file is cut short"), "{cut}");
        }
        let mut damaged = bytes.clone();
        // The precision of its samples, behind the marker of its frame.
        let frame = damaged.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
        damaged[frame + 4] = 13;
        assert!(
            error(&damaged).contains("Unsupported JPEG data precision 13"),
            "{}",
            error(&damaged)
        );
        assert!(header(&damaged[..]).is_err() && header(&b"\xff\xd8"[..]).is_err());
        // A scan and nothing in it, again and again.
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let header = &bytes[scan..scan + 2 + usize::from(bytes[scan + 3])];
        let many = [&bytes[..scan], &header.repeat(101), &bytes[scan..]].concat();
        assert!(error(&many).contains("more than 100 scans"), "{}", error(&many));
    }
}
