//! The tables of accuracy under corruptions: a row per network, and a row per corruption.

use super::SEVERITIES;
use super::result::CorruptionResult;
use crate::published::{self, Subject};
use crate::results::{Field, Head, Line, Sheet, distinct, format};
use crate::work::entrant::Entrant;
use crate::work::outcome::KindResult as _;

/// A share in percent.
fn percent(share: f64) -> String {
    format::fixed(100.0 * share, 2)
}

/// Name of the network, with the label of the result if it has several.
fn title(results: &[(&Entrant, &CorruptionResult)], at: usize) -> String {
    let (entrant, result) = results[at];
    let name = &entrant.model.name;
    let same = results.iter().filter(|(other, _)| other.model.name == *name).count();
    if same > 1 { format!("{name}, {}", result.label) } else { name.clone() }
}

/// The networks with their finished results.
fn finished<'a>(entrants: &[&'a Entrant]) -> Vec<(&'a Entrant, &'a CorruptionResult)> {
    let of = |entrant: &&'a Entrant| {
        let entrant: &'a Entrant = entrant;
        entrant.results::<CorruptionResult>().map(move |result| (entrant, result))
    };
    entrants.iter().flat_map(of).filter(|(_, result)| result.finished()).collect()
}

/// What the column is over, and what is published for the networks.
pub(super) fn reading(entrants: &[&Entrant]) -> Vec<String> {
    let results = finished(entrants);
    let mut lines = Vec::new();
    let extent = |r: &CorruptionResult| (r.corruptions.len(), r.images, r.most_images);
    let extents = distinct(results.iter().map(|(_, result)| extent(result)));
    for of @ (count, images, most) in &extents {
        let own = (0..results.len()).filter(|at| extent(results[*at].1) == *of);
        let title = match extents.len() {
            1 => "Corruptions".to_owned(),
            _ => own.map(|at| title(&results, at)).collect::<Vec<_>>().join("; "),
        };
        let corruptions = if *count == 1 { "corruption" } else { "corruptions" };
        let images =
            if images == most { images.to_string() } else { format!("{images} to {most}") };
        lines.push(format!(
            "{title}: mean accuracy over {count} {corruptions} at {SEVERITIES} severities, \
             {images} images each."
        ));
    }
    if extents.len() > 1 {
        lines.push(
            "Accuracies under corruptions over different images cannot be compared: run the smaller ones \
             again with a larger -n (in a suite: first), which adds to them."
                .into(),
        );
    }
    let baselines = distinct(
        results.iter().filter_map(|(_, r)| r.baseline.as_ref().filter(|_| r.mce.is_some())),
    );
    for baseline in baselines {
        lines.push(format!(
            "mCE: mean corruption error; a corruption error is relative to that of {baseline}."
        ));
    }
    lines.extend(results.iter().filter_map(|(entrant, result)| compared(entrant, result)));
    lines
}

/// The published accuracy of the entry that a network is, if its table is about corruptions.
fn compared(entrant: &Entrant, result: &CorruptionResult) -> Option<String> {
    let reference = entrant.model.published.as_deref()?;
    let (table, entry) = published::find(reference).ok()?;
    let stated = entry.corruptions.filter(|_| table.subject == Subject::Corruptions)?;
    let difference = 100.0 * result.accuracy? - stated;
    Some(format!(
        "{}: published for {reference}: {stated:.2}; measured minus published: {} points.",
        entrant.model.name,
        format::signed(difference, 2)
    ))
}

/// A row per network; a row per corruption with a column per network.
pub(super) fn sheets(entrants: &[&Entrant]) -> Vec<Sheet> {
    let results = finished(entrants);
    if results.is_empty() {
        return Vec::new();
    }
    let errors = results.iter().any(|(_, result)| result.mce.is_some());
    let optional = |value: Option<f64>| Field::text(value.map_or("–".into(), percent));
    let mut columns = vec![Head::text("model")];
    columns.extend((1..=SEVERITIES).map(|severity| Head::number(format!("severity {severity}"))));
    columns.push(Head::number("mean"));
    columns.extend(errors.then(|| Head::number("mCE")));
    let titles: Vec<String> = (0..results.len()).map(|at| title(&results, at)).collect();
    let line = |(title, (_, result)): (&String, &(&Entrant, &CorruptionResult))| {
        let mut fields = vec![Field::text(&**title).about(&*result.data)];
        fields.extend((1..=SEVERITIES).map(|severity| optional(result.at(severity))));
        fields.push(optional(result.accuracy));
        fields.extend(errors.then(|| optional(result.mce)));
        Line::of(fields)
    };
    let networks = Sheet {
        title: "Accuracy under corruptions".into(),
        columns,
        lines: titles.iter().zip(&results).map(line).collect(),
        note: "Accuracy in percent, mean over the corruptions at each severity and over all."
            .into(),
        in_terminal: true,
        ..Sheet::default()
    };
    let names = distinct(results.iter().flat_map(|(_, r)| &r.corruptions).map(|c| &*c.corruption));
    let mut columns = vec![Head::text("corruption")];
    columns.extend(titles.iter().map(|title| Head::number(&**title)));
    let line = |corruption: &str| {
        let field = |(_, result): &(&Entrant, &CorruptionResult)| {
            let own = result.corruptions.iter().find(|c| c.corruption == corruption);
            let error = own.and_then(|own| own.error).map_or(String::new(), percent);
            optional(own.map(|own| own.accuracy)).noted(error)
        };
        let head = Field::text(corruption);
        Line::of(std::iter::once(head).chain(results.iter().map(field)).collect())
    };
    let note = match errors {
        true => {
            "Accuracy in percent, mean over the severities. Small: corruption error in percent of the \
                 baseline's."
        }
        false => "Accuracy in percent, mean over the severities.",
    };
    let short =
        if errors { "In brackets: corruption error in percent of the baseline's." } else { "" };
    let corruptions = Sheet {
        title: "By corruption".into(),
        below: true,
        columns,
        lines: names.into_iter().map(line).collect(),
        note: note.into(),
        short_note: short.into(),
        in_terminal: true,
        ..Sheet::default()
    };
    vec![networks, corruptions]
}
