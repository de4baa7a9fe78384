//! The accuracies that a table stands for, computed from its rows.

use serde::Serialize;

use super::simultaneous::{self, Simultaneous};
use super::subject::Subject;
use crate::certify::log::{Log, LogRow};
use crate::error::{Error, Result};
use crate::stats::wilson;

/// Radii that are reported if nobody says which: steps of a quarter, so many at most.
const RADII: usize = 17;

/// What papers report about a table. Shares are in [0, 1] and of all rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Certified accuracy, radii ascending; at 0 it is the clean accuracy of the smoothed network.
    pub certified: Vec<CertifiedShare>,
    /// Share of abstentions.
    pub abstained: f64,
    /// ACR: mean radius, a wrong prediction counting 0.
    pub average_radius: f64,
    /// Mean wall time of an image; `None` if the table has no column `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// Certified accuracy at one radius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CertifiedShare {
    /// The radius.
    pub radius: f64,
    /// The share, by the radii as they are printed.
    pub rate: f64,
    /// Lower end of its 95 % Wilson interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The share if every radius was rounded up as far as its digits allow.
    pub at_least: f64,
    /// The share that holds for all images at once, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simultaneous: Option<Simultaneous>,
}

impl Summary {
    /// The summary at `radii`, or at the run's if there are none, or at quarters up to the largest.
    pub(super) fn of(subject: &Subject, radii: &[f64], simultaneous: bool) -> Result<Self> {
        if let Some(bad) = radii.iter().find(|r| !(r.is_finite() && **r >= 0.0)) {
            let problem = format!("{bad} is not a radius");
            return Err(Error::setting("radii", problem, "give numbers of at least 0"));
        }
        let log = |lowest: bool| {
            let rows = subject.table.rows.iter().map(|row| LogRow {
                idx: row.idx,
                label: row.label,
                predict: row.predict,
                radius: if lowest { row.radius.low } else { row.radius.value },
                correct: row.predict == i64::from(row.label),
                seconds: row.seconds,
            });
            Log::new(subject.table.name.clone(), rows)
        };
        let (printed, lowest) = (log(false)?, log(true)?);
        let mut radii = match (radii, &subject.radii[..]) {
            ([], []) => {
                let steps = (subject.largest() / 0.25) as usize;
                (0..=steps.min(RADII - 1)).map(|k| 0.25 * k as f64).collect()
            }
            ([], run) => run.to_vec(),
            (given, _) => given.to_vec(),
        };
        // A radius of -0 is reported as 0.
        radii.iter_mut().for_each(|radius| *radius += 0.0);
        radii.sort_by(f64::total_cmp);
        radii.dedup();
        let n = printed.rows().len();
        let joint = match simultaneous {
            true => simultaneous::shares(subject, &radii).into_iter().map(Some).collect(),
            false => vec![None; radii.len()],
        };
        let seconds: Option<f64> = printed.rows().iter().map(|row| row.seconds).sum();
        let at = |(radius, simultaneous): (f64, Option<Simultaneous>)| {
            let rate = printed.certified_accuracy(radius);
            let count = (rate * n as f64).round() as u64;
            let (low, high) = wilson::interval(count, n as u64, 0.95);
            let at_least = lowest.certified_accuracy(radius);
            CertifiedShare { radius, rate, low, high, at_least, simultaneous }
        };
        Ok(Self {
            certified: radii.into_iter().zip(joint).map(at).collect(),
            abstained: printed.abstention_rate(),
            average_radius: printed.average_certified_radius(),
            seconds: seconds.map(|seconds| seconds / n as f64),
        })
    }
}
