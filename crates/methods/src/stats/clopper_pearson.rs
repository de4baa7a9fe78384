//! One-sided Clopper-Pearson bounds of a probability p, from `k` successes in `n` independent
//! trials (Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case
//! of the binomial", Biometrika 1934). Every certificate rests on the lower one, so both are
//! *sound*: floating-point error moves them outward and never inward.
//!
//! The exact lower bound is the x at which `P(Binomial(n, x) >= k) = I_x(k, n - k + 1)` is `alpha`.
//! Inverses of the incomplete beta function stop on either side of that x. Here the function itself
//! is bisected, and the answer is a number at which it was *seen* to be below `alpha` by more than
//! its own error (`relative_error` below).

use statrs::function::beta::checked_beta_reg;

/// The largest x of which p is known, with confidence `1 - alpha`, to be no smaller: the alpha
/// quantile of Beta(k, n - k + 1), rounded down (by less than 1e-11 for `n` up to 1e6 and `alpha`
/// from 1e-6 to 0.1).
///
/// Input that is no count or no confidence (`k > n`, `alpha` outside (0, 1)) gets the trivial
/// bound 0.
pub fn lower(k: u64, n: u64, alpha: f64) -> f64 {
    if k == 0 || k > n || !(alpha > 0.0 && alpha < 1.0) {
        return 0.0;
    }
    if k == n {
        // P(X = n) = p^n. The factor covers the rounding of a logarithm, a quotient and `exp`.
        return (alpha.ln() / n as f64).exp() * (1.0 - 4.0 * f64::EPSILON);
    }
    let (mut safe, mut too_high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (safe + too_high);
        if middle <= safe || middle >= too_high {
            return safe;
        }
        if proves(k, n, alpha, middle) { safe = middle } else { too_high = middle }
    }
}

/// Whether p is known to be at least `x`, in (0, 1), with confidence `1 - alpha`: one evaluation, where
/// [`lower`] needs about sixty to find the largest such x.
pub fn proves(k: u64, n: u64, alpha: f64, x: f64) -> bool {
    if k == 0 || k > n || !(alpha > 0.0 && alpha < 1.0) || !(x > 0.0 && x < 1.0) {
        return false;
    }
    let (a, b) = (k as f64, (n - k) as f64 + 1.0);
    let below = alpha * (1.0 - relative_error(n));
    checked_beta_reg(a, b, x).is_ok_and(|tail| tail <= below)
}

/// The smallest x of which p is known, with confidence `1 - alpha`, to be no larger: the
/// 1 - alpha quantile of Beta(k + 1, n - k), rounded up.
///
/// Input that is no count or no confidence (`k > n`, `alpha` outside (0, 1)) gets the trivial
/// bound 1.
pub fn upper(k: u64, n: u64, alpha: f64) -> f64 {
    if k >= n || !(alpha > 0.0 && alpha < 1.0) {
        return 1.0;
    }
    if k == 0 {
        // P(X = 0) = (1 - p)^n, written so that a small bound keeps its digits.
        return (-(alpha.ln() / n as f64).exp_m1() * (1.0 + 4.0 * f64::EPSILON)).min(1.0);
    }
    // Failures are a binomial count too; the difference is rounded, so it moves up by one number.
    (1.0 - lower(n - k, n, alpha)).next_up().min(1.0)
}

