//! The confidence interval behind every accuracy of a report.

/// Two-sided 97.5 % point of the standard normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// Wilson score interval with 95 % confidence of a binomial proportion, `successes` of `trials`
/// (Wilson 1927). Both ends are in [0, 1]; with no trials nothing is known: (0, 1).
pub fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let n = trials as f64;
    let p = successes as f64 / n;
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // The ends are exact at 0 and n, where rounding would leave a remainder of 1e-17.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_closed_forms() {
        let z2 = Z95 * Z95;
        let (low, high) = wilson(0, 10);
        assert_eq!(low, 0.0);
        assert!((high - z2 / (10.0 + z2)).abs() < 1e-15);
        let (low, high) = wilson(10, 10);
        assert!((low - 10.0 / (10.0 + z2)).abs() < 1e-15);
        assert_eq!(high, 1.0);
        // p = 1/2: symmetric around 1/2 with half width z / (2 sqrt(n + z²)).
        let (low, high) = wilson(50, 100);
        let half = Z95 / (2.0 * (100.0 + z2).sqrt());
        assert!((0.5 - low - half).abs() < 1e-15 && (high - 0.5 - half).abs() < 1e-15);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn holds_the_proportion_and_mirrors(trials in 1usize..5000, share in 0.0f64..=1.0) {
            let successes = (share * trials as f64) as usize;
            let (low, high) = wilson(successes, trials);
            let p = successes as f64 / trials as f64;
            prop_assert!(0.0 <= low && low <= p && p <= high && high <= 1.0);
            let (mirror_low, mirror_high) = wilson(trials - successes, trials);
            prop_assert!((mirror_low - (1.0 - high)).abs() < 1e-12);
            prop_assert!((mirror_high - (1.0 - low)).abs() < 1e-12);
        }
    }
}
