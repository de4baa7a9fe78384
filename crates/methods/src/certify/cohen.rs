//! CERTIFY and PREDICT of Cohen et al. 2019 (section 3.2, pseudocode in the same place, proofs in
//! appendices A and C), as functions of counts: what the paper calls `SampleUnderNoise` is the
//! [`Sampler`](super::Sampler). `counts[c]` is the number of noisy samples that the network put in
//! class c. Symbols are the paper's.

use std::cmp::Reverse;

use crate::stats::{binomial, normal};

/// The class of an image that is not certified or predicted, in tables.
pub const ABSTAIN: i64 = -1;

/// What CERTIFY found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Certificate {
    /// Class of the smoothed classifier; `None` is ABSTAIN.
    pub prediction: Option<u32>,
    /// R, the radius inside which `prediction` does not change, in the norm and unit of the noise; 0 if
    /// it abstained. An f64 rounded down.
    pub radius: f64,
    /// cA, the class that the N0 samples selected.
    pub selected: u32,
    /// nA, the samples among N in class cA.
    pub n_a: u64,
    /// Lower bound of pA, the probability of class cA.
    pub p_low: f64,
}

/// CERTIFY, from the counts of N0 samples and those of N fresh ones (section 3.2.2).
///
/// ```text
/// cA = argmax counts0                      a tie goes to the lowest class
/// nA = counts[cA]
/// pA = LowerConfBound(nA, N, 1 - alpha)    one-sided Clopper-Pearson
/// if pA < 1/2 abstain, else (cA, R(pA))    for Gaussian noise R = sigma Phi^-1(pA)
/// ```
///
/// The runner-up's probability is bounded by 1 - pA. `lower` is LowerConfBound of (nA, N), another one
/// in another [`mode`](super::mode). `radius` is R, `None` where the noise proves nothing after all; it
/// is not asked below 1/2.
pub fn certify(
    counts0: &[u64],
    counts: &[u64],
    lower: impl Fn(u64, u64) -> f64,
    radius: impl Fn(f64) -> Option<f64>,
) -> Certificate {
    let c_a = argmax(counts0);
    let n_a = counts.get(c_a).copied().unwrap_or(0);
    let p_low = lower(n_a, counts.iter().sum());
    let radius = if p_low < 0.5 { None } else { radius(p_low) };
    Certificate {
        prediction: radius.map(|_| c_a as u32),
        radius: radius.unwrap_or(0.0),
        selected: c_a as u32,
        n_a,
        p_low,
    }
}

/// PREDICT, from the counts of N samples (section 3.2.1): the most frequent class, unless a
/// two-sided binomial test at level `alpha` cannot tell it from the second (`None`, ABSTAIN). Of
/// equally frequent classes the highest comes first, as in the authors' reversed `argsort`.
pub fn predict(counts: &[u64], alpha: f64) -> Option<u32> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|c| Reverse((counts[*c], *c)));
    let first = *order.first()?;
    let (n_a, n_b) = (counts[first], order.get(1).map_or(0, |second| counts[*second]));
    let p_value = binomial::two_sided_half(n_a, n_a + n_b);
    (p_value <= alpha).then_some(first as u32)
}

/// R = sigma Phi^-1(p_low) (theorem 1 with pB = 1 - pA), rounded down by 8 units of the last place,
/// which is more than the quantile and the product are off. `p_low` is in [1/2, 1).
pub fn radius(p_low: f64, sigma: f64) -> f64 {
    sigma * normal::quantile(p_low) * (1.0 - 8.0 * f64::EPSILON)
}

/// Index of the largest count, the lowest one in a tie.
pub(super) fn argmax(counts: &[u64]) -> usize {
    (0..counts.len()).max_by_key(|c| (counts[*c], Reverse(*c))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::clopper_pearson;

    fn certify(counts0: &[u64], counts: &[u64], sigma: f64, alpha: f64) -> Certificate {
        let lower = |n_a, n| clopper_pearson::lower(n_a, n, alpha);
        super::certify(counts0, counts, lower, |p_low| Some(radius(p_low, sigma)))
    }

    /// `(nA, N, R / sigma)` at alpha = 0.001, from SciPy 1.17 and statsmodels 0.15.
    const RADII: [(u64, u64, f64); 11] = [
        (100_000, 100_000, 3.811_456_563_389_914_5),
        (99_999, 100_000, 3.739_126_668_543_357),
        (99_990, 100_000, 3.490_207_680_146_623_3),
        (99_000, 100_000, 2.289_999_955_213_766),
        (75_000, 100_000, 0.661_165_293_911_595_3),
        (60_000, 100_000, 0.240_944_792_234_725_48),
        (50_490, 100_000, 2.243_125_094_497_431_3e-5),
        (100, 100, 1.500_475_024_120_636_4),
        (1000, 1000, 2.463_262_614_780_811_4),
        (10_000, 10_000, 3.198_577_514_738_338_4),
        (999_990, 1_000_000, 4.063_860_881_147_497),
    ];

    #[test]
    fn radii_are_the_published_ones_rounded_down() {
        for (n_a, n, exact) in RADII {
            let certificate = certify(&[0, 100], &[n - n_a, n_a], 1.0, 0.001);
            assert_eq!((certificate.prediction, certificate.n_a), (Some(1), n_a));
            let error = exact - certificate.radius;
            assert!((-1e-15..1e-9).contains(&error), "nA={n_a} N={n}: below by {error:e}");
            let half = certify(&[0, 100], &[n - n_a, n_a], 0.5, 0.001);
            assert_eq!(half.radius, 0.5 * certificate.radius);
        }
    }

    #[test]
    fn one_sample_fewer_than_the_least_abstains() {
        let certificate = certify(&[0, 100], &[100_000 - 50_489, 50_489], 0.25, 0.001);
        assert_eq!((certificate.prediction, certificate.radius), (None, 0.0));
        assert_eq!((certificate.selected, certificate.n_a), (1, 50_489));
        assert!((certificate.p_low - 0.499_998_948_488_635_5).abs() < 1e-11);
    }

    #[test]
    fn the_selected_class_is_the_one_that_is_certified() {
        // Class 2 wins the N samples, but the N0 samples chose 0, and the choice must not be redone.
        let certificate = certify(&[60, 0, 40], &[10, 0, 990], 1.0, 0.001);
        assert_eq!((certificate.prediction, certificate.selected), (None, 0));
    }

    #[test]
    fn ties_go_to_the_lowest_class_in_certify_and_to_the_highest_in_predict() {
        assert_eq!(certify(&[3, 5, 5], &[0, 1000, 0], 1.0, 0.001).prediction, Some(1));
        // At a level of 1 - anything a tie is significant only for alpha >= 1, so it abstains.
        assert_eq!(predict(&[5, 5, 0], 0.999), None);
        // The order among ties shows when the test is no hurdle.
        assert_eq!(predict(&[5, 5, 0], 1.0), Some(1));
    }

    #[test]
    fn predict_tests_the_two_most_frequent_classes_only() {
        // 67 of 100 is the least that is significant at 0.001; the third class does not enter.
        assert_eq!(predict(&[33, 67, 30], 0.001), Some(1));
        assert_eq!(predict(&[34, 66, 30], 0.001), None);
        assert_eq!(predict(&[11], 0.001), Some(0));
        assert_eq!(predict(&[], 0.5), None);
    }
}
