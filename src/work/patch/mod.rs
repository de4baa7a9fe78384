//! Certificates against patches as work: an entry of a suite, the task that it becomes, and what its rows
//! come to.

mod entry;
mod result;
mod task;

use std::path::Path;

pub use entry::PatchEntry;
pub use result::PatchResult;

use super::entrant::Entrant;
use super::entry::Entry;
use super::job::Job;
use super::kind::{Kind, Listed, Settings};
use super::method::Method;
use super::number::{Number, OneOrMany};
use super::outcome::{KindColumn, KindResult as _, Outcome};
use super::per_image::{PerImage, Value};
use super::rows::{Keyed, Rows};
use crate::certify::patch::PatchRow;
use crate::error::Result;
use crate::record::Work;
use crate::results::{Cell, Field, Head, Line, Sheet, distinct, format};

/// Name of the kind.
const NAME: &str = "patch";

/// Certificates against patches as a kind of work.
#[derive(Debug)]
pub(crate) struct Patch;

impl Kind for Patch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn section(&self) -> &'static str {
        "certificate"
    }

    fn methods(&self) -> Vec<Listed> {
        let listed = |(name, about)| Listed {
            name,
            threats: "patch".into(),
            about,
            fields: PatchEntry::FIELDS,
        };
        [
            ("patchcleanser", "double masking, any network (Xiang et al. 2022)"),
            ("column-smoothing", "votes of visible column bands (Levine and Feizi 2020)"),
            ("row-smoothing", "votes of visible row bands"),
            ("block-smoothing", "votes of visible blocks (Levine and Feizi 2020)"),
        ]
        .map(listed)
        .into()
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        let subject = format!("certificate {}", entry.text("certificate").unwrap_or_default());
        Ok(Box::new(entry.read::<PatchEntry>(&subject)?))
    }

    fn again(&self, work: &Work) -> Option<Entry> {
        let mut given = work.parameters.clone();
        given.remove("copies");
        let patch = OneOrMany::One(Number::Text(given.remove("patch")?));
        let parameters =
            given.into_iter().map(|(name, value)| (name, toml::Value::String(value))).collect();
        let certificate = work.method.clone();
        Some(PatchEntry { certificate, patch, parameters, label: None }.into())
    }

    fn essence(&self, work: &Work) -> Work {
        let mut work = work.clone().labelled("");
        // The size as it was stated; in pixels it is the threat model.
        work.parameters.remove("patch");
        work
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<PatchRow>::read(path, key)
    }

    fn sum_up(&self, method: &Method<'_>, _: &[Method<'_>], model: usize) -> Option<Outcome> {
        Some(Outcome::new(NAME, PatchResult::of(method, model)?))
    }

    fn columns(&self, jobs: &[&Job]) -> Vec<KindColumn> {
        let column = |patch: &str| KindColumn {
            kind: NAME,
            title: format!("certified {patch}"),
            word: "certified",
            threat: patch.to_owned(),
            eps: None,
            lower_bound: false,
        };
        distinct(jobs.iter().map(|job| job.work.threat.as_str())).into_iter().map(column).collect()
    }

    fn reading(&self, columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        let sentence = |column: &&KindColumn| {
            let patch = &column.threat;
            let count =
                |e: &&Entrant| e.results::<PatchResult>().filter(|c| c.patch == *patch).count();
            let several = entrants.iter().any(|entrant| count(entrant) > 1);
            let best = if several { ", by the model's best certificate" } else { "" };
            format!(
                "Certified {patch}: correct with the defence in front, and proved not to change whatever \
                 a {patch} shows, wherever it is{best}."
            )
        };
        columns.iter().map(sentence).collect()
    }

    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        let line = |entrant: &Entrant, result: &PatchResult| {
            let done = (result.done, result.images);
            let cell = |share| Field::from(Cell::of(share, done.0, done.1));
            Line::of(vec![
                Field::text(&*entrant.model.name),
                Field::text(&*result.label)
                    .about(format::parameters(&result.parameters))
                    .of_job(&entrant.model.name, &result.label),
                Field::text(&*result.patch),
                Field::text(format::done(done)),
                cell(result.accuracy),
                cell(result.certified),
                Field::text(format::count(result.forwards)),
            ])
        };
        let of = |entrant: &&Entrant| {
            let results = entrant.results::<PatchResult>();
            results.map(|result| line(entrant, result)).collect::<Vec<_>>()
        };
        let lines: Vec<Line> = entrants.iter().flat_map(of).collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let mut columns = ["model", "certificate", "threat"].map(Head::text).to_vec();
        columns.push(Head::number("images").page_only());
        columns.extend(["clean", "certified", "forwards per image"].map(Head::number));
        vec![Sheet {
            title: "Certified accuracy against patches".into(),
            columns,
            lines,
            note: "Clean: share of all images that the defended network classifies correctly. Certified: \
                   and that no patch of the size changes, whatever it shows and wherever it is."
                .into(),
            ..Sheet::default()
        }]
    }

    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let finished = entrant.results::<PatchResult>().filter(|result| result.finished());
        let fields = finished.flat_map(|result| {
            let PatchResult { label, patch, accuracy, certified, forwards, .. } = result;
            [
                (format!("{label} clean"), format::share(*accuracy)),
                (format!("{label} certified {patch}"), format::share(*certified)),
                (format!("{label} forwards per image"), format::number(*forwards)),
            ]
        });
        fields.collect()
    }

    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)> {
        let all: Vec<_> = entrant.results::<PatchResult>().collect();
        vec![("patches", serde_json::to_value(all).unwrap_or_default())]
    }

    fn per_image(&self, work: &Work, rows: &dyn Rows, _: &[f64]) -> Vec<PerImage> {
        let Some(rows) = Keyed::<PatchRow>::of(rows) else { return Vec::new() };
        let value = |row: &PatchRow| Value::yes(row.idx, row.label, row.certified == 1);
        vec![PerImage {
            column: format!("certified {}", work.threat),
            share: true,
            lists: false,
            values: rows.iter().map(|(key, row)| (key.clone(), value(row))).collect(),
        }]
    }
}
