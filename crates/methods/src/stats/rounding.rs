//! Rounding to a grid of decimals in one direction. A certified radius is printed rounded down: the
//! nearest decimal may lie above what was proven.

/// The largest multiple of `10^-decimals` (0 to 22 of them) that is at most `x`, as the nearest f64.
/// It never exceeds `x`; a decimal that is on the grid stays itself (0.25 to one of 2 or more
/// decimals is 0.25, and 0.29, which as f64 is a little less than the decimal, stays 0.29).
/// Infinities and NaN stay, numbers too large to have that many decimals become integers.
pub fn floor_decimals(x: f64, decimals: u32) -> f64 {
    let scale = 10f64.powi(decimals.min(22) as i32);
    let scaled = x * scale;
    if !x.is_finite() || scaled.abs() >= 4_503_599_627_370_496.0 {
        return x.floor();
    }
    // Both numbers are exact, so the quotient is the f64 that the decimal's own text would give.
    // The product is rounded, so the multiple nearest to it may be the one above `x`.
    let nearest = scaled.round();
    let value = nearest / scale;
    if value <= x { value } else { (nearest - 1.0) / scale }
}

/// The smallest multiple of `10^-decimals` that is at least `x`; the mirror of [`floor_decimals`].
pub fn ceil_decimals(x: f64, decimals: u32) -> f64 {
    -floor_decimals(-x, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_stay_and_others_move_down() {
        for (x, decimals, floor) in [
            (0.25, 2, 0.25),
            (0.25, 6, 0.25),
            (0.29, 2, 0.29),
            (1.1, 1, 1.1),
            (1.9057, 3, 1.905),
            (0.952_86, 2, 0.95),
            (0.3_f64.next_down(), 1, 0.2),
            (0.3_f64.next_up(), 1, 0.3),
            (-0.25, 1, -0.3),
            (0.000_000_9, 6, 0.0),
            (0.0, 6, 0.0),
            (1e300, 6, 1e300),
            (f64::MAX, 6, f64::MAX),
            (f64::INFINITY, 6, f64::INFINITY),
            (5_000_000_000.75, 6, 5_000_000_000.0),
        ] {
            assert_eq!(floor_decimals(x, decimals), floor, "{x} to {decimals} decimals");
        }
        assert!(floor_decimals(f64::NAN, 6).is_nan());
        assert_eq!(ceil_decimals(0.25, 6), 0.25);
        assert_eq!(ceil_decimals(0.250_000_1, 6), 0.250_001);
    }

    proptest! {
        #[test]
        fn never_above_any_f64(bits: u64, decimals in 0u32..=22) {
            let x = f64::from_bits(bits);
            prop_assume!(!x.is_nan());
            prop_assert!(floor_decimals(x, decimals) <= x);
            prop_assert!(ceil_decimals(x, decimals) >= x);
        }

        #[test]
        fn never_above_and_within_a_step_where_radii_live(x in -1e3f64..1e3, decimals in 0u32..=9) {
            let step = 10f64.powi(-(decimals as i32));
            let floor = floor_decimals(x, decimals);
            prop_assert!(floor <= x && x - floor < step * (1.0 + 1e-3));
            prop_assert_eq!(floor_decimals(floor, decimals), floor);
        }

        #[test]
        fn what_is_printed_with_its_decimals_reads_back(k in 0u32..100_000_000, decimals in 0u32..=8) {
            let decimal: f64 = format!("{k}e-{decimals}").parse().unwrap();
            prop_assert_eq!(floor_decimals(decimal, decimals), decimal);
            prop_assert_eq!(ceil_decimals(decimal, decimals), decimal);
            let digits = decimals as usize;
            prop_assert_eq!(format!("{decimal:.digits$}").parse::<f64>().unwrap(), decimal);
        }
    }
}
