//! Pictures of images that networks see: PNG files large enough to be looked at, and differences made visible.

use image::{ImageFormat, imageops};

use crate::error::{Error, Result};

/// Pictures are magnified by a whole number, pixel for pixel, until their longer side has about so many.
const SIDE: usize = 112;

/// The image `[C, H, W]` in [0, 1] as a PNG; of other numbers of channels than 1 and 3 the first is shown.
///
/// # Errors
/// If it cannot be encoded.
pub(super) fn png(pixels: &[f32], [channels, height, width]: [usize; 3]) -> Result<Vec<u8>> {
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let plane = height * width;
    let shown = if channels == 3 { [0, plane, 2 * plane] } else { [0; 3] };
    let bytes = (0..plane).flat_map(|at| shown.map(|channel| byte(pixels[channel + at]))).collect();
    let failed = |problem: String| Error::setting("picture", problem, "report this as a bug");
    let image = image::RgbImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| failed(format!("{height}x{width} is no size of an image")))?;
    let by = (SIDE / height.max(width).max(1)).max(1) as u32;
    let (wide, high) = (by * width as u32, by * height as u32);
    let image = imageops::resize(&image, wide, high, imageops::FilterType::Nearest);
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).map_err(|error| failed(error.to_string()))?;
    Ok(file.into_inner())
}

/// x - x0 around grey, magnified as far as the largest change allows, and by how much: a whole number where that is
/// at least 1.
pub(super) fn difference(x: &[f32], x0: &[f32]) -> (Vec<f32>, f32) {
    let largest = x.iter().zip(x0).fold(0.0_f32, |most, (x, x0)| most.max((x - x0).abs()));
    let factor = match 0.5 / largest {
        by if !by.is_finite() => 1.0,
        by if by < 1.0 => by,
        by => by.floor(),
    };
    (x.iter().zip(x0).map(|(x, x0)| 0.5 + factor * (x - x0)).collect(), factor)
}
