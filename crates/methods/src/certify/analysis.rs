//! What papers report about a table of certificates: certified accuracy at radii and as a curve,
//! abstention rate, average certified radius, the envelope over several logs, and quantiles of pA.
//! All shares are over all rows of the table: an image without a certificate counts as lost.

use super::log::Log;
use crate::certify::CertificateRow;
use crate::error::{Error, Result};
use crate::stats::rounding::{ceil_decimals, floor_decimals};

/// Decimals in which radii are compared, those that our tables hold.
const DECIMALS: u32 = 6;

/// The radii of a curve, and how a row's radius is compared with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// The decimals 0, step, 2 step, .. max, compared exactly: a row of radius 1.91 counts at 1.91.
    Decimal,
    /// What NumPy's `arange(0, max + step, step)` gives, compared as f64: its 1.91 may be
    /// 1.9100000000000001, at which a row of radius 1.91 does not count. Only for reproducing
    /// published curves.
    Numpy,
}

/// The best of several logs at one radius.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct EnvelopePoint {
    /// The radius.
    pub radius: f64,
    /// The largest certified accuracy at the radius, in [0, 1].
    pub accuracy: f64,
    /// Name of the log that has it; the first of them in a tie.
    pub log: String,
}

impl Log {
    /// The share of images that are classified correctly and certified at `radius` or more.
    ///
    /// Both radii are compared in whole millionths, the certified one rounded down and `radius`
    /// rounded up, so that decimals of up to six places compare exactly and no other rounding helps.
    pub fn certified_accuracy(&self, radius: f64) -> f64 {
        let radius = ceil_decimals(radius, DECIMALS);
        self.share(|row| row.correct && floor_decimals(row.radius, DECIMALS) >= radius)
    }

    /// The share of images that the smoothed classifier gets right (certified accuracy at 0);
    /// abstentions count as wrong.
    pub fn smoothed_accuracy(&self) -> f64 {
        self.certified_accuracy(0.0)
    }

    /// The share of images without a certificate.
    pub fn abstention_rate(&self) -> f64 {
        self.share(|row| row.predict == super::ABSTAIN)
    }

    /// ACR, the mean radius, misclassified images counting 0 (Zhai et al., "MACER", ICLR 2020). A
    /// trivial classifier can reach any ACR; read it beside the curve.
    pub fn average_certified_radius(&self) -> f64 {
        let correct = self.rows().iter().filter(|row| row.correct);
        // The sum of no radii is -0, and adding zero takes its sign off.
        correct.map(|row| row.radius).sum::<f64>() / self.rows().len() as f64 + 0.0
    }

    /// Certified accuracy at the radii of a grid from 0 to `max`, as pairs `(radius, accuracy)`.
    ///
    /// # Errors
    /// If `max` or `step` is not a finite number of at least 0 (`step`: of at least a millionth), or
    /// the grid has more than a million radii.
    pub fn curve(&self, max: f64, step: f64, grid: Grid) -> Result<Vec<(f64, f64)>> {
        if !(max >= 0.0 && max.is_finite() && step >= 1e-6 && step.is_finite()) || max / step > 1e6
        {
            return Err(Error::setting(
                "radii",
                format!("a curve to {max} in steps of {step} cannot be drawn"),
                "choose a largest radius and a step, such as 4 and 0.01",
            ));
        }
        Ok(match grid {
            Grid::Decimal => {
                // The quotient of two decimals may be just below the whole number that it is.
                let points = (max / step + 1e-9).floor() as u32;
                let radius = |k| nearest_decimal(f64::from(k) * step);
                (0..=points).map(|k| (radius(k), self.certified_accuracy(radius(k)))).collect()
            }
            Grid::Numpy => {
                let points = ((max + step) / step).ceil() as u32;
                let accuracy = |radius| self.share(|row| row.correct && row.radius >= radius);
                (0..points).map(|k| f64::from(k) * step).map(|r| (r, accuracy(r))).collect()
            }
        })
    }

    fn share(&self, holds: impl Fn(&super::log::LogRow) -> bool) -> f64 {
        self.rows().iter().filter(|row| holds(row)).count() as f64 / self.rows().len() as f64
    }
}

/// `x` without the rounding error of the product that it is, if it is meant as a decimal.
fn nearest_decimal(x: f64) -> f64 {
    let floor = floor_decimals(x + 1e-9, DECIMALS);
    if (floor - x).abs() <= 1e-9 { floor } else { x }
}

