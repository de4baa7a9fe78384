//! A share of images with its confidence interval: what every accuracy of a report is.

use serde::Serialize;

use crate::stats::wilson;

/// `count` of `total` images, with the 95 % Wilson interval. Rates are in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Proportion {
    /// Images with the property.
    pub count: usize,
    /// Images looked at, at least 1.
    pub total: usize,
    /// `count / total`.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Proportion {
    /// `count` of `total`; `None` of nothing.
    pub fn new(count: usize, total: usize) -> Option<Self> {
        let (low, high) = wilson::interval(count as u64, total as u64, 0.95);
        (total > 0).then(|| Self { count, total, rate: count as f64 / total as f64, low, high })
    }

    /// The share of `true` among `images`.
    pub fn of(images: impl IntoIterator<Item = bool>) -> Option<Self> {
        let (mut count, mut total) = (0, 0);
        for image in images {
            count += usize::from(image);
            total += 1;
        }
        Self::new(count, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let p = Proportion::of([true, false, true, true]).unwrap();
        assert_eq!((p.count, p.total, p.rate), (3, 4, 0.75));
        assert!(p.low < 0.75 && 0.75 < p.high);
        assert_eq!(Proportion::of([]), None);
    }
}
