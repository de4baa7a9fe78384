//! McNemar's exact test ("Note on the sampling error of the difference between correlated proportions",
//! Psychometrika 1947): whether two methods differ in how many of the *same* images they get right.
//! Images that both get right or both get wrong say nothing; of the others, as many should favour one
//! method as the other.

use super::binomial;

/// Two methods on the same images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pairs {
    /// Images that both get right.
    pub both: usize,
    /// Images that only the first gets right.
    pub first: usize,
    /// Images that only the second gets right.
    pub second: usize,
    /// Images that neither gets right.
    pub neither: usize,
}

impl Pairs {
    /// Counts pairs of outcomes, the first method's and the second's on an image.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            *match pair {
                (true, true) => &mut counts.both,
                (true, false) => &mut counts.first,
                (false, true) => &mut counts.second,
                (false, false) => &mut counts.neither,
            } += 1;
        }
        counts
    }

    /// Number of images.
    pub fn total(&self) -> usize {
        self.both + self.first + self.second + self.neither
    }

    /// The two-sided p-value: the probability, if neither method were better, of a split of the
    /// differing images at least as uneven as this one. 1 if they never differ.
    pub fn p_value(&self) -> f64 {
        binomial::two_sided_half(self.first as u64, (self.first + self.second) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_by_who_is_right() {
        let pairs = Pairs::of([(true, true), (true, false), (true, false), (false, true)]);
        assert_eq!(pairs, Pairs { both: 1, first: 2, second: 1, neither: 0 });
        assert_eq!(pairs.total(), 4);
    }

    #[test]
    fn p_values_by_hand() {
        let p = |first, second| Pairs { first, second, both: 7, neither: 9 }.p_value();
        // 2 (1 + 10) / 2^10 and 2 / 2^5; the same whoever is better.
        assert!((p(9, 1) - 22.0 / 1024.0).abs() < 1e-15);
        assert!((p(0, 5) - 2.0 / 32.0).abs() < 1e-15);
        assert_eq!(p(1, 9), p(9, 1));
        assert_eq!((p(0, 0), p(4, 4), p(3, 4)), (1.0, 1.0, 1.0));
    }
}
