//! Accuracy under common corruptions, summed up: per corruption and severity, their mean, and the mean
//! corruption error relative to a baseline network (Hendrycks and Dietterich 2019, section 4.1).

use std::collections::BTreeMap;

use serde::Serialize;

use super::SEVERITIES;
use super::row::CorruptionRow;
use crate::results::{ImageSet, Proportion};
use crate::work::method::Method;
use crate::work::outcome::{KindColumn, KindResult};
use crate::work::pool::Pool;

/// The corruptions of one network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionResult {
    /// Column title.
    pub label: String,
    /// Data specification with `CORRUPTION` and `SEVERITY` in their places.
    pub data: String,
    /// Images of each corruption and severity.
    pub images: usize,
    /// The most images of any of them: more than [`Self::images`] if only some have grown.
    pub most_images: usize,
    /// Corruptions and severities measured.
    pub done: usize,
    /// Those to be measured.
    pub all: usize,
    /// The corruptions that were measured at every severity, in the order of their names in the job.
    pub corruptions: Vec<CorruptionAccuracy>,
    /// Mean accuracy over all corruptions and severities, in [0, 1]; `None` while one is missing.
    pub accuracy: Option<f64>,
    /// Name of the baseline network.
    pub baseline: Option<String>,
    /// Mean corruption error relative to the baseline; `None` without one, or if it was not measured under
    /// the same corruptions.
    pub mce: Option<f64>,
}

/// One corruption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionAccuracy {
    /// Its name.
    pub corruption: String,
    /// Accuracy at severities 1, 2, …
    pub severities: Vec<f64>,
    /// Their mean.
    pub accuracy: f64,
    /// Corruption error relative to the baseline; `None` also if the baseline makes no error.
    pub error: Option<f64>,
}

impl CorruptionResult {
    /// The corruptions `method` of the network `model`, summed up; `None` if they were not measured.
    pub(crate) fn of(method: &Method<'_>, model: usize) -> Option<Self> {
        let pool: Pool<'_, CorruptionRow> = Pool::of(&method.jobs, model)?;
        let rows = largest(pool.weakest());
        let own = method.jobs.iter().filter(|job| job.model == model);
        let baseline = own.map(|job| job.work.fact("baseline")).find(|name| !name.is_empty());
        let base = method.jobs.iter().find(|job| Some(&*job.model_name) == baseline);
        let base = base.and_then(|job| Pool::of(&method.jobs, job.model));
        let base = base.map_or(Vec::new(), |pool: Pool<'_, CorruptionRow>| largest(pool.weakest()));
        // Errors are relative over the same images only.
        let same = |row: &&CorruptionRow| {
            rows.iter().any(|own| own.idx == row.idx && own.image == row.image)
        };
        let base = whole(&base.into_iter().filter(same).collect::<Vec<_>>());
        let mut corruptions = whole(&rows);
        for own in &mut corruptions {
            let of = base.iter().find(|base| base.corruption == own.corruption);
            own.error = of
                .filter(|of| of.accuracy < 1.0)
                .map(|of| (1.0 - own.accuracy) / (1.0 - of.accuracy));
        }
        let (done, all) = match pool.finished() {
            true => (rows.len(), rows.len()),
            false => pool.progress,
        };
        let finished = done >= all && !corruptions.is_empty();
        let errors: Option<Vec<f64>> = corruptions.iter().map(|c| c.error).collect();
        let accuracies: Vec<f64> = corruptions.iter().map(|c| c.accuracy).collect();
        Some(Self {
            label: method.work.label.clone(),
            data: method.work.fact("data").to_owned(),
            images: rows.iter().map(|row| row.images).min().unwrap_or(0),
            most_images: rows.iter().map(|row| row.images).max().unwrap_or(0),
            done,
            all,
            accuracy: finished.then(|| mean(&accuracies)),
            baseline: baseline.map(str::to_owned),
            mce: errors.filter(|_| finished).map(|errors| mean(&errors)),
            corruptions,
        })
    }

    /// Mean accuracy at a severity, from 1.
    pub(super) fn at(&self, severity: usize) -> Option<f64> {
        let all: Vec<f64> = self.corruptions.iter().map(|c| c.severities[severity - 1]).collect();
        self.accuracy.map(|_| mean(&all))
    }
}

/// For each corruption and severity the row about the most images; of several, the one that claims least.
fn largest(rows: Vec<&CorruptionRow>) -> Vec<&CorruptionRow> {
    let mut best: BTreeMap<u64, &CorruptionRow> = BTreeMap::new();
    for row in rows {
        let known = best.entry(row.idx).or_insert(row);
        if (row.images, known.correct) > (known.images, row.correct) {
            *known = row;
        }
    }
    best.into_values().collect()
}

/// The corruptions that have every severity.
fn whole(rows: &[&CorruptionRow]) -> Vec<CorruptionAccuracy> {
    let mut sorted: Vec<&&CorruptionRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.idx);
    let of = |own: &[&&CorruptionRow]| {
        let severities: Vec<f64> = own.iter().map(|row| row.accuracy()).collect();
        let whole = (1..).zip(own).all(|(severity, row)| row.severity == severity);
        (whole && own.len() == SEVERITIES).then(|| CorruptionAccuracy {
            corruption: own[0].corruption.clone(),
            accuracy: mean(&severities),
            severities,
            error: None,
        })
    };
    sorted.chunk_by(|a, b| a.corruption == b.corruption).filter_map(of).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl KindResult for CorruptionResult {
    fn label(&self) -> &str {
        &self.label
    }

    fn progress(&self) -> (usize, usize) {
        (self.done, self.all)
    }

    fn image_set(&self) -> Option<&ImageSet> {
        None
    }

    fn images(&self) -> usize {
        self.images
    }

    fn is_in(&self, _: &KindColumn) -> bool {
        true
    }

    /// The mean accuracy, as a share of all images of all corruptions and severities.
    fn share(&self, _: &KindColumn) -> Option<Proportion> {
        let (accuracy, total) = (self.accuracy?, self.images * self.all);
        let share = Proportion::new((accuracy * total as f64).round() as usize, total)?;
        Some(Proportion { rate: accuracy, ..share })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
