//! The corruption benchmark (Hendrycks and Dietterich, "Benchmarking neural network robustness to common
//! corruptions and perturbations", ICLR 2019) as work: clean accuracy under common corruptions at five
//! severities.

mod entry;
mod result;
mod row;
mod tables;
mod task;

use std::path::{Path, PathBuf};

pub use entry::CorruptionEntry;
pub use result::{CorruptionAccuracy, CorruptionResult};
pub use row::CorruptionRow;

use super::entrant::Entrant;
use super::entry::Entry;
use super::job::Job;
use super::kind::{Kind, Listed, Settings};
use super::method::Method;
use super::outcome::{KindColumn, KindResult as _, Outcome};
use super::rows::{Keyed, Rows};
use crate::digest::sha256;
use crate::error::Result;
use crate::record::Work;
use crate::results::{Sheet, format};

/// Name of the kind.
const NAME: &str = "corruption";

/// Severities run from 1 to this.
pub(crate) const SEVERITIES: usize = 5;

/// The corruptions of the benchmark, grouped as in the paper: noise, blur, weather, digital.
pub const CORRUPTIONS: [&str; 15] = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
];

/// Number of the row of a corruption and severity: by the paper's order, and after these by a hash of the
/// name, so that corruptions can be added in any order.
fn number(corruption: &str, severity: usize) -> u64 {
    let known = CORRUPTIONS.iter().position(|name| *name == corruption);
    let corruption = known.map_or_else(
        || 100 + u64::from_str_radix(&sha256(corruption.as_bytes())[..8], 16).unwrap_or(0),
        |at| at as u64,
    );
    10 * corruption + severity as u64
}

/// Corruptions as a kind of work.
#[derive(Debug)]
pub(crate) struct Corruption;

impl Kind for Corruption {
    fn name(&self) -> &'static str {
        NAME
    }

    fn section(&self) -> &'static str {
        "corruption"
    }

    fn methods(&self) -> Vec<Listed> {
        vec![Listed {
            name: "common",
            threats: "corruptions".into(),
            about: "accuracy under common corruptions (Hendrycks and Dietterich 2019)",
        }]
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        Ok(Box::new(entry.read::<CorruptionEntry>("corruption")?))
    }

    fn again(&self, work: &Work) -> Option<Entry> {
        let (format, spec) = work.fact("data").split_once(':')?;
        let (folder, rest) = match format {
            "cifar-c" => (spec.strip_suffix(",CORRUPTION,SEVERITY")?, ""),
            _ => spec.split_once("/CORRUPTION/SEVERITY,")?,
        };
        let (preprocessing, ids) = rest.split_once(',').map_or((rest, None), |(p, i)| (p, Some(i)));
        let entry = CorruptionEntry {
            folder: folder.into(),
            preprocessing: (!preprocessing.is_empty()).then(|| preprocessing.to_owned()),
            ids: ids.map(PathBuf::from),
            first: work.fact("first").parse().ok(),
            ..CorruptionEntry::default()
        };
        Some(entry.into())
    }

    fn extension(&self) -> &'static str {
        "csv"
    }

    fn essence(&self, work: &Work) -> Work {
        let mut work = work.clone().labelled("");
        // Rows name their images; where these lie, and what errors are compared with, is nothing to them.
        work.facts.remove("data");
        work.facts.remove("baseline");
        work
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<CorruptionRow>::read(path, key)
    }

    fn by_image(&self) -> bool {
        false
    }

    fn sum_up(&self, method: &Method<'_>, model: usize) -> Option<Outcome> {
        Some(Outcome::new(NAME, CorruptionResult::of(method, model)?))
    }

    fn columns(&self, jobs: &[&Job]) -> Vec<KindColumn> {
        let column = KindColumn {
            kind: NAME,
            title: "corruptions".into(),
            word: "",
            threat: "corruptions".into(),
            eps: None,
            lower_bound: false,
        };
        jobs.first().map(|_| column).into_iter().collect()
    }

    fn reading(&self, _: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        tables::reading(entrants)
    }

    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        tables::sheets(entrants)
    }

    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for result in entrant.results::<CorruptionResult>().filter(|result| result.finished()) {
            let label = &result.label;
            let number = |value: Option<f64>| value.map_or(String::new(), format::number);
            fields.push((label.clone(), number(result.accuracy)));
            if result.baseline.is_some() {
                fields.push((format!("{label} mCE"), number(result.mce)));
            }
            for of in &result.corruptions {
                let at = (1..).zip(&of.severities);
                let title = |severity| format!("{label} {} {severity}", of.corruption);
                fields
                    .extend(at.map(|(severity, share)| (title(severity), format::number(*share))));
            }
        }
        fields
    }

    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)> {
        let all: Vec<_> = entrant.results::<CorruptionResult>().collect();
        vec![("corruptions", serde_json::to_value(all).unwrap_or_default())]
    }
}
