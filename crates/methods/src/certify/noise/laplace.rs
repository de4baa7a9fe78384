//! Laplace noise: the first noise of L1 certificates.

use std::f64::consts::FRAC_1_SQRT_2;

use super::{CertifiedNorm, Noise, down};
use crate::rng::Draw;

/// Adds independent Laplace numbers, of density exp(-|z| / lambda) / (2 lambda) with lambda = sigma /
/// sqrt(2), to the pixels, in f32 and without clamping.
///
/// R = -lambda ln(2 (1 - p)) in L1 (Teng, Lee and Yuan, "l1 adversarial robustness certificates: a
/// randomized smoothing approach", 2019; Yang et al., ICML 2020, table 1). The Linf radius of the
/// latter is an approximation and is not offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Laplace {
    /// Standard deviation of each number, in pixel units of [0, 1].
    pub sigma: f64,
}

impl Laplace {
    fn lambda(self) -> f64 {
        self.sigma * FRAC_1_SQRT_2
    }
}

impl Noise for Laplace {
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]) {
        let lambda = self.lambda();
        draw.mapped(out, |u| {
            let t = 2.0 * u - 1.0;
            // 1 - |t| is never 0, because u is never 0 or 1.
            (-lambda * libm::log(1.0 - t.abs())).copysign(t) as f32
        });
        out.iter_mut().zip(image).for_each(|(o, x)| *o += x);
    }

    fn norms(&self) -> &'static [CertifiedNorm] {
        &[CertifiedNorm::L1]
    }

    fn radius(&self, norm: CertifiedNorm, p_low: f64, _: usize) -> Option<f64> {
        // 1 - p is exact for p in [1/2, 1).
        (norm == CertifiedNorm::L1).then(|| down(-self.lambda() * (2.0 * (1.0 - p_low)).ln()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn published_values() {
        let noise = Laplace { sigma: 0.5 };
        for (p, l1) in [(0.9, 0.569_022), (0.99, 1.383_109), (0.999, 2.197_196)] {
            let radius = noise.radius(CertifiedNorm::L1, p, 3072).unwrap();
            assert!((radius - l1).abs() < 2e-6, "{p}: {radius}");
        }
        assert_eq!(noise.radius(CertifiedNorm::Linf, 0.9, 3072), None);
        // The logarithm of 1 times -lambda is -0.
        let zero = noise.radius(CertifiedNorm::L1, 0.5, 3072).unwrap();
        assert_eq!((zero, zero.is_sign_positive()), (0.0, true));
    }

    /// The classifier `z < t` has p = 1 - exp(-t / lambda) / 2 and loses its majority at distance t: no
    /// larger radius is true.
    #[test]
    fn a_threshold_loses_its_majority_at_the_radius() {
        let noise = Laplace { sigma: 0.25 };
        for t in [0.0f64, 1e-6, 0.01, 0.2, 1.0, 2.5] {
            let p = 1.0 - 0.5 * (-t / noise.lambda()).exp();
            let radius = noise.radius(CertifiedNorm::L1, p, 1).unwrap();
            // p itself carries a rounding error, which the logarithm multiplies.
            let slack = 4.0 * f64::EPSILON * noise.lambda() / (1.0 - p);
            assert!(radius <= t + slack && radius >= t - slack - 1e-12, "{t}: {radius}");
        }
    }

    /// No classifier does worse than the likelihood ratio test, here summed over a fine grid of a
    /// plane, for moves along an axis and across.
    #[test]
    fn the_worst_classifier_keeps_its_half_inside_the_radius() {
        let noise = Laplace { sigma: 1.0 };
        let (lambda, step, half) = (noise.lambda(), 0.02, 500i32);
        let density = |z: f64| (-z.abs() / lambda).exp() / (2.0 * lambda) * step;
        let p = 0.8;
        let radius = noise.radius(CertifiedNorm::L1, p, 2).unwrap();
        for (scale, direction) in [(0.98, [1.0, 0.0]), (0.98, [0.5, 0.5]), (1.03, [1.0, 0.0])] {
            let cell = |k: i32| f64::from(k) * step;
            let mut cells: Vec<(f64, f64)> = (-half..=half)
                .flat_map(|a| (-half..=half).map(move |b| [cell(a), cell(b)]))
                .map(|[a, b]| {
                    let clean = density(a) * density(b);
                    let moved = density(a - scale * radius * direction[0])
                        * density(b - scale * radius * direction[1]);
                    (clean, moved)
                })
                .collect();
            // The class takes the places that the move makes rarest until it has probability p.
            cells.sort_by(|x, y| (x.1 / x.0).total_cmp(&(y.1 / y.0)));
            let (mut clean, mut moved) = (0.0, 0.0);
            for cell in cells {
                if clean >= p {
                    break;
                }
                clean += cell.0;
                moved += cell.1;
            }
            assert_eq!(moved > 0.5, scale < 1.0, "{scale} {direction:?}: {moved}");
        }
    }

    #[test]
    fn the_noise_has_the_laplace_distribution() {
        let (image, mut out) = (vec![0.5; 40_000], vec![0.0; 40_000]);
        Laplace { sigma: 0.5 }.apply(&image, Stream::new(2, "x").draw(0, 0), &mut out);
        let z: Vec<f64> = out.iter().map(|o| f64::from(*o) - 0.5).collect();
        let lambda = 0.5 * FRAC_1_SQRT_2;
        for t in [-1.5f64, -0.5, -0.1, 0.0, 0.1, 0.5, 1.5] {
            let tail = 0.5 * (-t.abs() / lambda).exp();
            let exact = if t < 0.0 { tail } else { 1.0 - tail };
            let below = z.iter().filter(|z| **z < t).count() as f64 / 40_000.0;
            assert!((below - exact).abs() < 0.01, "{t}: {below} {exact}");
        }
    }
}
