//! What one certificate job proved about one network: certified accuracy at every radius, how often
//! it abstained, and the average certified radius.

use std::collections::BTreeMap;

use serde::Serialize;

use super::p_a::ProbabilityBounds;
use crate::certify::CertificateRow;
use crate::record::Work;
use crate::results::{ImageSet, Proportion};
use crate::work::curve::{falls, seconds};
use crate::work::method::Method;
use crate::work::outcome::{Cost, KindColumn, KindResult, LowerBound};
use crate::work::pool::Pool;

/// One certificate job, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SmoothingResult {
    /// Column title: `smoothing-0.25`.
    pub label: String,
    /// Name of the certificate.
    pub certificate: String,
    /// Norm of the radii.
    pub norm: String,
    /// Standard deviation of the noise, in pixel units of [0, 1]; 0 for noise without one.
    pub sigma: f64,
    /// What is promised about a radius and why, in a sentence.
    pub guarantee: String,
    /// Parameters by their names in the paper.
    pub parameters: BTreeMap<String, String>,
    /// Images of the job.
    pub images: usize,
    /// Images finished.
    pub done: usize,
    /// The images that all numbers below are over.
    pub image_set: Option<ImageSet>,
    /// Certified accuracy at the radii of the job, ascending.
    pub accuracy: Vec<CertifiedAccuracy>,
    /// Share of images on which it abstained.
    pub abstained: Option<Proportion>,
    /// Average certified radius (Zhai et al. 2020, MACER): mean radius, where a wrong or abstaining
    /// prediction counts 0.
    pub average_radius: Option<f64>,
    /// Distribution of pA, to be read beside the average radius; `None` before the first image.
    pub p_a: Option<ProbabilityBounds>,
    /// Mean number of samples of an image: N0 and those that bounded the probability.
    pub samples: f64,
    /// Share of the N0 + N samples of the settings that were not needed; `None` if the settings do not state them.
    pub saved: Option<f64>,
    /// Wall time per image in seconds, see [`Cost::seconds`](crate::work::Cost).
    #[serde(skip)]
    pub seconds: f64,
    /// Certified accuracy against the radius: (radius, accuracy) where it falls, from radius 0. From
    /// each radius on, up to the next, the accuracy is at most the value given.
    #[serde(skip)]
    pub curve: Vec<(f64, f64)>,
}

/// Share of images that are classified correctly and certified at least at a radius (Cohen et al.
/// 2019, section 4).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertifiedAccuracy {
    /// Radius in the norm of the certificate.
    pub radius: f64,
    /// The share; `None` before the first image.
    pub accuracy: Option<Proportion>,
}

impl SmoothingResult {
    /// The certificate `method` of the network `model`, summed up; `None` if there is none.
    pub(crate) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let pool = Pool::of(&method.jobs, model)?;
        let Work { label, method: certificate, threat, eps, parameters, .. } = &method.work;
        let rows = pool.weakest();
        let samples = mean(&rows, |row| (row.n0 + row.n) as f64).unwrap_or(0.0);
        let (done, images) = pool.progress;
        Some(Self {
            label: label.clone(),
            certificate: certificate.clone(),
            norm: threat.clone(),
            sigma: method.work.fact("sigma").parse().unwrap_or(0.0),
            guarantee: method.work.fact("guarantee").to_owned(),
            parameters: parameters.clone(),
            images,
            done,
            image_set: pool.images(),
            accuracy: accuracy(&rows, eps),
            abstained: abstained(&rows),
            average_radius: mean(&rows, |row| row.radius * f64::from(row.correct)),
            p_a: ProbabilityBounds::of(&rows),
            samples,
            saved: saved(samples, parameters).filter(|_| !rows.is_empty()),
            seconds: mean(&rows, |row| seconds(&row.time)).unwrap_or(0.0),
            curve: curve(&rows),
        })
    }

    /// Certified accuracy at `radius`, if the job reports it.
    pub fn at(&self, radius: f64) -> Option<Proportion> {
        self.accuracy.iter().find(|a| a.radius == radius).and_then(|a| a.accuracy)
    }
}

impl KindResult for SmoothingResult {
    fn label(&self) -> &str {
        &self.label
    }

    fn progress(&self) -> (usize, usize) {
        (self.done, self.images)
    }

    fn image_set(&self) -> Option<&ImageSet> {
        self.image_set.as_ref()
    }

    fn is_in(&self, column: &KindColumn) -> bool {
        self.norm == column.threat
    }

