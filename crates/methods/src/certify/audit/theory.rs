//! Which radii there can be: the noise says what a probability proves, Clopper and Pearson which
//! probabilities N votes can prove, and both can be asked backwards.

use std::ops::RangeInclusive;

use super::printed::Printed;
use crate::certify::noise::{CertifiedNorm, Family, Noise};
use crate::error::Result;
use crate::stats::{binomial, clopper_pearson};

/// More than rounding the radius of a count to its six decimals can be off.
const SLACK: f64 = 1e-9;

/// The noise of a claim.
pub(super) struct Theory {
    noise: Box<dyn Noise>,
    norm: CertifiedNorm,
    dimension: usize,
}

impl Theory {
    /// `shape` of the images, `[C, H, W]`, matters to Linf and L0 only.
    pub(super) fn new(
        family: Family,
        norm: CertifiedNorm,
        sigma: f64,
        shape: [usize; 3],
    ) -> Result<Self> {
        let noise = family.noise_for(norm, sigma, shape)?;
        Ok(Self { noise, norm, dimension: shape.iter().product() })
    }

    /// What a lower bound of the probability proves.
    pub(super) fn radius(&self, p_low: f64) -> Option<f64> {
        if p_low < 0.5 {
            None
        } else {
            self.noise.radius(self.norm, p_low.min(ONE), self.dimension)
        }
    }

    /// The radius of an image that never changes class; `None` if even that proves nothing.
    pub(super) fn ceiling(&self, n: u64, alpha: f64) -> Option<f64> {
        self.radius(clopper_pearson::lower(n, n, alpha))
    }

    /// Whether N votes and alpha allow `radius`. The ceiling is rounded down, and another program may
    /// have rounded the same probability up. Both are f64, so the table gets the benefit of a few units
    /// of the last place.
    pub(super) fn allows(&self, n: u64, alpha: f64, radius: f64) -> bool {
        let p_low = clopper_pearson::lower(n, n, alpha);
        let reaches = |p| self.radius(p).is_some_and(|r| r * (1.0 + 32.0 * f64::EPSILON) >= radius);
        self.radius(p_low).is_some() && reaches(p_low * (1.0 + 8.0 * f64::EPSILON))
    }

    /// The votes among `n` that may have given a printed radius; `None` if no number of them does.
    pub(super) fn votes(
        &self,
        printed: Printed,
        n: u64,
        alpha: f64,
    ) -> Option<RangeInclusive<u64>> {
        let least = self.fewest(printed.low - SLACK, n, alpha);
        let beyond = self.fewest(printed.high + SLACK, n, alpha);
        (least < beyond).then(|| least..=beyond - 1)
    }

    /// The fewest votes among `n` that prove `radius`; n + 1 if none do.
    fn fewest(&self, radius: f64, n: u64, alpha: f64) -> u64 {
        let p_low = self.probability(radius);
        // k votes prove p_low if so many are less likely than alpha under it.
        let (mut fails, mut works) = (0, n + 1);
        while works - fails > 1 {
            let middle = fails + (works - fails) / 2;
            if binomial::at_least(middle, n, p_low) <= alpha {
                works = middle;
            } else {
                fails = middle;
            }
        }
        works
    }

    /// The smallest bound of the probability that proves `radius`, 1 if none does.
    pub(super) fn probability(&self, radius: f64) -> f64 {
        let proves = |p: f64| self.radius(p).is_some_and(|r| r >= radius);
        let (mut fails, mut works) = (0.5f64.next_down(), 1.0);
        if !proves(ONE) {
            return 1.0;
        }
        loop {
            let middle = 0.5 * (fails + works);
            if middle <= fails || middle >= works {
                return works;
            }
            if proves(middle) { works = middle } else { fails = middle }
        }
    }

    /// The smallest alpha with which N votes prove `radius`; `None` if none below 1/2 does.
    pub(super) fn alpha_for(&self, radius: f64, n: u64) -> Option<f64> {
        let proves = |log: f64| self.ceiling(n, log.exp()).is_some_and(|ceiling| ceiling >= radius);
        bisect(1e-300f64.ln(), 0.5f64.ln(), proves).map(f64::exp)
    }

    /// The smallest N that [allows](Self::allows) `radius` with alpha; `None` beyond 10^12.
    pub(super) fn n_for(&self, radius: f64, alpha: f64) -> Option<u64> {
        let proves = |n: u64| self.allows(n, alpha, radius);
        let (mut fails, mut works) = (0, 1_000_000_000_000);
        if !proves(works) {
            return None;
        }
        while works - fails > 1 {
            let middle = fails + (works - fails) / 2;
            if proves(middle) { works = middle } else { fails = middle }
        }
        Some(works)
    }
}

/// The largest probability below 1.
const ONE: f64 = 1.0 - f64::EPSILON / 2.0;

/// Where `holds`, false up to some place and true from there, becomes true.
fn bisect(mut fails: f64, mut works: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if !holds(works) {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (fails + works);
        if holds(middle) { works = middle } else { fails = middle }
    }
    Some(works)
}

