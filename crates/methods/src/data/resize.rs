//! Antialiased resizing of 8-bit images, bit for bit as Pillow's `Image.resize` does it, which is what
//! torchvision's `Resize` does to an image and so what published accuracies were measured with. A pass
//! along the rows, rounded to bytes, then one along the columns; weights are whole multiples of 2^-22.

/// Binary places of a weight: eight bits for the pixel and two for sums outside its range are left of 32.
const PLACES: u32 = 32 - 8 - 2;

/// How pixels between pixels are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// A triangle of width 2.
    Bilinear,
    /// Keys' cubic of width 4 with a = -1/2 (R. Keys, "Cubic convolution interpolation", 1981).
    Bicubic,
}

impl Filter {
    /// Half its width, before scaling.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// Rows of `width` x `height` pixels of three bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Vec<u8>,
}

/// One pixel of the result: where it begins to look, and with which weights.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Image {
    /// The image at another size; sides have to be at least 1.
    pub(super) fn resize(self, width: usize, height: usize, filter: Filter) -> Self {
        let narrow = if width == self.width { self } else { self.resize_rows(width, filter) };
        if height == narrow.height {
            return narrow;
        }
        narrow.resize_columns(height, filter)
    }

    fn resize_rows(&self, width: usize, filter: Filter) -> Self {
        let windows = windows(self.width, width, filter);
        let mut bytes = Vec::with_capacity(3 * width * self.height);
        for row in self.bytes.chunks_exact(3 * self.width) {
            for window in &windows {
                let pixels = &row[3 * window.first..];
                bytes.extend(window.sum(pixels.chunks_exact(3)));
            }
        }
        Self { width, height: self.height, bytes }
    }

    fn resize_columns(&self, height: usize, filter: Filter) -> Self {
        let stride = 3 * self.width;
        let mut bytes = Vec::with_capacity(stride * height);
        for window in windows(self.height, height, filter) {
            for column in 0..self.width {
                let pixels = &self.bytes[window.first * stride + 3 * column..];
                let below = pixels.chunks(stride).map(|rest| &rest[..3]);
                bytes.extend(window.sum(below));
            }
        }
        Self { width: self.width, height, bytes }
    }
}

impl Window {
    /// The weighted sum of the first `pixels`, rounded to bytes.
    fn sum<'a>(&self, pixels: impl Iterator<Item = &'a [u8]>) -> [u8; 3] {
        let mut sums = [1i32 << (PLACES - 1); 3];
        for (pixel, weight) in pixels.zip(&self.weights) {
            for (sum, byte) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*byte) * weight;
            }
        }
        sums.map(|sum| (sum >> PLACES).clamp(0, 255) as u8)
    }
}

/// The windows of all `to` pixels of a line that has `from` of them. The filter is stretched when the
/// line shrinks, so that every pixel counts.
fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let (support, squeeze) = (filter.support() * stretch, 1.0 / stretch);
    (0..to)
        .map(|place| {
            let centre = (place as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end)
                .map(|pixel| filter.at((pixel as f64 - centre + 0.5) * squeeze))
                .collect();
            let total: f64 = weights.iter().sum();
            let whole = |weight: f64| {
                let exact = weight / total * f64::from(1u32 << PLACES);
                // Half away from zero, by truncation.
                (exact + 0.5f64.copysign(exact)) as i32
            };
            Window { first, weights: weights.into_iter().map(whole).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    /// Recorded with Pillow; the names of the results are `SOURCE FILTER WIDTHxHEIGHT`.
    const RECORDED: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/resize.safetensors"
    ));

    fn image(recorded: &SafeTensors<'_>, name: &str) -> Image {
        let tensor = recorded.tensor(name).unwrap();
        let [height, width, 3] = *tensor.shape() else { panic!("{:?}", tensor.shape()) };
        Image { width, height, bytes: tensor.data().to_vec() }
    }

    #[test]
    fn sizes_up_and_down_are_those_of_pillow_byte_for_byte() {
        let recorded = SafeTensors::deserialize(RECORDED).unwrap();
        let mut cases = 0;
        for name in recorded.names() {
            let Some((source, rest)) = name.split_once(' ') else { continue };
            let filter = match rest.split_once(' ').unwrap().0 {
                "bilinear" => Filter::Bilinear,
                _ => Filter::Bicubic,
            };
            let wanted = image(&recorded, name);
            let found = image(&recorded, source).resize(wanted.width, wanted.height, filter);
            let worst = found.bytes.iter().zip(&wanted.bytes).map(|(a, b)| a.abs_diff(*b)).max();
            assert_eq!(worst, Some(0), "{name}");
            assert_eq!(found, wanted, "{name}");
            cases += 1;
        }
        assert_eq!(cases, 20);
    }

    #[test]
    fn one_colour_stays_one_colour() {
        let flat = Image { width: 5, height: 7, bytes: [9, 130, 255].repeat(35) };
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (width, height) in [(1, 1), (3, 20), (11, 2)] {
                let resized = flat.clone().resize(width, height, filter);
                assert_eq!(resized.bytes, [9, 130, 255].repeat(width * height));
            }
        }
    }
}
