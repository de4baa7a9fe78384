//! The table and the figures of verified accuracy.

use super::result::BoundResult;
use crate::results::{
    Cell, Field, Figure, Head, Line, Look, Series, Sheet, distinct, format, steps,
};
use crate::work::entrant::Entrant;
use crate::work::method::union;
use crate::work::outcome::KindResult as _;

/// Threat models that any bounds are about, in the order of the networks.
fn threats<'a>(entrants: &[&'a Entrant]) -> Vec<&'a str> {
    let all = entrants.iter().flat_map(|entrant| entrant.results::<BoundResult>());
    distinct(all.map(|bound| bound.threat.as_str()))
}

/// A row per network and job of bounds.
pub(super) fn sheet(entrants: &[&Entrant]) -> Option<Sheet> {
    let radii = |threat: &str| {
        let mut radii = Vec::new();
        let all = entrants.iter().flat_map(|entrant| entrant.results::<BoundResult>());
        for bound in all.filter(|bound| bound.threat == threat) {
            union(&mut radii, &bound.accuracy.iter().map(|a| a.eps).collect::<Vec<_>>());
        }
        radii
    };
    let tried: Vec<(&str, f64)> = threats(entrants)
        .into_iter()
        .flat_map(|threat| radii(threat).into_iter().map(move |eps| (threat, eps)))
        .collect();
    let mut columns =
        vec![Head::text("model"), Head::text("bounds"), Head::number("images").page_only()];
    let first = columns.len();
    columns.extend(tried.iter().map(|(t, eps)| Head::number(format::title(t, Some(*eps)))));
    columns.push(Head::number("average radius"));
    let line = |entrant: &Entrant, bound: &BoundResult| {
        let done = (bound.done, bound.images);
        let mut fields = vec![
            Field::text(&*entrant.model.name),
            Field::text(&*bound.label)
                .about(format::parameters(&bound.parameters))
                .of_job(&entrant.model.name, &bound.label),
            Field::text(format::done(done)),
        ];
        fields.extend(tried.iter().map(|(threat, eps)| match bound.threat == *threat {
            true => Field::from(Cell::of(bound.at(*eps), done.0, done.1)),
            false => Cell::Absent.into(),
        }));
        let radius = bound.average_radius.filter(|_| bound.finished());
        fields.push(Field::text(radius.map_or("–".into(), format::radius_down)));
        Line::of(fields)
    };
    let of = |entrant: &&Entrant| {
        entrant.results::<BoundResult>().map(|bound| line(entrant, bound)).collect::<Vec<_>>()
    };
    let lines: Vec<Line> = entrants.iter().flat_map(of).collect();
    let mut sheet = Sheet {
        title: "Verified accuracy".into(),
        columns,
        lines,
        note: "Share of all images that the network classifies correctly and that deterministic bounds \
               prove to stay so everywhere in the ball. Average radius: wrong predictions count 0."
            .into(),
        ..Sheet::default()
    };
    (0..tried.len()).for_each(|column| sheet.mark_best(first + column));
    (!sheet.lines.is_empty()).then_some(sheet)
}

/// Verified accuracy against the radius, one figure per threat model.
pub(super) fn figures(entrants: &[&Entrant], most: usize) -> Vec<Figure> {
    threats(entrants).into_iter().filter_map(|threat| figure(entrants, most, threat)).collect()
}

fn figure(entrants: &[&Entrant], most: usize, threat: &str) -> Option<Figure> {
    let series = entrants.iter().take(most).enumerate().flat_map(|(at, entrant)| {
        let own = |b: &&BoundResult| b.finished() && b.threat == threat;
        let bounds: Vec<&BoundResult> = entrant.results().filter(own).collect();
        let several = bounds.len() > 1;
        bounds.into_iter().enumerate().map(move |(number, bound)| Series {
            name: match several {
                true => format!("{}, {}", entrant.model.name, bound.label),
                false => entrant.model.name.clone(),
            },
            look: Look::new(at, if several { number } else { at }),
            ..steps(&bound.curve, bound.done)
        })
    });
    let caption = format!(
        "Verified accuracy against the {threat} radius: share of images classified correctly and proved to \
         stay so at least that far. Bands: 95 % Wilson intervals, radius by radius.{}",
        format::only_first(most, entrants.len())
    );
    Figure::new(
        &format!("verified {threat}"),
        caption,
        series.collect(),
        &format!("{threat} radius"),
    )
}
