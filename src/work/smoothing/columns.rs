//! Certified accuracy as columns of the board: one for each norm that smoothing certified.

use super::result::SmoothingResult;
use crate::certify::SMOOTHING;
use crate::results::{Proportion, format};
use crate::work::entrant::Entrant;
use crate::work::job::Job;
use crate::work::outcome::{KindColumn, KindResult as _};

/// The columns of these jobs, in their order: for each norm the smallest positive radius that any
/// certificate of the board reports.
pub(super) fn columns(jobs: &[&Job]) -> Vec<KindColumn> {
    let mut norms: Vec<(&str, f64)> = Vec::new();
    for job in jobs {
        let smallest = job.work.eps.iter().copied().filter(|r| *r > 0.0).min_by(f64::total_cmp);
        let Some(radius) = smallest else { continue };
        match norms.iter_mut().find(|(norm, _)| *norm == job.work.threat) {
            Some((_, known)) => *known = known.min(radius),
            None => norms.push((&job.work.threat, radius)),
        }
    }
    let column = |(norm, radius): (&str, f64)| KindColumn {
        kind: SMOOTHING,
        title: format!("certified {}", format::title(norm, Some(radius))),
        word: "certified",
        threat: norm.to_owned(),
        eps: Some(radius),
        lower_bound: false,
    };
    norms.into_iter().map(column).collect()
}

/// The finished certificate that certifies the most images at `radius` in `norm`, as in Cohen et al. 2019,
/// where the best sigma is taken for each radius. One over the images of the row goes before others, and
/// among those the one over most images.
pub(super) fn certified<'a>(
    entrant: &'a Entrant,
    norm: &str,
    radius: f64,
) -> Option<(&'a SmoothingResult, Proportion)> {
    let own = entrant.results::<SmoothingResult>().filter(|c| c.norm == norm && c.finished());
    let own = own.filter_map(|c| Some((c, c.at(radius)?, c.image_set.as_ref())));
    entrant.best(own).map(|(certificate, share, _)| (certificate, share))
}

/// What the columns mean, and what their certificates promise.
pub(super) fn reading(columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
    let sentence = |column: &&KindColumn| {
        let count = |e: &&Entrant| {
            e.results::<SmoothingResult>().filter(|c| c.norm == column.threat).count()
        };
        let several = entrants.iter().any(|entrant| count(entrant) > 1);
        format!(
            "Certified {}: correct, and proved not to change within an {} ball of that radius{}.",
            format::title(&column.threat, column.eps),
            column.threat,
            if several { ", by the model's best certificate" } else { "" }
        )
    };
    let guarantees = guarantees(entrants);
    let guarantees = guarantees.iter().map(|(text, of)| format!("{}: {text}.", of.join(", ")));
    columns.iter().map(sentence).chain(guarantees).collect()
}

/// What certificates promise, each with the labels of those that do.
fn guarantees<'a>(entrants: &[&'a Entrant]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    let certificates = entrants.iter().flat_map(|entrant| entrant.results::<SmoothingResult>());
    for certificate in certificates.filter(|c| !c.guarantee.is_empty()) {
        let (guarantee, label) = (certificate.guarantee.as_str(), certificate.label.as_str());
        match all.iter_mut().find(|(known, _)| *known == guarantee) {
            Some((_, labels)) if labels.contains(&label) => {}
            Some((_, labels)) => labels.push(label),
            None => all.push((guarantee, vec![label])),
        }
    }
    all
}
