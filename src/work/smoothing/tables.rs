//! The tables and figures of certified accuracy by smoothing, one of each per norm.

use super::envelope::{Envelope, envelopes};
use super::p_a::ProbabilityBounds;
use super::result::SmoothingResult;
use crate::results::{
    Cell, Field, Figure, Head, Line, Look, Series, Sheet, distinct, format, steps,
};
use crate::work::entrant::Entrant;
use crate::work::outcome::KindResult as _;

/// Norms that any certificate has radii in, in the order of the networks.
fn norms<'a>(entrants: &[&'a Entrant]) -> Vec<&'a str> {
    let all = entrants.iter().flat_map(|entrant| entrant.results::<SmoothingResult>());
    distinct(all.map(|certificate| certificate.norm.as_str()))
}

/// Radii that any certificate reports in `norm`, ascending.
fn radii(entrants: &[&Entrant], norm: &str) -> Vec<f64> {
    let all = entrants.iter().flat_map(|entrant| entrant.results::<SmoothingResult>());
    let accuracies = all.filter(|c| c.norm == norm).flat_map(|c| &c.accuracy);
    let mut radii: Vec<f64> = accuracies.map(|accuracy| accuracy.radius).collect();
    radii.sort_by(f64::total_cmp);
    radii.dedup();
    radii
}

/// A table per norm.
pub(super) fn sheets(entrants: &[&Entrant]) -> Vec<Sheet> {
    norms(entrants).into_iter().map(|norm| sheet(entrants, norm)).collect()
}

/// A row per network and certificate in `norm`, and under them the best of several.
fn sheet(entrants: &[&Entrant], norm: &str) -> Sheet {
    let radii = radii(entrants, norm);
    let mut columns = vec![
        Head::text("model"),
        Head::text("certificate"),
        Head::number("sigma").page_only(),
        Head::number("images").page_only(),
    ];
    let first = columns.len();
    columns
        .extend(radii.iter().map(|radius| Head::number(format!("r = {}", format::eps(*radius)))));
    columns.extend(["abstained", "average radius", "pA quartiles", "samples"].map(Head::number));
    let mut sheet = Sheet {
        title: match norm {
            "L2" => "Certified accuracy".into(),
            norm => format!("Certified accuracy in {norm}"),
        },
        columns,
        note: format!(
            "Share of all images that the smoothed network classifies correctly and certifies at least up \
             to the {norm} radius r. Average radius: wrong and abstaining predictions count 0. A few very \
             sure images can raise it, so beside it stands pA, the proven lower bound of the true class's \
             probability under noise (0 if another class was selected): quartiles over the images, and how \
             many lie below 0.5, 0.75, 0.9, 0.99, 0.999 and above. Samples: of an image, in the mean."
        ),
        ..Sheet::default()
    };
    let mut envelope_rows = Vec::new();
    for entrant in entrants {
        let own = entrant.results::<SmoothingResult>().filter(|c| c.norm == norm);
        sheet.lines.extend(own.map(|certificate| line(entrant, certificate, &radii)));
        let envelopes = envelopes(entrant);
        if let Some(envelope) = envelopes.iter().find(|envelope| envelope.norm == norm) {
            envelope_rows.push((sheet.lines.len(), best(entrant, envelope, &radii)));
        }
    }
    // The best of a network's certificates is none of them.
    (0..radii.len()).for_each(|radius| sheet.mark_best(first + radius));
    for (at, line) in envelope_rows.into_iter().rev() {
        sheet.lines.insert(at, line);
    }
    sheet
}