/// The best certified accuracy of several logs (networks, sigmas) at each of `radii`: the table of
/// Salmon-style papers ("Provably robust deep learning via adversarially trained smoothed
/// classifiers", NeurIPS 2019), where each column may come from another log.
///
/// # Errors
/// If there are no logs or they are not about the same images.
pub fn envelope(logs: &[Log], radii: &[f64]) -> Result<Vec<EnvelopePoint>> {
    let images = |log: &Log| {
        let mut images: Vec<(u64, u32)> = log.rows().iter().map(|r| (r.idx, r.label)).collect();
        images.sort_unstable();
        images
    };
    let Some((first, others)) = logs.split_first() else {
        return Err(Error::setting("logs", "there are none", "name at least one table"));
    };
    let expected = images(first);
    for log in others {
        if images(log) != expected {
            return Err(Error::setting(
                "logs",
                format!("`{}` and `{}` are about different images", first.name(), log.name()),
                "certify the same images in every run, or compare the runs one by one",
            ));
        }
    }
    let best = |radius: f64| {
        let mut best = (first.certified_accuracy(radius), first);
        for log in others {
            let accuracy = log.certified_accuracy(radius);
            if accuracy > best.0 {
                best = (accuracy, log);
            }
        }
        EnvelopePoint { radius, accuracy: best.0, log: best.1.name().into() }
    };
    Ok(radii.iter().map(|radius| best(*radius)).collect())
}

