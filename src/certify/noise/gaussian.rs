//! Isotropic Gaussian noise, N(0, sigma^2 I): the noise of L2 certificates.

use super::Noise;
use crate::rng::Draw;

/// Adds independent N(0, sigma^2) numbers to the pixels, in f32 and without clamping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaussian {
    /// Standard deviation in pixel units of [0, 1].
    pub sigma: f64,
}

impl Noise for Gaussian {
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]) {
        draw.normal(out);
        for (o, x) in out.iter_mut().zip(image) {
            // sigma itself is not rounded to f32: the radius is proportional to it.
            *o = x + (self.sigma * f64::from(*o)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn the_noise_is_sigma_times_the_draw_and_leaves_the_pixel_range() {
        let draw = Stream::new(1, "smoothing-estimate").draw(4, 2);
        let image = [0.0, 0.25, 0.5, 1.0].repeat(500);
        let (mut z, mut out) = (vec![0.0; 2000], vec![0.0; 2000]);
        draw.normal(&mut z);
        Gaussian { sigma: 0.5 }.apply(&image, draw, &mut out);
        for ((o, x), z) in out.iter().zip(&image).zip(&z) {
            assert_eq!(*o, x + 0.5 * z);
        }
        assert!(out.iter().any(|o| *o < 0.0) && out.iter().any(|o| *o > 1.0));
    }
}
