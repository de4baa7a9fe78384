//! The standard normal distribution. The quantile (`statrs`) is within 5e-16 of the exact one,
//! relative, for p from 0.5 to 1 - 1e-15; the distribution function (`libm`'s erfc) within 2e-13,
//! relative, down to z = -37. Whoever needs a bound in one direction subtracts a few units of the
//! last place, as [`crate::certify::cohen`] does.

use std::f64::consts::FRAC_1_SQRT_2;

use statrs::distribution::{ContinuousCDF, Normal};

/// Phi(z), the probability of a standard normal number of at most `z`.
pub fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// Phi^-1(p): negative infinity at 0, infinity at 1, NaN outside [0, 1].
pub fn quantile(p: f64) -> f64 {
    if (0.0..=1.0).contains(&p) { Normal::standard().inverse_cdf(p) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_scipy() {
        for (p, z) in [
            (0.999_930_924_833_009_4, 3.811_456_563_389_914_5),
            (0.999_907_669_666_265_4, 3.739_126_668_543_357),
            (0.999_758_677_343_591_1, 3.490_207_680_146_623_3),
            (0.745_746_842_135_566_7, 0.661_165_293_911_595_3),
            (0.500_008_948_774_403_5, 2.243_125_094_497_431_3e-5),
            (0.933_254_300_796_991, 1.500_475_024_120_636_4),
            (0.999_975_866_199_408_6, 4.063_860_881_147_497),
            (0.975, 1.959_963_984_540_054),
        ] {
            assert!((quantile(p) - z).abs() <= 2e-15 * z.max(1.0), "{p}: {}", quantile(p));
            assert!((cdf(z) - p).abs() <= 1e-15, "{z}: {}", cdf(z));
        }
    }

    #[test]
    fn the_ends_are_infinite_and_the_outside_is_not_a_number() {
        assert_eq!(quantile(0.5), 0.0);
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
        for p in [-1e-300, 1.0f64.next_up(), f64::NAN, f64::INFINITY] {
            assert!(quantile(p).is_nan());
        }
    }
}
