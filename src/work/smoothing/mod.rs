//! Randomized smoothing as work: an entry of a suite, the task that it becomes, the counts of images that
//! are under way, and what its rows come to.

mod columns;
mod compare;
mod counts;
mod counts_record;
mod entry;
mod envelope;
mod p_a;
mod result;
mod tables;
mod task;

use std::path::Path;

pub(crate) use compare::log_columns;
pub use counts_record::{CountsRecord, ImageCounts};
pub use entry::SmoothingEntry;
pub use envelope::{Envelope, EnvelopePoint};
pub use p_a::{Bin, ProbabilityBounds, Quantile};
pub use result::{CertifiedAccuracy, SmoothingResult};

use super::entrant::Entrant;
use super::entry::Entry;
use super::job::Job;
use super::kind::{Chance, Kind, Listed, Settings};
use super::method::Method;
use super::number::Number;
use super::outcome::{KindColumn, KindResult as _, Outcome};
use super::per_image::PerImage;
use super::rows::{Keyed, Rows};
use crate::certify::{CertificateRow, SMOOTHING};
use crate::error::Result;
use crate::record::Work;
use crate::results::{Figure, Sheet, format};

/// Name of the certificate, CERTIFY.
const COHEN: &str = "cohen";

/// Randomized smoothing as a kind of work.
#[derive(Debug)]
pub(crate) struct Smoothing;

impl Kind for Smoothing {
    fn name(&self) -> &'static str {
        SMOOTHING
    }

    fn section(&self) -> &'static str {
        "certificate"
    }

    fn methods(&self) -> Vec<Listed> {
        vec![Listed {
            name: COHEN,
            threats: "L2 L1 Linf L0".into(),
            about: "randomized smoothing (Cohen et al. 2019), in any --mode",
            fields: SmoothingEntry::FIELDS,
        }]
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        Ok(Box::new(entry.read::<SmoothingEntry>("certificate cohen")?))
    }

    fn again(&self, work: &Work) -> Option<Entry> {
        let mut given = work.parameters.clone();
        let sigma: f64 = work.fact("sigma").parse().ok()?;
        let mut entry = SmoothingEntry {
            certificate: work.method.clone(),
            norm: Some(work.threat.clone()),
            sigma: (sigma > 0.0).then_some(Number::Float(sigma)),
            radii: work.eps.clone(),
            mode: given.remove("mode"),
            noise: given.remove("noise"),
            n0: given.remove("N0")?.parse().ok()?,
            n: given.remove("N")?.parse().ok()?,
            alpha: given.remove("alpha")?.parse().ok()?,
            ..SmoothingEntry::default()
        };
        given.remove("images");
        entry.parameters =
            given.into_iter().map(|(name, value)| (name, toml::Value::String(value))).collect();
        Some(entry.into())
    }

    fn chance(&self) -> Chance {
        Chance::Draw
    }

    fn essence(&self, work: &Work) -> Work {
        let mut work = work.clone().labelled("");
        // A certificate that draws all samples is the same whatever radii are reported.
        if work.parameters.get("mode").is_some_and(|mode| mode == "cohen") {
            work.eps.clear();
        }
        work.facts.remove("guarantee");
        work
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<CertificateRow>::read(path, key)
    }

    fn sum_up(&self, method: &Method<'_>, _: &[Method<'_>], model: usize) -> Option<Outcome> {
        Some(Outcome::new(SMOOTHING, SmoothingResult::of(method, model)?))
    }

    fn columns(&self, jobs: &[&Job]) -> Vec<KindColumn> {
        columns::columns(jobs)
    }

    fn reading(&self, columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        columns::reading(columns, entrants)
    }

    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        tables::sheets(entrants)
    }

    fn figures(&self, entrants: &[&Entrant], most: usize) -> Vec<Figure> {
        tables::figures(entrants, most)
    }

    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for certificate in entrant.results::<SmoothingResult>().filter(|c| c.finished()) {
            let label = &certificate.label;
            for at in &certificate.accuracy {
                let title = format!("{label} certified {}", format::eps(at.radius));
                fields.push((title, format::share(at.accuracy)));
            }
            fields.push((format!("{label} abstained"), format::share(certificate.abstained)));
            let radius = format::radius(certificate.average_radius);
            fields.push((format!("{label} average radius"), radius));
        }
        fields
    }

    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)> {
        let all: Vec<_> = entrant.results::<SmoothingResult>().collect();
        vec![
            ("certificates", serde_json::to_value(all).unwrap_or_default()),
            ("envelopes", serde_json::to_value(envelope::envelopes(entrant)).unwrap_or_default()),
        ]
    }

    fn per_image(&self, work: &Work, rows: &dyn Rows, radii: &[f64]) -> Vec<PerImage> {
        Keyed::of(rows).map_or(Vec::new(), |rows| compare::columns(work, rows, radii))
    }
}