/// How far `statrs`' incomplete beta function may be off in the lower tail, relative to its value.
/// It takes the exponential of a difference of logarithms of gamma functions as large as
/// `n ln n`, which loses that many units of the last place; the error measured against 40-digit
/// arithmetic for `n` from 10 to 1e7 stays below a quarter of this. (Its continued fraction stops
/// after 140 terms, which is enough outside the middle of the distribution; in the middle, which
/// only an alpha near 1/2 reaches, a stopped fraction is too large, and the bound conservative.)
fn relative_error(n: u64) -> f64 {
    let n = n as f64;
    16.0 * f64::EPSILON * (64.0 + n * n.ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use proptest::prelude::*;

    /// `(k, n, bound)` at alpha = 0.001, from SciPy 1.17 `betaincinv`, which agrees with 40-digit
    /// arithmetic.
    const LOWER: [(u64, u64, f64); 13] = [
        (100_000, 100_000, 0.999_930_924_833_009_4),
        (99_999, 100_000, 0.999_907_669_666_265_4),
        (99_990, 100_000, 0.999_758_677_343_591_1),
        (99_000, 100_000, 0.988_989_340_377_474_8),
        (75_000, 100_000, 0.745_746_842_135_566_7),
        (60_000, 100_000, 0.595_201_047_294_584_6),
        (50_490, 100_000, 0.500_008_948_774_403_5),
        (50_489, 100_000, 0.499_998_948_488_635_5),
        (50_000, 100_000, 0.495_109_042_903_695_95),
        (100, 100, 0.933_254_300_796_991),
        (1000, 1000, 0.993_116_048_420_933_8),
        (10_000, 10_000, 0.999_309_463_002_589_9),
        (999_990, 1_000_000, 0.999_975_866_199_408_6),
    ];

    #[test]
    fn lower_bounds_are_the_published_quantiles_rounded_down() {
        for (k, n, exact) in LOWER {
            let error = exact - lower(k, n, 0.001);
            assert!((-1e-16..4e-12).contains(&error), "k={k} n={n}: below by {error:e}");
        }
        let tiny = lower(1, 100_000, 0.001);
        let exact = 1.000_500_328_578_529e-8;
        assert!(tiny <= exact && exact - tiny < 1e-7 * exact, "{tiny:e}");
    }

    #[test]
    fn upper_bounds_mirror_lower_bounds() {
        for (k, n, exact) in LOWER {
            let error = upper(n - k, n, 0.001) - (1.0 - exact);
            assert!((-1e-16..4e-12).contains(&error), "k={} n={n}: above by {error:e}", n - k);
        }
        // 1 - (1 - p)^n = 1 - alpha has a closed form, here with all its digits.
        let exact = 6.907_516_699_060_702e-5;
        assert!((upper(0, 100_000, 0.001) - exact).abs() < 1e-17);
    }

    #[test]
    fn the_tail_at_a_bound_is_alpha() {
        for n in [1u64, 2, 7, 100, 300] {
            for alpha in [1e-6, 0.001, 0.05, 0.4] {
                for k in [n.div_ceil(2), n - n / 10, n] {
                    let x = lower(k, n, alpha);
                    let tail = binomial_tail(k, n, x);
                    assert!(
                        (1.0 - 1e-9..1.0 + 1e-12).contains(&(tail / alpha)),
                        "{k}/{n}: {tail:e}"
                    );
                }
            }
        }
    }

    /// P(Binomial(n, p) >= k), summed from its smallest terms.
    fn binomial_tail(k: u64, n: u64, p: f64) -> f64 {
        let mut term = (n as f64 * p.ln()).exp();
        let mut tail = 0.0;
        for i in (k..=n).rev() {
            tail += term;
            term *= i as f64 / (n - i + 1) as f64 * (1.0 - p) / p;
        }
        tail
    }

    #[test]
    fn input_that_is_no_count_or_confidence_gets_the_trivial_bound() {
        for (k, n, alpha) in
            [(0, 0, 0.1), (3, 2, 0.1), (1, 2, 0.0), (1, 2, 1.0), (1, 2, f64::NAN), (1, 2, -1.0)]
        {
            assert_eq!((lower(k, n, alpha), upper(k, n, alpha)), (0.0, 1.0), "{k} {n} {alpha}");
        }
        assert_eq!((lower(0, 5, 0.1), upper(5, 5, 0.1)), (0.0, 1.0));
    }

    #[test]
    fn bounds_cover_the_truth_as_often_as_they_promise() {
        let (n, runs, alpha) = (200, 4000, 0.05);
        let bounds: Vec<(f64, f64)> =
            (0..=n).map(|k| (lower(k, n, alpha), upper(k, n, alpha))).collect();
        let stream = Stream::new(3, "coverage");
        for (number, p) in [0.5, 0.83, 0.985].into_iter().enumerate() {
            let mut trials = vec![0.0; n as usize];
            let (mut low, mut high) = (0, 0);
            for run in 0..runs {
                stream.draw(number as u64, run).uniform(&mut trials);
                let k = trials.iter().filter(|u| f64::from(**u) < p).count();
                low += u32::from(bounds[k].0 <= p);
                high += u32::from(bounds[k].1 >= p);
            }
            // Four standard deviations of the share of misses; the upper limit shows that the
            // bounds are not merely trivial.
            let slack = 4.0 * (alpha * (1.0 - alpha) / f64::from(runs)).sqrt();
            for covered in [low, high] {
                let missed = 1.0 - f64::from(covered) / f64::from(runs);
                assert!(missed <= alpha + slack && missed > 0.015, "p={p}: missed {missed}");
            }
        }
    }

    proptest! {
        #[test]
        fn bounds_are_ordered_and_monotone(n in 1u64..5000, share in 0f64..=1.0, alpha in 1e-6f64..0.5) {
            let k = (share * n as f64) as u64;
            let (low, high) = (lower(k, n, alpha), upper(k, n, alpha));
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            prop_assert!(low <= k as f64 / n as f64 && k as f64 / n as f64 <= high);
            prop_assert!(k == n || low < lower(k + 1, n, alpha));
        }
    }
}
