//! What N and alpha can reach before a sample is drawn: the fewest votes that certify anything, and
//! the largest radius, which even an image that never changes class cannot exceed.

use super::cohen;
use crate::stats::{binomial, clopper_pearson};

/// The smallest nA of N samples at which CERTIFY does not abstain; `None` if it always does.
pub fn smallest_n_a(n: u64, alpha: f64) -> Option<u64> {
    smallest(n, |n_a| clopper_pearson::lower(n_a, n, alpha) >= 0.5)
}

/// The smallest count of the most frequent class at which PREDICT does not abstain, of the
/// `n = c1 + c2` samples in the two most frequent classes; `None` if it always does.
pub fn smallest_c1(n: u64, alpha: f64) -> Option<u64> {
    // Below half of n the most frequent class would be the other one.
    smallest(n, |c1| c1 >= n.div_ceil(2) && binomial::two_sided_half(c1, n) <= alpha)
}

/// The smallest certified radius other than none, at [`smallest_n_a`]; `None` if N always abstains.
pub fn smallest_radius(sigma: f64, n: u64, alpha: f64) -> Option<f64> {
    smallest_n_a(n, alpha).map(|n_a| cohen::radius(clopper_pearson::lower(n_a, n, alpha), sigma))
}

/// The ceiling of all certified radii, sigma Phi^-1(alpha^(1/N)), at nA = N; `None` if N always
/// abstains. A larger radius in a table means that its N, alpha or sigma is not the stated one.
pub fn largest_radius(sigma: f64, n: u64, alpha: f64) -> Option<f64> {
    let p_low = clopper_pearson::lower(n, n, alpha);
    (p_low >= 0.5).then(|| cohen::radius(p_low, sigma))
}

/// The smallest k in 1..=n for which `holds`, which is false up to some k and true from there.
fn smallest(n: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut fails, mut works) = (0, n);
    if n == 0 || !holds(n) {
        return None;
    }
    while works - fails > 1 {
        let middle = fails + (works - fails) / 2;
        if holds(middle) { works = middle } else { fails = middle }
    }
    Some(works)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewest_votes_that_certify() {
        for (n, at_001, at_01, at_05) in [
            (100, 66, 63, 59),
            (1000, 550, 538, 527),
            (10_000, 5156, 5117, 5083),
            (100_000, 50_490, 50_369, 50_261),
            (1_000_000, 501_546, 501_164, 500_823),
        ] {
            assert_eq!(smallest_n_a(n, 0.001), Some(at_001), "N={n}");
            assert_eq!(smallest_n_a(n, 0.01), Some(at_01), "N={n}");
            assert_eq!(smallest_n_a(n, 0.05), Some(at_05), "N={n}");
        }
        assert_eq!((smallest_n_a(9, 0.001), smallest_n_a(0, 0.001)), (None, None));
        assert_eq!(smallest_n_a(10, 0.001), Some(10));
    }

    #[test]
    fn fewest_votes_that_predict() {
        for (n, at_001, at_05) in [
            (10, None, Some(9)),
            (100, Some(67), Some(61)),
            (1000, Some(553), Some(532)),
            (10_000, Some(5166), Some(5099)),
            (100_000, Some(50_521), Some(50_311)),
        ] {
            assert_eq!(smallest_c1(n, 0.001), at_001, "c1 + c2 = {n}");
            assert_eq!(smallest_c1(n, 0.05), at_05, "c1 + c2 = {n}");
        }
    }

    #[test]
    fn radii_lie_between_the_smallest_and_the_ceiling() {
        let ceiling = largest_radius(0.5, 100_000, 0.001).unwrap();
        assert!((ceiling - 0.5 * 3.811_456_563_389_914_5).abs() < 1e-11);
        let smallest = smallest_radius(0.5, 100_000, 0.001).unwrap();
        assert!((smallest - 0.5 * 2.243_125_094_497_431_3e-5).abs() < 1e-11);
        assert_eq!(largest_radius(0.5, 9, 0.001), None);
        assert_eq!(smallest_radius(0.5, 9, 0.001), None);
    }
}
