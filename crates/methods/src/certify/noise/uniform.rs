//! Uniform noise in a cube: the noise of the best L1 certificates by sampling.

use super::{CertifiedNorm, Noise, down};
use crate::model::PixelNoise;
use crate::rng::Draw;

/// Adds independent uniform numbers from [-lambda, lambda] to the pixels, lambda = sqrt(3) sigma, in
/// f32 and without clamping.
///
/// R = 2 lambda (p - 1/2) in L1 and 2 lambda (1 - (3/2 - p)^(1/d)) in Linf (Yang et al., "Randomized
/// smoothing of all shapes and sizes", ICML 2020, table 1; in L1 also Lee et al., NeurIPS 2019). Why:
/// moved by delta, the cube shares prod (1 - |delta_i| / (2 lambda)) of its volume with itself, and the
/// class loses at most the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniform {
    /// Standard deviation of each number, in pixel units of [0, 1].
    pub sigma: f64,
}

impl Uniform {
    /// Half a side of the cube.
    fn lambda(self) -> f64 {
        self.sigma * 3f64.sqrt()
    }
}

impl Noise for Uniform {
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]) {
        let lambda = self.lambda();
        draw.mapped(out, |u| (lambda * (2.0 * u - 1.0)) as f32);
        out.iter_mut().zip(image).for_each(|(o, x)| *o += x);
    }

    fn of_pixels(&self) -> Option<PixelNoise> {
        Some(PixelNoise::Uniform(self.lambda()))
    }

    fn norms(&self) -> &'static [CertifiedNorm] {
        &[CertifiedNorm::L1, CertifiedNorm::Linf]
    }

    fn radius(&self, norm: CertifiedNorm, p_low: f64, dimension: usize) -> Option<f64> {
        let side = 2.0 * self.lambda();
        let above_half = p_low - 0.5;
        match norm {
            CertifiedNorm::L1 => Some(down(side * above_half)),
            CertifiedNorm::Linf => {
                // Written for small differences from 1: d is large.
                let shared = (-above_half).ln_1p() / dimension.max(1) as f64;
                Some(down(-side * shared.exp_m1()))
            }
            CertifiedNorm::L0 | CertifiedNorm::L2 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const P: [f64; 6] = [0.5, 0.500_001, 0.6, 0.9, 0.99, 0.999_930_924_833_009_4];

    /// What is left for sure of a class of probability `p` when the image moves by `delta`.
    fn left(p: f64, delta: &[f64], lambda: f64) -> f64 {
        p - 1.0 + delta.iter().map(|d| (1.0 - d.abs() / (2.0 * lambda)).max(0.0)).product::<f64>()
    }

    #[test]
    fn published_values() {
        let noise = Uniform { sigma: 0.5 };
        for (p, l1) in [(0.9, 0.692_820), (0.99, 0.848_705), (0.999, 0.864_293)] {
            let radius = noise.radius(CertifiedNorm::L1, p, 3072).unwrap();
            assert!((radius - l1).abs() < 1e-6, "{p}: {radius}");
        }
        assert_eq!(noise.radius(CertifiedNorm::L2, 0.9, 3072), None);
    }

    #[test]
    fn inside_the_radius_the_class_keeps_its_half_and_outside_it_may_lose_it() {
        let noise = Uniform { sigma: 0.25 };
        let lambda = noise.lambda();
        let mut share = vec![0.0; 7];
        for p in P {
            let l1 = noise.radius(CertifiedNorm::L1, p, 7).unwrap();
            let linf = noise.radius(CertifiedNorm::Linf, p, 7).unwrap();
            for trial in 0..200 {
                Stream::new(1, "directions").draw(trial, 0).uniform(&mut share);
                let sum: f32 = share.iter().sum();
                let delta = |scale: f64| -> Vec<f64> {
                    share.iter().map(|s| scale * f64::from(*s) / f64::from(sum)).collect()
                };
                assert!(left(p, &delta(l1), lambda) >= 0.5 - 1e-15, "{p}");
                let delta: Vec<f64> = share.iter().map(|s| linf * f64::from(*s)).collect();
                assert!(left(p, &delta, lambda) >= 0.5 - 1e-15, "{p}");
            }
            // Tight along an axis, and at a corner.
            assert!(left(p, &[l1 + 1e-9], lambda) < 0.5, "{p}");
            assert!(left(p, &[linf + 1e-9; 7], lambda) < 0.5, "{p}");
            assert!(left(p, &[linf; 7], lambda) >= 0.5 - 1e-15, "{p}");
        }
    }

    #[test]
    fn the_noise_fills_its_cube_evenly() {
        let (image, mut out) = (vec![0.5; 40_000], vec![0.0; 40_000]);
        Uniform { sigma: 0.5 }.apply(&image, Stream::new(2, "x").draw(0, 0), &mut out);
        let lambda = 0.5 * 3f64.sqrt();
        let z: Vec<f64> = out.iter().map(|o| f64::from(*o) - 0.5).collect();
        assert!(z.iter().all(|z| z.abs() <= lambda + 1e-6));
        let below = |t: f64| z.iter().filter(|z| **z < t).count() as f64 / 40_000.0;
        for share in [0.1, 0.25, 0.5, 0.75, 0.9] {
            assert!((below(lambda * (2.0 * share - 1.0)) - share).abs() < 0.01, "{share}");
        }
        let variance = z.iter().map(|z| z * z).sum::<f64>() / 40_000.0;
        assert!((variance - 0.25).abs() < 0.005, "{variance}");
    }
}
