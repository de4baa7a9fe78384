//! Wilson's score interval of a share (Wilson, "Probable inference, the law of succession, and
//! statistical inference", JASA 1927): the uncertainty that a leaderboard prints beside an accuracy.
//! Its coverage is close to the stated one on average; it is an interval to read, not a guarantee
//! (for that see [`super::clopper_pearson`]).

use super::normal;

/// The two-sided interval `(low, high)`, inside [0, 1], of the share of which `k` of `n` were seen.
/// `confidence` is in (0, 1), for example 0.95. Without data or with input that is no count
/// (`k > n`) it is (0, 1).
pub fn interval(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    let z = normal::quantile(0.5 + 0.5 * confidence);
    if n == 0 || k > n || !z.is_finite() || z < 0.0 {
        return (0.0, 1.0);
    }
    let (n, p, z2) = (n as f64, k as f64 / n as f64, z * z);
    let centre = p + z2 / (2.0 * n);
    let half = z * ((p * (1.0 - p) + z2 / (4.0 * n)) / n).sqrt();
    let scale = 1.0 / (1.0 + z2 / n);
    ((scale * (centre - half)).clamp(0.0, p), (scale * (centre + half)).clamp(p, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_solve_the_defining_equation() {
        // |p - p0| = z sqrt(p0 (1 - p0) / n) at both ends p0.
        for (k, n) in [(1, 10), (5, 10), (9, 10), (265, 500), (9281, 10_000)] {
            let (low, high) = interval(k, n, 0.95);
            for end in [low, high] {
                let distance = (k as f64 / n as f64 - end).abs();
                let width = 1.959_963_984_540_054 * (end * (1.0 - end) / n as f64).sqrt();
                assert!((distance - width).abs() < 1e-12, "{k}/{n}: {end}");
            }
            assert!(low < k as f64 / n as f64 && high > k as f64 / n as f64);
        }
    }

    #[test]
    fn none_and_all_have_one_open_end() {
        let z2 = 1.959_963_984_540_054_f64.powi(2);
        assert_eq!(interval(0, 20, 0.95).0, 0.0);
        assert!((interval(0, 20, 0.95).1 - z2 / (20.0 + z2)).abs() < 1e-12);
        assert_eq!(interval(20, 20, 0.95).1, 1.0);
        assert!((interval(20, 20, 0.95).0 - 20.0 / (20.0 + z2)).abs() < 1e-12);
    }

    #[test]
    fn input_that_is_no_count_or_confidence_says_nothing() {
        for (k, n, confidence) in
            [(0, 0, 0.95), (3, 2, 0.95), (1, 2, 1.0), (1, 2, f64::NAN), (1, 2, -0.5)]
        {
            assert_eq!(interval(k, n, confidence), (0.0, 1.0), "{k} {n} {confidence}");
        }
    }
}
