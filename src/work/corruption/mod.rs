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
use super::per_image::{PerImage, Value};
use super::rows::{Keyed, Rows};
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::record::Work;
use crate::results::{Sheet, distinct, format};

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
            fields: &[],
        }]
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        let none = |only: &toml::Value| only.as_array().is_some_and(|names| names.is_empty());
        if entry.0.get("only").is_some_and(none) {
            let remedy = "name corruptions, or leave `only` out to measure all fifteen";
            return Err(Error::setting("corruption: only", "the list is empty", remedy));
        }
        Ok(Box::new(entry.read::<CorruptionEntry>("corruption")?))
    }

    fn again(&self, work: &Work) -> Option<Entry> {
        let (format, spec) = work.fact("data").split_once(':')?;
        let (folder, rest) = match format {
            "cifar-c" => (spec.strip_suffix(",CORRUPTION,SEVERITY")?, ""),
            _ => spec.split_once("/CORRUPTION/SEVERITY,")?,
        };
        let (preprocessing, ids) = rest.split_once(',').map_or((rest, None), |(p, i)| (p, Some(i)));
        let names = work.fact("only");
        let entry = CorruptionEntry {
            folder: folder.into(),
            preprocessing: (!preprocessing.is_empty()).then(|| preprocessing.to_owned()),
            ids: ids.map(PathBuf::from),
            first: work.fact("first").parse().ok(),
            only: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            ..CorruptionEntry::default()
        };
        Some(entry.into())
    }

    fn extension(&self) -> &'static str {
        "csv"
    }

    fn extend(&self, known: &mut Work, new: &Work) -> bool {
        let first = |work: &Work| work.fact("first").parse().unwrap_or(usize::MAX);
        let (had, wanted) = (first(known), first(new));
        let before = known.facts.clone();
        known.facts.clone_from(&new.facts);
        if had > wanted {
            known.facts.remove("first");
            known.facts.extend(before.get_key_value("first").map(|(k, v)| (k.clone(), v.clone())));
        }
        if let Some(names) = before.get("only") {
            let all = names.split(',').chain(new.fact("only").split(','));
            known.facts.insert("only".into(), distinct(all).join(","));
        }
        wanted > had
    }

    fn once(&self) -> &'static str {
        "write one entry for both, with the larger `first` and all names in `only`"
    }

    fn essence(&self, work: &Work) -> Work {
        let mut work = work.clone().labelled("");
        // Rows name their corruption and their images; how many these are, where they lie, and what errors
        // are compared with, is nothing to them.
        for told in ["data", "only", "first", "baseline"] {
            work.facts.remove(told);
        }
        work
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<CorruptionRow>::read(path, key)
    }

    fn by_image(&self) -> bool {
        false
    }

    fn sum_up(&self, method: &Method<'_>, _: &[Method<'_>], model: usize) -> Option<Outcome> {
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

    fn per_image(&self, _: &Work, rows: &dyn Rows, _: &[f64]) -> Vec<PerImage> {
        let Some(rows) = Keyed::<CorruptionRow>::of(rows) else { return Vec::new() };
        let column = |column: String, of: &dyn Fn(&CorruptionRow) -> bool| PerImage {
            column,
            share: false,
            lists: true,
            values: rows
                .iter()
                .filter(|(_, row)| of(row))
                .map(|(key, row)| {
                    let value = Value { idx: row.idx, label: 0, value: row.accuracy() };
                    (key.clone(), value)
                })
                .collect(),
        };
        let mut sorted: Vec<&CorruptionRow> = rows.rows.iter().collect();
        sorted.sort_by_key(|row| row.idx);
        let names = distinct(sorted.iter().map(|row| &row.corruption));
        let each =
            names.iter().map(|name| column((*name).clone(), &|row| row.corruption == **name));
        std::iter::once(column("mean accuracy".into(), &|_| true)).chain(each).collect()
    }
}
