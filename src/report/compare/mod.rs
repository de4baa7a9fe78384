//! Two methods on the same images: two networks under one attack, two attacks on one network, two
//! certificates. Who is right on which image is compared pair by pair, which sees differences that two
//! intervals side by side do not.
//!
//! A side is a run folder, a part of one (`RUN/jobs/MODEL`, one table), or a log of Cohen et al.'s scripts.
//! Its outcomes are matched by network, job and column; a network or a job is not looked at where each
//! side has only one. Other data or other images are refused.

mod compared;
mod outcomes;
mod pair;
mod side;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use serde::Serialize;

pub use compared::Compared;

use crate::error::{Error, Result};
use crate::stats::{bootstrap, holm};

/// Version of [`Comparison`] as JSON.
pub const COMPARISON_VERSION: u32 = 1;

/// How a comparison is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Radii at which certified accuracy is compared; if empty, those of the runs, or for logs
    /// 0, 0.25, 0.5, 0.75 and 1.
    pub radii: Vec<f64>,
    /// Confidence of the intervals, in (0, 1).
    pub confidence: f64,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { radii: vec![], confidence: 0.95, seed: 0 }
    }
}

/// Everything that two sides have in common, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// [`COMPARISON_VERSION`].
    pub format_version: u32,
    /// The first side, as it was named.
    pub first: String,
    /// The second side.
    pub second: String,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Draws of the bootstrap.
    pub replicates: u32,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// One comparison per column that both sides have.
    pub rows: Vec<Compared>,
    /// What only one side has.
    pub unmatched: Vec<String>,
}

/// Compares what lies at two paths.
///
/// # Errors
/// If a path is neither in a run nor a log, a job is unfinished, the sides have no column in common, or
/// they are about different data or images.
pub fn compare(first: &Path, second: &Path, settings: &Settings) -> Result<Comparison> {
    if !(settings.confidence > 0.0 && settings.confidence < 1.0) {
        let problem = format!("{} is not between 0 and 1", settings.confidence);
        return Err(Error::setting("confidence", problem, "papers use 0.95"));
    }
    if let Some(bad) = settings.radii.iter().find(|r| !(r.is_finite() && **r >= 0.0)) {
        let problem = format!("{bad} is not a radius");
        return Err(Error::setting("radii", problem, "give numbers of at least 0"));
    }
    let sides = [side::read(first, &settings.radii)?, side::read(second, &settings.radii)?];
    let (pairs, unmatched) = pair::pairs(&sides[0], &sides[1])?;
    let mut rows: Vec<Compared> =
        pairs.iter().map(|pair| Compared::of(pair, settings)).collect::<Result<_>>()?;
    let p_values: Vec<f64> = rows.iter().filter_map(|row| row.p_value).collect();
    let mut adjusted = holm::adjust(&p_values).into_iter();
    for row in rows.iter_mut().filter(|row| row.p_value.is_some()) {
        row.holm = adjusted.next();
    }
    Ok(Comparison {
        format_version: COMPARISON_VERSION,
        first: first.display().to_string(),
        second: second.display().to_string(),
        confidence: settings.confidence,
        replicates: bootstrap::REPLICATES,
        seed: settings.seed,
        rows,
        unmatched,
    })
}
