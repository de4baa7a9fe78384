//! Isotropic Gaussian noise, N(0, sigma^2 I): the noise of L2 certificates.

use super::{CertifiedNorm, Noise};
use crate::certify::cohen;
use crate::model::PixelNoise;
use crate::rng::Draw;

/// Adds independent N(0, sigma^2) numbers to the pixels, in f32 and without clamping.
///
/// R = sigma Phi^-1(p) in L2 (Cohen et al. 2019, theorem 1). What it implies elsewhere: an L1 ball lies
/// in the L2 ball of the same radius, an Linf ball of radius r in one of radius r sqrt(d).
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

    fn of_pixels(&self) -> Option<PixelNoise> {
        Some(PixelNoise::Gaussian(self.sigma))
    }

    fn norms(&self) -> &'static [CertifiedNorm] {
        &[CertifiedNorm::L2, CertifiedNorm::L1, CertifiedNorm::Linf]
    }

    fn radius(&self, norm: CertifiedNorm, p_low: f64, dimension: usize) -> Option<f64> {
        implied(norm, cohen::radius(p_low, self.sigma), dimension)
    }
}

/// The radius in `norm` that a radius in L2 implies for images of `dimension` values.
pub(super) fn implied(norm: CertifiedNorm, l2: f64, dimension: usize) -> Option<f64> {
    match norm {
        CertifiedNorm::L2 | CertifiedNorm::L1 => Some(l2),
        CertifiedNorm::Linf => Some(super::down(l2 / (dimension.max(1) as f64).sqrt())),
        CertifiedNorm::L0 => None,
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

    #[test]
    fn implied_radii_are_inside_the_l2_ball() {
        let noise = Gaussian { sigma: 0.5 };
        let radius = |norm| noise.radius(norm, 0.99, 3072).unwrap();
        assert!((radius(CertifiedNorm::L2) - 1.163_173_937_020_420_6).abs() < 1e-12);
        assert_eq!(radius(CertifiedNorm::L1), radius(CertifiedNorm::L2));
        // The corner of the Linf ball is its farthest point.
        let corner = radius(CertifiedNorm::Linf) * 3072f64.sqrt();
        assert!(corner <= radius(CertifiedNorm::L2) && corner > 1.163_173);
        assert_eq!(noise.radius(CertifiedNorm::L0, 0.99, 3072), None);
    }
}
