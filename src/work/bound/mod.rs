//! Bounds of the network itself as work: an entry of a suite, the task that it becomes, and what its rows
//! come to. They are lower bounds of what attacks bound from above, about the same function.

mod columns;
mod entry;
mod result;
mod tables;
mod task;

use std::path::Path;

pub use entry::BoundEntry;
pub use result::{BoundResult, VerifiedAccuracy};

use super::entrant::Entrant;
use super::entry::Entry;
use super::job::Job;
use super::kind::{Kind, Listed, Settings};
use super::method::Method as Jobs;
use super::number::{Number, OneOrMany};
use super::outcome::{KindColumn, KindResult as _, Outcome};
use super::per_image::{PerImage, Value};
use super::rows::{Keyed, Rows};
use crate::certify::BoundRow;
use crate::error::Result;
use crate::nn::bounds::Method;
use crate::record::Work;
use crate::results::{Figure, Sheet, format};

/// Name of the kind.
const NAME: &str = "bound";

/// The methods.
const METHODS: [Method; 4] = [Method::Ibp, Method::CrownIbp, Method::FastLin, Method::Crown];

/// Bounds of the network itself as a kind of work.
#[derive(Debug)]
pub(crate) struct Bound;

impl Kind for Bound {
    fn name(&self) -> &'static str {
        NAME
    }

    fn section(&self) -> &'static str {
        "certificate"
    }

    fn methods(&self) -> Vec<Listed> {
        let about = |method| match method {
            Method::Ibp => "bounds of the network itself: intervals (Gowal et al. 2018)",
            Method::CrownIbp => "intervals, then CROWN for the margins (Zhang et al. 2020)",
            Method::FastLin => "backward linear bounds, parallel lines (Weng et al. 2018)",
            Method::Crown => "backward linear bounds, adaptive lines (Zhang et al. 2018)",
        };
        let listed = |method: Method| Listed {
            name: method.name(),
            threats: "Linf L2".into(),
            about: about(method),
            fields: BoundEntry::FIELDS,
        };
        METHODS.map(listed).into()
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        let subject = format!("certificate {}", entry.text("certificate").unwrap_or_default());
        Ok(Box::new(entry.read::<BoundEntry>(&subject)?))
    }

    fn again(&self, work: &Work) -> Option<Entry> {
        let entry = BoundEntry {
            certificate: work.method.clone(),
            label: None,
            norm: Some(work.threat.clone()),
            eps: OneOrMany::Many(work.eps.iter().copied().map(Number::Float).collect()),
            steps: work.parameters.get("steps")?.parse().ok(),
        };
        Some(entry.into())
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<BoundRow>::read(path, key)
    }

    fn sum_up(&self, method: &Jobs<'_>, _: &[Jobs<'_>], model: usize) -> Option<Outcome> {
        Some(Outcome::new(NAME, BoundResult::of(method, model)?))
    }

    fn columns(&self, jobs: &[&Job]) -> Vec<KindColumn> {
        columns::columns(jobs)
    }

    fn reading(&self, columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        columns::reading(columns, entrants)
    }

    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        tables::sheet(entrants).into_iter().collect()
    }

    fn figures(&self, entrants: &[&Entrant], most: usize) -> Vec<Figure> {
        tables::figures(entrants, most)
    }

    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for bound in entrant.results::<BoundResult>().filter(|bound| bound.finished()) {
            let label = &bound.label;
            for at in &bound.accuracy {
                let title = format!("{label} verified {}", format::eps(at.eps));
                fields.push((title, format::share(at.accuracy)));
            }
            let radius = format::radius(bound.average_radius);
            fields.push((format!("{label} average radius"), radius));
        }
        fields
    }

    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)> {
        let all: Vec<_> = entrant.results::<BoundResult>().collect();
        vec![("bounds", serde_json::to_value(all).unwrap_or_default())]
    }

    fn per_image(&self, work: &Work, rows: &dyn Rows, _: &[f64]) -> Vec<PerImage> {
        let Some(rows) = Keyed::<BoundRow>::of(rows) else { return Vec::new() };
        let at = |eps: &f64| {
            let value = |row: &BoundRow| Value::yes(row.idx, row.label, row.certified(*eps));
            PerImage {
                column: format!("verified {}", format::title(&work.threat, Some(*eps))),
                share: true,
                lists: false,
                values: rows.iter().map(|(key, row)| (key.clone(), value(row))).collect(),
            }
        };
        work.eps.iter().map(at).collect()
    }
}
