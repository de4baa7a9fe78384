//! How sure the smoothed network is: the distribution of pA over the images. The average certified radius
//! can be driven up by a few very sure images ("Average certified radius is a poor metric for randomized
//! smoothing", arXiv 2410.06895); its critics ask for this beside it.

use serde::Serialize;

use crate::certify::CertificateRow;
use crate::certify::analysis::p_a_quantiles;
use crate::results::format;

/// Where the bins of the histogram begin. Below 1/2 nothing is certified.
const EDGES: [f64; 6] = [0.0, 0.5, 0.75, 0.9, 0.99, 0.999];

/// Shares of images at which the quantiles are.
const AT: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// The distribution of the proven lower bound of the *true* class's probability, 0 where another class was
/// selected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbabilityBounds {
    /// The bound that a share of the images do not exceed.
    pub quantiles: Vec<Quantile>,
    /// Images by their bound.
    pub histogram: Vec<Bin>,
}

/// A quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantile {
    /// Share of the images.
    pub at: f64,
    /// The bound.
    pub p_low: f64,
}

/// A bin of the histogram; it ends where the next begins, the last at 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// The smallest bound in it.
    pub from: f64,
    /// Images.
    pub count: usize,
}

impl ProbabilityBounds {
    /// Of the rows of a job; `None` without rows.
    pub(crate) fn of(rows: &[&CertificateRow]) -> Option<Self> {
        if rows.is_empty() {
            return None;
        }
        let mut histogram = EDGES.map(|from| Bin { from, count: 0 });
        for row in rows {
            let p_low = if row.selected == row.label { row.p_low } else { 0.0 };
            let bin = EDGES.iter().rposition(|from| p_low >= *from).unwrap_or(0);
            histogram[bin].count += 1;
        }
        let all: Vec<CertificateRow> = rows.iter().map(|row| (*row).clone()).collect();
        let quantiles = AT.iter().zip(p_a_quantiles(&all, &AT));
        Some(Self {
            quantiles: quantiles.map(|(at, p_low)| Quantile { at: *at, p_low }).collect(),
            histogram: histogram.to_vec(),
        })
    }

    /// `0.612 / 0.974 / 0.999`: the quartiles, rounded down.
    pub(crate) fn quartiles(&self) -> String {
        let quartiles = self.quantiles.iter().filter(|q| [0.25, 0.5, 0.75].contains(&q.at));
        let texts: Vec<String> = quartiles.map(|q| format::radius_down(q.p_low)).collect();
        texts.join(" / ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::fixture::certificate_row;

    #[test]
    fn a_wrong_class_counts_as_nothing() {
        let rows = [(0, 0.9), (0, 0.6), (3, 0.99), (0, 0.9995)]
            .map(|(predict, p_low)| CertificateRow { p_low, ..certificate_row(0, predict, 0.1) });
        let bounds = ProbabilityBounds::of(&rows.iter().collect::<Vec<_>>()).unwrap();
        let counts: Vec<usize> = bounds.histogram.iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [1, 1, 0, 1, 0, 1]);
        assert_eq!(bounds.quartiles(), "0.000 / 0.600 / 0.900");
        assert_eq!(ProbabilityBounds::of(&[]), None);
    }
}