/// Quantiles of pA, the proven lower bound of the *true* class's probability under noise: the row's
/// bound where the selected class is the label, else 0. `at` holds shares in [0, 1]; the quantile at
/// q is the smallest bound that at least the share q of the images do not exceed. It carries the
/// whole curve: the certified accuracy at R is the share of images with pA >= Phi(R / sigma).
/// Without rows the quantiles are NaN.
pub fn p_a_quantiles(rows: &[CertificateRow], at: &[f64]) -> Vec<f64> {
    let bound = |row: &CertificateRow| if row.selected == row.label { row.p_low } else { 0.0 };
    let mut bounds: Vec<f64> = rows.iter().map(bound).collect();
    bounds.sort_by(f64::total_cmp);
    let quantile = |q: &f64| {
        let rank = (q.clamp(0.0, 1.0) * bounds.len() as f64).ceil() as usize;
        bounds.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    };
    at.iter().map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use super::super::log::LogRow;
    use super::*;

    /// A log of `(predict, radius)`; every label is 1.
    fn log(name: &str, rows: &[(i64, f64)]) -> Log {
        let row = |(idx, (predict, radius)): (usize, &(i64, f64))| LogRow {
            idx: idx as u64,
            label: 1,
            predict: *predict,
            radius: *radius,
            correct: *predict == 1,
            seconds: Some(1.0),
        };
        Log::new(name, rows.iter().enumerate().map(row)).unwrap()
    }

    #[test]
    fn shares_are_over_all_rows() {
        let log = log("a", &[(1, 0.25), (1, 0.5), (2, 9.0), (-1, 0.0)]);
        assert_eq!(log.smoothed_accuracy(), 0.5);
        assert_eq!(log.certified_accuracy(0.25), 0.5);
        assert_eq!(log.certified_accuracy(0.250_001), 0.25);
        assert_eq!(log.certified_accuracy(0.500_001), 0.0);
        assert_eq!(log.abstention_rate(), 0.25);
        assert_eq!(log.average_certified_radius(), 0.75 / 4.0);
    }

    #[test]
    fn the_mean_of_no_radii_is_a_zero_without_a_sign() {
        let mean = log("a", &[(-1, 0.0), (2, 0.5)]).average_certified_radius();
        assert_eq!((mean, mean.is_sign_positive()), (0.0, true));
    }

    #[test]
    fn decimals_compare_as_decimals() {
        // In f64, 3 * 0.1 is above 0.3 and 0.7 + 0.1 below 0.8.
        let log = log("a", &[(1, 0.3), (1, 0.8)]);
        assert_eq!(log.certified_accuracy(0.3), 1.0);
        assert_eq!(log.certified_accuracy(0.7 + 0.1), 0.5);
        // A radius that is not a decimal is not reached by the decimal below it.
        assert_eq!(log.certified_accuracy(0.300_000_01), 0.5);
    }

    #[test]
    fn a_numpy_grid_loses_ties_and_a_decimal_grid_does_not() {
        let log = log("a", &[(1, 0.3)]);
        let decimal = log.curve(0.4, 0.1, Grid::Decimal).unwrap();
        assert_eq!(decimal, [(0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 0.0)]);
        let numpy = log.curve(0.4, 0.1, Grid::Numpy).unwrap();
        assert_eq!(numpy[3], (3.0 * 0.1, 0.0));
        assert_eq!(log.curve(4.0, 0.005, Grid::Numpy).unwrap().len(), 801);
        assert_eq!(log.curve(4.0, 0.005, Grid::Decimal).unwrap().len(), 801);
        assert_eq!(log.curve(0.0, 1.0, Grid::Decimal).unwrap(), [(0.0, 1.0)]);
    }

    #[test]
    fn grids_that_cannot_be_drawn_are_refused() {
        let log = log("a", &[(1, 0.3)]);
        for (max, step) in
            [(-1.0, 0.1), (1.0, 0.0), (f64::NAN, 0.1), (1.0, f64::INFINITY), (2.0, 1e-6)]
        {
            assert!(log.curve(max, step, Grid::Decimal).is_err(), "{max} {step}");
        }
    }

    #[test]
    fn the_envelope_names_the_best_log_of_each_radius() {
        let logs = [log("small", &[(1, 0.4), (1, 0.4)]), log("large", &[(1, 0.9), (2, 0.9)])];
        let points = envelope(&logs, &[0.0, 0.4, 0.5, 1.0]).unwrap();
        let found: Vec<(f64, &str)> = points.iter().map(|p| (p.accuracy, p.log.as_str())).collect();
        assert_eq!(found, [(1.0, "small"), (1.0, "small"), (0.5, "large"), (0.0, "small")]);
    }

    #[test]
    fn an_envelope_over_different_images_is_refused() {
        let logs = [log("a", &[(1, 0.4), (1, 0.4)]), log("b", &[(1, 0.9)])];
        let error = envelope(&logs, &[0.0]).unwrap_err();
        assert_eq!(error.to_string(), "logs: `a` and `b` are about different images");
        assert!(envelope(&[], &[0.0]).is_err());
    }

    #[test]
    fn quantiles_of_p_a_count_a_wrong_class_as_nothing() {
        let row = |selected, p_low| CertificateRow {
            idx: 0,
            label: 1,
            predict: -1,
            radius: 0.0,
            correct: 0,
            time: String::new(),
            sigma: 0.25,
            n0: 100,
            n: 1000,
            alpha: 0.001,
            n_a: 0,
            selected,
            p_low,
            seed: 0,
            model: String::new(),
            mode: String::new(),
            level: 0.0,
            image: String::new(),
        };
        let rows = [row(1, 0.9), row(1, 0.4), row(0, 0.99), row(1, 0.7)];
        let quantiles = p_a_quantiles(&rows, &[0.0, 0.25, 0.26, 0.5, 0.75, 1.0]);
        assert_eq!(quantiles, [0.0, 0.0, 0.4, 0.4, 0.7, 0.9]);
        assert!(p_a_quantiles(&[], &[0.5])[0].is_nan());
    }

    #[test]
    #[ignore = "needs the oracle files"]
    fn published_logs_give_the_published_table_and_curves() {
        let oracle = std::env::var("EPSBALL_ORACLE").unwrap_or_else(|_| {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into()
        });
        let folder = std::path::Path::new(&oracle).join("smoothing-logs");
        let logs = ["0.12", "0.25", "0.50", "1.00"].map(|sigma| {
            Log::read(&folder.join(format!("cohen_resnet110_sigma_{sigma}.tsv"))).unwrap()
        });
        let radii: Vec<f64> = (0..10).map(|k| f64::from(k) * 0.25).collect();
        let points = envelope(&logs, &radii).unwrap();
        let expected =
            [0.8317, 0.6116, 0.4279, 0.3245, 0.2213, 0.1722, 0.1328, 0.0967, 0.0663, 0.0431];
        for (point, expected) in points.iter().zip(expected) {
            assert!((point.accuracy - expected).abs() < 1e-12, "{point:?}, published {expected}");
        }
        assert_eq!(points[0].log, "cohen_resnet110_sigma_0.12");
        assert_eq!(points[9].log, "cohen_resnet110_sigma_1.00");
        // What NumPy computes from these files on arange(0, 4.005, 0.005): images certified, summed over the
        // grid; and beside it on the decimals that the grid stands for.
        let sums = [
            (556_237, 556_375),
            (852_349, 852_485),
            (1_054_376, 1_054_909),
            (1_024_379, 1_024_708),
        ];
        for (log, (numpy, decimal)) in logs.iter().zip(sums) {
            let sum = |grid| -> u64 {
                let curve = log.curve(4.0, 0.005, grid).unwrap();
                curve.iter().map(|(_, accuracy)| (accuracy * 10_000.0).round() as u64).sum()
            };
            assert_eq!((sum(Grid::Numpy), sum(Grid::Decimal)), (numpy, decimal), "{}", log.name());
        }
        // All four sit below the ceiling of N = 100000 and alpha = 0.001, to their three digits.
        for (log, sigma) in logs.iter().zip([0.12, 0.25, 0.5, 1.0]) {
            assert_eq!(log.rows().len(), 10_000);
            let ceiling = super::super::limits::largest_radius(sigma, 100_000, 0.001).unwrap();
            let largest = log.rows().iter().map(|row| row.radius).fold(0.0, f64::max);
            assert!(largest <= ceiling * 1.005, "{}: {largest} > {ceiling}", log.name());
        }
    }
}
