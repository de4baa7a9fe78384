//! How near the adversarial images of an attack without a radius are: the quantiles of their distances, the area under its
//! curve of robust accuracy, and its optimality xi beside the nearest that any attack on the network found
//! (Cinà et al., AAAI 2025).
//!
//! xi = 1 - (A - A*) / (clean accuracy * d - A*), where d is the largest distance that the nearest adversarial images of
//! all attacks together have, A the area under the attack's curve from 0 to d, and A* that under the curve of all together.
//! It is 1 for an attack that no other one beats on any image, and 0 for one that finds nothing below d. The area under a
//! curve of steps is a mean: of the distances, each at most d. The published code takes the trapezoids between the steps.
//! Images that no attack breaks, which would make d infinite there, count d on both sides.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attacked::{Attacked, counts};
use super::curves::{self, Nearest};
use super::goal::UNTARGETED;
use super::result::AttackResult;
use super::row::AttackRow;
use crate::results::{Field, Head, ImageKey, Line, Sheet, distinct, format};
use crate::work::entrant::Entrant;
use crate::work::method::Method;
use crate::work::outcome::KindResult as _;
use crate::work::rows::Keyed;

/// The distances of one attack on one network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distances {
    /// Images that they are over; a misclassified one has the distance 0.
    pub images: usize,
    /// First quartile, median and third quartile; `None` where it is infinite.
    pub quartiles: [Option<f64>; 3],
    /// d, the largest distance of the nearest adversarial images; `None` if no image was broken.
    pub farthest: Option<f64>,
    /// A, up to d.
    pub area: Option<f64>,
    /// A*, up to d.
    pub best_area: Option<f64>,
    /// xi; `None` if no other attack of the threat model was run on these images, or all distances are alike.
    pub optimality: Option<f64>,
    /// The other attacks of the threat model that the nearest images are taken from, beside whatever attacks of others
    /// found, however many runs they had.
    pub others: usize,
    /// The curve of all attacks together.
    #[serde(skip)]
    pub(crate) best_left: Vec<(f64, f64)>,
}

/// Distance of an adversarial image under the threat model `threat`, that of the row's job being `own`.
fn distance(row: &AttackRow, threat: &str, own: &str) -> f64 {
    match row.found {
        1 if threat == own => row.distance,
        1 => row.change().length(threat).unwrap_or(f64::INFINITY),
        _ => f64::INFINITY,
    }
}

impl Distances {
    /// Of the attack `of`, beside those of `all` on the network `model`; `None` if it has a radius or a target, or no
    /// rows.
    pub(super) fn of(of: &Attacked<'_>, all: &[Method<'_>], model: usize) -> Option<Self> {
        let threat = of.threat();
        if !of.method.work.is("minimal") || of.goal() != UNTARGETED {
            return None;
        }
        let mut own = BTreeMap::new();
        for key in of.covered() {
            let rows = of.pool.rows.get(key)?;
            let correct = rows.iter().all(|row| row.clean_correct());
            let found = rows.iter().map(|row| distance(row, threat, threat));
            own.insert(*key, if correct { found.fold(f64::INFINITY, f64::min) } else { 0.0 });
        }
        let (mut best, mut others) = (own.clone(), 0);
        for other in all.iter().filter(|other| counts(&other.work)) {
            if !std::ptr::eq(other, of.method) {
                let looked = lower(&mut best, other, model, threat);
                others += usize::from(looked && other.work.threat == threat);
            }
        }
        Self::between(&own, &best, others)
    }

    /// Of the distances of one attack and of all together, image by image.
    fn between(
        own: &BTreeMap<&ImageKey, f64>,
        best: &BTreeMap<&ImageKey, f64>,
        others: usize,
    ) -> Option<Self> {
        let mut sorted: Vec<f64> = own.values().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let farthest = best.values().copied().filter(|d| d.is_finite()).reduce(f64::max);
        let farthest = farthest.filter(|d| *d > 0.0);
        let area = |of: &BTreeMap<&ImageKey, f64>| {
            let most = farthest?;
            Some(of.values().map(|d| d.min(most)).sum::<f64>() / n)
        };
        let (own_area, best_area) = (area(own), area(best));
        let clean = own.values().filter(|d| **d > 0.0).count() as f64 / n;
        let optimality = || {
            let (most, own, best) = (farthest?, own_area?, best_area?);
            let room = clean * most - best;
            // Rounding would be all that is divided.
            (others > 0 && room > 1e-9 * most).then(|| 1.0 - (own - best) / room)
        };
        Some(Self {
            images: sorted.len(),
            quartiles: [quantile(&sorted, 0.25), quantile(&sorted, 0.5), quantile(&sorted, 0.75)],
            farthest,
            area: own_area,
            best_area,
            optimality: optimality(),
            others,
            best_left: curves::falling(
                best.values().map(|d| match *d {
                    0.0 => Nearest::Misclassified,
                    d if d.is_finite() => Nearest::At(d),
                    _ => Nearest::Nowhere(0.0),
                }),
                0.0,
            ),
        })
    }
}

/// Lowers the distances of `best` to those of the attack `other` where it came nearer; says whether it looked at any of
/// these images.
fn lower(
    best: &mut BTreeMap<&ImageKey, f64>,
    other: &Method<'_>,
    model: usize,
    threat: &str,
) -> bool {
    let mut looked = false;
    for job in other.jobs.iter().filter(|job| job.model == model) {
        let Some(rows) = Keyed::<AttackRow>::of(job.rows.as_ref()) else { continue };
        for (key, row) in rows.iter() {
            if let Some(best) = best.get_mut(key) {
                looked = true;
                *best = best.min(distance(row, threat, &other.work.threat));
            }
        }
    }
    looked
}

