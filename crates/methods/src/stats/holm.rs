//! Holm's adjustment of p-values for having made several comparisons ("A simple sequentially rejective
//! multiple test procedure", Scandinavian Journal of Statistics 1979). It keeps the chance of any false
//! discovery below the level whatever the dependence, and rejects whatever Bonferroni's does.

/// The adjusted p-values, in the order of `p_values`: a comparison is significant at a level if its
/// adjusted value is at most the level. Values that are NaN count as 1.
pub fn adjust(p_values: &[f64]) -> Vec<f64> {
    let clean = |p: f64| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| clean(p_values[*a]).total_cmp(&clean(p_values[*b])));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, at) in order.into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        largest = largest.max((left * clean(p_values[at])).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_worked_example() {
        // Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, which may not fall below the one before.
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(adjust(&[0.2]), [0.2]);
        assert_eq!(adjust(&[0.9, 0.8, f64::NAN]), [1.0, 1.0, 1.0]);
        assert!(adjust(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn between_the_raw_values_and_bonferroni(p in proptest::collection::vec(0.0f64..=1.0, 1..20)) {
            let adjusted = adjust(&p);
            for (raw, holm) in p.iter().zip(&adjusted) {
                prop_assert!(raw <= holm && *holm <= (raw * p.len() as f64).min(1.0) + 1e-15);
            }
            for (a, b) in p.iter().zip(&adjusted) {
                for (c, d) in p.iter().zip(&adjusted) {
                    prop_assert!(a > c || b <= d, "the order is kept");
                }
            }
        }
    }
}