    fn share(&self, column: &KindColumn) -> Option<Proportion> {
        self.at(column.eps?)
    }

    fn lower_bound(&self) -> Option<LowerBound<'_>> {
        let Self { norm, curve, average_radius, .. } = self;
        Some(LowerBound { norm, curve, average_radius: *average_radius, smoothed: true })
    }

    fn cost(&self) -> Option<Cost> {
        Some(Cost { forwards: self.samples, backwards: 0.0, seconds: self.seconds })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Certified accuracies of the table `rows` at `radii`.
fn accuracy(rows: &[&CertificateRow], radii: &[f64]) -> Vec<CertifiedAccuracy> {
    let at = |radius: f64| Proportion::of(rows.iter().map(|r| certified(r, radius)));
    radii.iter().map(|r| CertifiedAccuracy { radius: *r, accuracy: at(*r) }).collect()
}

fn certified(row: &CertificateRow, radius: f64) -> bool {
    row.correct == 1 && row.radius >= radius
}

/// Share of abstentions.
fn abstained(rows: &[&CertificateRow]) -> Option<Proportion> {
    Proportion::of(rows.iter().map(|row| row.predict < 0))
}

/// Mean of `value` over the rows; `None` without rows.
fn mean(rows: &[&CertificateRow], value: impl Fn(&CertificateRow) -> f64) -> Option<f64> {
    let sum = || rows.iter().map(|row| value(row)).sum::<f64>();
    (!rows.is_empty()).then(|| sum() / rows.len() as f64)
}

/// See [`SmoothingResult::saved`].
fn saved(samples: f64, parameters: &BTreeMap<String, String>) -> Option<f64> {
    let count = |name: &str| parameters.get(name)?.parse::<f64>().ok();
    let most = count("N0")? + count("N")?;
    (most > 0.0).then(|| (1.0 - samples / most).max(0.0))
}

/// See [`SmoothingResult::curve`].
fn curve(rows: &[&CertificateRow]) -> Vec<(f64, f64)> {
    let radii = rows.iter().filter(|r| r.correct == 1).map(|r| r.radius).collect();
    falls(radii, rows.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::fixture::certificate_row;

    fn table(rows: &[(i64, f64)]) -> Vec<CertificateRow> {
        (0..)
            .zip(rows)
            .map(|(i, (predict, radius))| certificate_row(i, *predict, *radius))
            .collect()
    }

    fn refs(rows: &[CertificateRow]) -> Vec<&CertificateRow> {
        rows.iter().collect()
    }

    #[test]
    fn a_radius_is_certified_up_to_itself() {
        // Label 0 throughout: two certified, one wrong, one abstained.
        let rows = table(&[(0, 0.5), (0, 0.25), (3, 0.9), (-1, 0.0)]);
        let counts: Vec<usize> = accuracy(&refs(&rows), &[0.0, 0.25, 0.5, 0.75])
            .iter()
            .map(|a| a.accuracy.unwrap().count)
            .collect();
        assert_eq!(counts, [2, 2, 1, 0]);
        assert_eq!(abstained(&refs(&rows)).unwrap().count, 1);
    }

    #[test]
    fn the_curve_falls_past_each_radius() {
        let rows = table(&[(0, 0.5), (0, 0.25), (3, 0.9), (-1, 0.0)]);
        assert_eq!(curve(&refs(&rows)), [(0.0, 0.5), (0.25, 0.25), (0.5, 0.0)]);
        assert_eq!(curve(&[]), [(0.0, 0.0)]);
    }

    #[test]
    fn a_long_curve_is_thinned_downwards() {
        let rows: Vec<(i64, f64)> = (0..2000).map(|i| (0, f64::from(i) * 1e-3)).collect();
        let curve = curve(&refs(&table(&rows)));
        assert!(curve.len() <= 402, "{}", curve.len());
        for (radius, accuracy) in curve {
            let exact = rows.iter().filter(|r| r.1 > radius).count() as f64 / 2000.0;
            assert!(accuracy <= exact + 1e-12, "{radius}");
        }
    }

    #[test]
    fn savings_are_against_the_settings() {
        let settings =
            |n: &str| [("N0", "100"), ("N", n)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(saved(275.0, &settings("1000").into()), Some(0.75));
        assert_eq!(saved(1100.0, &settings("1000").into()), Some(0.0));
        assert_eq!(saved(1100.0, &settings("many").into()), None);
    }
}