/// The quantile at `share` of ascending numbers, between two of them in proportion; `None` if it is infinite or there
/// are none.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (lower, upper) = (*sorted.get(at.floor() as usize)?, *sorted.get(at.ceil() as usize)?);
    // Not a difference of infinities.
    let value = if lower == upper { lower } else { lower + at.fract() * (upper - lower) };
    value.is_finite().then_some(value)
}

/// A distance: under L0 and L0-pixels, where distances are whole numbers, as a count.
pub(super) fn text(threat: &str, distance: f64) -> String {
    match threat {
        "L0" | "L0-pixels" => format::count(distance),
        _ => format::radius_down(distance),
    }
}

/// A row for each finished attack without a radius and each network, threat by threat.
pub(super) fn sheet(entrants: &[&Entrant]) -> Option<Sheet> {
    let all = || {
        entrants.iter().flat_map(|entrant| {
            let own = entrant.results::<AttackResult>().filter(|a| a.finished() && !a.control);
            own.filter_map(|a| Some((&*entrant.model.name, a, a.distances.as_ref()?)))
        })
    };
    let line = |(model, attack, of): (&str, &AttackResult, &Distances)| {
        let distance = |d: Option<f64>| d.map_or("∞".into(), |d| text(&attack.threat, d));
        let number = |value: Option<f64>| value.map_or("–".into(), |v| format::fixed(v, 4));
        let head = [&*attack.threat, model, &attack.label].map(Field::text);
        let quartiles = of.quartiles.map(|d| Field::text(distance(d)));
        let xi = Field::text(of.optimality.map_or("–".into(), |xi| format::fixed(xi, 3)));
        let areas = [Field::text(number(of.area)), Field::text(number(of.best_area)), xi];
        Line::of(head.into_iter().chain(quartiles).chain(areas).collect())
    };
    let threats = distinct(all().map(|(_, attack, _)| &*attack.threat));
    let lines: Vec<Line> = threats
        .into_iter()
        .flat_map(|threat| all().filter(move |(_, attack, _)| attack.threat == threat).map(line))
        .collect();
    let texts = ["threat", "model", "attack"].map(Head::text);
    let numbers = ["25 %", "median", "75 %", "area", "area of all", "ξ"].map(Head::number);
    (!lines.is_empty()).then(|| Sheet {
        title: "Distances of attacks without a radius".into(),
        columns: texts.into_iter().chain(numbers).collect(),
        lines,
        note: "Quartiles of the distances over all images, 0 for misclassified ones. Area: under the curve of robust \
               accuracy against the distance, up to the largest distance of the nearest adversarial images that all \
               attacks on the network found together; area of all: under the curve of these. ξ, the optimality \
               (Cinà et al. 2025): 1 if no other attack came nearer on any image, 0 if nothing was found in that range."
            .into(),
        short_note: "ξ: optimality beside the nearest images of all attacks on the network (Cinà et al. 2025).".into(),
        ..Sheet::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(own: &[f64], best: &[f64], others: usize) -> Distances {
        let keys: Vec<ImageKey> = crate::results::keys(
            &(0..own.len() as u64)
                .map(|i| crate::work::fixture::attack_row(i, true, None))
                .collect::<Vec<_>>(),
        );
        let map = |values: &[f64]| keys.iter().zip(values.iter().copied()).collect();
        Distances::between(&map(own), &map(best), others).unwrap()
    }

    /// The definition with integrals, in small steps.
    fn by_integration(own: &[f64], best: &[f64]) -> f64 {
        let most = best.iter().copied().filter(|d| d.is_finite()).fold(0.0, f64::max);
        let share =
            |of: &[f64], at: f64| of.iter().filter(|d| **d > at).count() as f64 / of.len() as f64;
        let steps = 100_000;
        let area = |of: &[f64]| {
            let middle = |i: usize| (i as f64 + 0.5) * most / f64::from(steps);
            (0..steps as usize).map(|i| share(of, middle(i))).sum::<f64>() * most / f64::from(steps)
        };
        let (own_area, best_area) = (area(own), area(best));
        1.0 - (own_area - best_area) / (share(own, 0.0) * most - best_area)
    }

    #[test]
    fn optimality_by_its_definition() {
        let inf = f64::INFINITY;
        let best = [0.0, 0.5, 1.0, 2.0, inf];
        for own in [[0.0, 0.5, 1.0, 2.0, inf], [0.0, 0.7, 1.0, 9.0, inf], [0.0, inf, 1.5, inf, inf]]
        {
            let of = between(&own, &best, 1);
            let expected = by_integration(&own, &best);
            assert!((of.optimality.unwrap() - expected).abs() < 1e-4, "{of:?} {expected}");
            assert_eq!(of.farthest, Some(2.0));
        }
        assert_eq!(between(&best, &best, 1).optimality, Some(1.0));
        assert_eq!(between(&[0.0, inf, inf, inf, inf], &best, 1).optimality, Some(0.0));
        // Beside nothing, and where nothing was found, it says nothing.
        assert_eq!(between(&best, &best, 0).optimality, None);
        let nothing = between(&[inf, 0.0], &[inf, 0.0], 1);
        assert_eq!((nothing.optimality, nothing.area, nothing.farthest), (None, None, None));
    }

    #[test]
    fn quartiles_lie_between_images_and_may_be_infinite() {
        let of = between(&[4.0, 1.0, 3.0, 2.0], &[1.0; 4], 0);
        assert_eq!(of.quartiles, [Some(1.75), Some(2.5), Some(3.25)]);
        let inf = f64::INFINITY;
        let of = between(&[1.0, inf, inf, 1.0, 0.0], &[1.0; 5], 0);
        assert_eq!(of.quartiles, [Some(1.0), Some(1.0), None]);
        assert_eq!(of.images, 5);
    }
}
