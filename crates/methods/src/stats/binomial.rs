//! Tails of the binomial distribution, and the exact two-sided test of p = 1/2: whether one of two
//! counts is larger by more than chance. PREDICT (Cohen et al. 2019, section 3.2.1) asks it about the
//! two most frequent classes, McNemar's test about the images on which two methods differ.

use statrs::function::beta::checked_beta_reg;

/// The p-value of `k` successes in `n` trials under p = 1/2: the probability of a count at least as
/// far from `n / 2`, `min(1, 2 P(Binomial(n, 1/2) >= max(k, n - k)))`. It is 1 without trials and
/// for input that is no count (`k > n`).
///
/// Values below 0.1 are exact to 1e-9 relative for `n` up to 1e6; near 1, where no test decides, a
/// very large `n` gets values a few percent too large.
pub fn two_sided_half(k: u64, n: u64) -> f64 {
    let larger = k.max(n.saturating_sub(k));
    if n == 0 || k > n || 2 * larger == n {
        return 1.0;
    }
    let (a, b) = (larger as f64, (n - larger) as f64 + 1.0);
    checked_beta_reg(a, b, 0.5).map_or(1.0, |tail| (2.0 * tail).min(1.0))
}

/// `P(Binomial(n, p) >= k)`, to about 1e-9 relative in the tails; 1 for `k` = 0, 0 for `k > n`. `p` is
/// clamped to [0, 1].
pub fn at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 || k > n {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    let (a, b) = (k as f64, (n - k) as f64 + 1.0);
    checked_beta_reg(a, b, p.clamp(0.0, 1.0)).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_the_sum() {
        let (n, p) = (30u64, 0.83f64);
        let mut coefficient = 1.0;
        let terms: Vec<f64> = (0..=n)
            .map(|i| {
                let term = coefficient * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32);
                coefficient *= (n - i) as f64 / (i + 1) as f64;
                term
            })
            .collect();
        for k in 0..=n {
            let sum: f64 = terms[k as usize..].iter().rev().sum();
            assert!((at_least(k, n, p) - sum).abs() < 1e-12, "{k}");
        }
        assert_eq!(
            (at_least(31, n, p), at_least(3, n, 1.5), at_least(3, n, -1.0)),
            (0.0, 1.0, 0.0)
        );
    }

    /// The p-value by summing binomial coefficients, for small n.
    fn by_summing(k: u64, n: u64) -> f64 {
        let mut coefficient = 1.0;
        let mut tail = 0.0;
        for i in 0..=n.min(k.min(n - k)) {
            tail += coefficient;
            coefficient *= (n - i) as f64 / (i + 1) as f64;
        }
        (2.0 * tail / 2.0f64.powi(n as i32)).min(1.0)
    }

    #[test]
    fn small_tests_agree_with_the_sum_of_binomial_coefficients() {
        for n in 1..=60 {
            for k in 0..=n {
                let (fast, slow) = (two_sided_half(k, n), by_summing(k, n));
                assert!((fast - slow).abs() <= 1e-12 * slow, "{k}/{n}: {fast} vs {slow}");
            }
        }
    }

    #[test]
    fn input_that_is_no_count_is_never_significant() {
        assert_eq!(two_sided_half(0, 0), 1.0);
        assert_eq!(two_sided_half(4, 3), 1.0);
    }
}