fn line(entrant: &Entrant, certificate: &SmoothingResult, radii: &[f64]) -> Line {
    let (done, images) = (certificate.done, certificate.images);
    let cell = |p| Cell::of(p, done, images);
    let finished = certificate.finished();
    let p_a = certificate.p_a.as_ref().filter(|_| finished);
    let radius = certificate.average_radius.filter(|_| finished);
    let sigma = match certificate.sigma {
        0.0 => "–".into(),
        sigma => format::eps(sigma),
    };
    let mut fields = vec![
        Field::text(&*entrant.model.name),
        Field::text(&*certificate.label)
            .about(format::parameters(&certificate.parameters))
            .of_job(&entrant.model.name, &certificate.label),
        Field::text(sigma),
        Field::text(format::done((done, images))),
    ];
    fields.extend(radii.iter().map(|radius| Field::from(cell(certificate.at(*radius)))));
    fields.extend([
        Field::text(cell(certificate.abstained).to_string()),
        Field::text(radius.map_or("–".into(), format::radius_down)),
        Field {
            drawing: p_a.map_or(String::new(), bars),
            ..Field::text(p_a.map_or("–".into(), |p_a| p_a.quartiles()))
        },
        Field::text(format::samples(certificate.samples, certificate.saved)),
    ]);
    Line::of(fields)
}

/// The envelope of a network's certificates, with which of them a share is of.
fn best(entrant: &Entrant, envelope: &Envelope, radii: &[f64]) -> Line {
    let field = |radius: &f64| match envelope.points.iter().find(|p| p.radius == *radius) {
        Some(point) => {
            let cell = Cell::measured(point.accuracy, false);
            Field::from(cell).noted(envelope.source(point))
        }
        None => Cell::Absent.into(),
    };
    let mut fields = vec![
        Field::text(&*entrant.model.name),
        Field::text("best of them").about("which one, under each share"),
        Field::text("–"),
        Field::default(),
    ];
    fields.extend(radii.iter().map(field));
    fields.resize(fields.len() + 4, Field::default());
    Line::of(fields)
}

/// A histogram of pA, a bar per bin.
fn bars(p_a: &ProbabilityBounds) -> String {
    let most = p_a.histogram.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let ends = p_a.histogram.iter().skip(1).map(|bin| bin.from).chain([1.0]);
    let bars = p_a.histogram.iter().zip(ends).enumerate().map(|(at, (bin, end))| {
        let height = 22.0 * bin.count as f64 / most as f64;
        format!(
            "<rect x=\"{}\" y=\"{:.1}\" width=\"10\" height=\"{height:.1}\" fill=\"var(--heat)\">\
             <title>pA from {} to {end}: {}</title></rect>",
            12 * at,
            23.0 - height,
            bin.from,
            bin.count
        )
    });
    format!(
        "<svg viewBox=\"0 0 70 24\" width=\"70\" height=\"24\" role=\"img\">{}\
         <path d=\"M0 23.5h70\" stroke=\"var(--strong)\" /></svg>",
        bars.collect::<String>()
    )
}

/// Certified accuracy against the radius, a figure per norm with a step curve per finished certificate.
pub(super) fn figures(entrants: &[&Entrant], most: usize) -> Vec<Figure> {
    norms(entrants).into_iter().filter_map(|norm| figure(entrants, most, norm)).collect()
}

fn figure(entrants: &[&Entrant], most: usize, norm: &str) -> Option<Figure> {
    let series = entrants.iter().take(most).enumerate().flat_map(|(at, entrant)| {
        let own = || entrant.results::<SmoothingResult>().filter(|c| c.norm == norm);
        let several = own().count() > 1;
        let finished = own().filter(|c| c.finished());
        finished.enumerate().map(move |(number, certificate)| Series {
            name: match several {
                true => format!("{}, {}", entrant.model.name, certificate.label),
                false => entrant.model.name.clone(),
            },
            look: Look::new(at, if several { number } else { at }),
            ..steps(&certificate.curve, certificate.done)
        })
    });
    let all = entrants.iter().flat_map(|entrant| entrant.results::<SmoothingResult>());
    let sigmas = distinct(all.filter(|c| c.norm == norm).map(|c| c.sigma));
    let sigma = match sigmas[..] {
        [sigma] if sigma > 0.0 => format!(" Noise sigma {}.", format::eps(sigma)),
        _ => String::new(),
    };
    let caption = format!(
        "Certified accuracy against the {norm} radius: share of images classified correctly and certified \
         at least that far. Bands: 95 % Wilson intervals, radius by radius.{sigma}{}",
        format::only_first(most, entrants.len())
    );
    Figure::new(&format!("certified {norm}"), caption, series.collect(), &format!("{norm} radius"))
}