#[cfg(test)]
mod tests {
    use super::super::printed::Precision;
    use super::*;

    fn gaussian(sigma: f64) -> Theory {
        Theory::new(Family::Gaussian, CertifiedNorm::L2, sigma, [3, 32, 32]).unwrap()
    }

    #[test]
    fn votes_come_back_from_the_radii_they_prove() {
        let families = [
            (Family::Gaussian, CertifiedNorm::L2),
            (Family::Gaussian, CertifiedNorm::Linf),
            (Family::Uniform, CertifiedNorm::L1),
            (Family::Laplace, CertifiedNorm::L1),
        ];
        for (family, norm) in families {
            let theory = Theory::new(family, norm, 0.25, [1, 8, 8]).unwrap();
            for votes in [551, 600, 777, 990, 999, 1000] {
                let radius = theory.radius(clopper_pearson::lower(votes, 1000, 0.001)).unwrap();
                let floored = crate::stats::rounding::floor_decimals(radius, 6);
                let printed = Precision::Down(6).read(floored);
                let found = theory.votes(printed, 1000, 0.001);
                assert_eq!(found, Some(votes..=votes), "{} {norm}", family.name());
            }
        }
    }

    #[test]
    fn radii_between_two_counts_belong_to_none() {
        let theory = gaussian(0.25);
        let three_digits = Precision::Digits { significant: 3, decimals: 7 };
        let votes = |value| theory.votes(three_digits.read(value), 100_000, 0.001);
        assert_eq!(votes(0.953), Some(100_000..=100_000));
        assert_eq!(votes(0.935), Some(99_999..=99_999));
        assert_eq!(votes(0.944), None);
        assert_eq!(votes(0.96), None);
        assert!(votes(0.1).is_some_and(|votes| votes.count() > 10));
    }

    #[test]
    fn alpha_and_n_come_back_from_the_ceiling() {
        let theory = gaussian(0.25);
        for alpha in [1e-6, 0.001, 0.01, 0.3] {
            let ceiling = theory.ceiling(100_000, alpha).unwrap();
            let found = theory.alpha_for(ceiling, 100_000).unwrap();
            assert!((found / alpha - 1.0).abs() < 1e-6, "{alpha}: {found}");
            assert_eq!(theory.n_for(ceiling, alpha), Some(100_000));
        }
        assert_eq!(theory.alpha_for(1.5, 100_000), None);
        assert_eq!(theory.n_for(5.0, 0.001), None);
        assert_eq!(theory.ceiling(9, 0.001), None);
    }

    #[test]
    fn the_smallest_n_is_that_of_the_formula_in_every_family() {
        // N = ln(alpha) / ln(p), rounded up, where p is the inverse of the family's formula at the radius.
        // The numbers were computed outside of this program: the tail of the normal distribution by erfc,
        // the binomial coefficients of random ablation exactly.
        use CertifiedNorm::{L0, L1, L2, Linf};
        let ablation = Family::Ablation { k: 6, fill: 0.0 };
        for (family, norm, radius, n) in [
            (Family::Gaussian, L2, 0.05, 13),
            (Family::Gaussian, L2, 0.3, 57),
            (Family::Gaussian, L2, 0.9, 43_412),
            (Family::Gaussian, L1, 0.9, 43_412),
            (Family::Gaussian, L2, 1.2, 8_707_308),
            (Family::Gaussian, Linf, 0.1, 10_050),
            (Family::Uniform, L1, 0.4, 178),
            (Family::Uniform, Linf, 0.009, 553),
            (Family::Laplace, L1, 1.0, 3952),
            (ablation, L0, 1.0, 14),
            (ablation, L0, 3.0, 26),
            (ablation, L0, 5.0, 65),
        ] {
            let theory = Theory::new(family, norm, 0.25, [1, 8, 8]).unwrap();
            assert_eq!(theory.n_for(radius, 0.001), Some(n), "{} {norm} {radius}", family.name());
            assert!(theory.allows(n, 0.001, radius) && !theory.allows(n - 1, 0.001, radius));
        }
        // No probability proves more than half of the side of the cube, sqrt(3) sigma.
        let uniform = Theory::new(Family::Uniform, L1, 0.25, [1, 8, 8]).unwrap();
        assert_eq!(uniform.n_for(0.44, 0.001), None);
        // Ten votes are the fewest that certify anything.
        assert_eq!(gaussian(0.25).n_for(0.0, 0.001), Some(10));
    }

    #[test]
    fn n_is_not_one_too_large_for_a_radius_in_full_precision() {
        // Python's NormalDist().inv_cdf(0.001 ** (1 / 100_000)) / 4; the ceiling here is a little below.
        let radius = 0.952_864_140_847_478_4;
        let theory = gaussian(0.25);
        assert!(theory.ceiling(100_000, 0.001).unwrap() < radius);
        assert_eq!(theory.n_for(radius, 0.001), Some(100_000));
    }
}
