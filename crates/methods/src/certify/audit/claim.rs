//! What a table is held to. Every number comes from the first that says it: a flag, the run's record,
//! the table's own columns, for sigma the file's name, for the others the usual settings.

use std::path::Path;

use serde::Serialize;

use super::source::Source;
use super::table::Table;
use crate::certify::noise::{CertifiedNorm, Family};
use crate::error::{Error, Result};

/// More samples than anyone has drawn; counting them up does not overflow.
pub(super) const SAMPLES: u64 = 1 << 40;

/// Claims from outside, which overrule the table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Given {
    /// Standard deviation of the noise.
    pub sigma: Option<f64>,
    /// N0, the samples that select the class.
    pub n0: Option<u64>,
    /// N, the samples that bound its probability.
    pub n: Option<u64>,
    /// One minus the confidence.
    pub alpha: Option<f64>,
}

/// Where a number of a claim comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It was given.
    Given,
    /// `run.toml`.
    Run,
    /// The table's own columns.
    Columns,
    /// The file's name.
    Name,
    /// Nobody says it: Cohen et al.'s setting.
    Usual,
}

/// Where the numbers of a claim come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Origins {
    /// Of sigma.
    pub sigma: Origin,
    /// Of N0.
    pub n0: Origin,
    /// Of N.
    pub n: Origin,
    /// Of alpha.
    pub alpha: Origin,
}

/// The settings that a table claims.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// Name of the noise.
    pub noise: &'static str,
    /// Norm of the radii.
    pub norm: String,
    /// Standard deviation of the noise; 0 for noise without one.
    pub sigma: f64,
    /// N0. Nothing in a table depends on it.
    pub n0: u64,
    /// N.
    pub n: u64,
    /// One minus the confidence, per image.
    pub alpha: f64,
    /// Where these come from.
    pub origins: Origins,
    #[serde(skip)]
    pub(super) family: Family,
    #[serde(skip)]
    pub(super) of: CertifiedNorm,
}

impl Claim {
    /// Brings together what is said about `table`.
    pub(super) fn resolve(given: &Given, source: Option<&Source>, table: &Table) -> Result<Self> {
        let own = table.rows.first().map(|row| row.own).unwrap_or_default();
        let (sigma, sigma_from) = first([
            (given.sigma, Origin::Given),
            (source.map(|source| source.sigma), Origin::Run),
            (own.sigma, Origin::Columns),
            (sigma_of(&table.path), Origin::Name),
        ])
        .ok_or_else(|| {
            Error::file(&table.path, "sigma", "the table does not say it", "say it with --sigma")
        })?;
        let whole = |own: Option<u64>, given, run, usual| {
            let all = [(given, Origin::Given), (run, Origin::Run), (own, Origin::Columns)];
            first(all).unwrap_or((usual, Origin::Usual))
        };
        let (n0, n0_from) = whole(own.n0, given.n0, source.and_then(|s| s.n0), 100);
        // Rows may have stopped early: what was claimed is the most that any of them drew.
        let most = table.rows.iter().filter_map(|row| row.own.n).max();
        let (n, n_from) = whole(most, given.n, source.and_then(|s| s.n), 100_000);
        let (alpha, alpha_from) = first([
            (given.alpha, Origin::Given),
            (source.and_then(|source| source.alpha), Origin::Run),
            (own.alpha, Origin::Columns),
        ])
        .unwrap_or((0.001, Origin::Usual));
        let family = source.map_or(Family::Gaussian, |source| source.family);
        let of = source.map_or(CertifiedNorm::L2, |source| source.norm);
        let claim = Self {
            noise: family.name(),
            norm: of.to_string(),
            sigma,
            n0,
            n,
            alpha,
            origins: Origins { sigma: sigma_from, n0: n0_from, n: n_from, alpha: alpha_from },
            family,
            of,
        };
        claim.validate()?;
        Ok(claim)
    }

    fn validate(&self) -> Result<()> {
        if self.family.has_sigma() && !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(Error::setting(
                "sigma",
                format!("{} is not a standard deviation", self.sigma),
                "give one with --sigma; a table of noise without sigma is audited in its run folder",
            ));
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            let problem = format!("{} is not between 0 and 1", self.alpha);
            return Err(Error::setting("alpha", problem, "papers use 0.001"));
        }
        if !(1..SAMPLES).contains(&self.n) {
            let problem = format!("{} samples cannot have been drawn", self.n);
            return Err(Error::setting("N", problem, "papers use 100000"));
        }
        Ok(())
    }
}

/// The first that is said.
fn first<T, const K: usize>(said: [(Option<T>, Origin); K]) -> Option<(T, Origin)> {
    said.into_iter().find_map(|(value, origin)| Some((value?, origin)))
}

/// The number behind the last `sigma` in a file's name: `sigma_0.25`, `noise-sigma=0.5.tsv`.
fn sigma_of(path: &Path) -> Option<f64> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (_, rest) = name.rsplit_once("sigma")?;
    let rest = rest.trim_start_matches(['_', '-', '=', ' ']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigma_is_read_from_names_that_say_it() {
        for (name, sigma) in [
            ("sigma_0.25", Some(0.25)),
            ("cohen_resnet110_sigma_1.00.tsv", Some(1.0)),
            ("Sigma=0.5.tsv", Some(0.5)),
            ("sigma.tsv", None),
            ("smoothing-0.25.tsv", None),
        ] {
            assert_eq!(sigma_of(Path::new(name)), sigma, "{name}");
        }
    }
}
