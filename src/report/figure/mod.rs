//! The figures of the HTML report, as SVG that goes into the page. Colours are CSS variables of the
//! page with a light-mode fallback, so one figure serves light and dark and survives being cut out;
//! a network looks the same in all of them.

mod bracket;
mod drawing;

pub(super) use bracket::bracket_curves;
pub(super) use drawing::{Figure, number};
use drawing::{Interval, Look, Series};

use super::board::Board;
use super::bound_result::BoundResult;
use super::format;
use super::proportion::Proportion;

/// A figure shows this many networks, the best; more lines than that cannot be told apart.
const MOST: usize = 12;

/// Security curves: robust accuracy against the budget, one figure per threat model with at least two
/// budgets. Budget 0 is clean accuracy.
pub(super) fn security_curves(board: &Board) -> Vec<Figure> {
    let mut threats: Vec<&str> = Vec::new();
    for column in board.threats.iter().filter(|c| c.eps.is_some() && !c.targeted()) {
        if !threats.contains(&column.threat.as_str()) {
            threats.push(&column.threat);
        }
    }
    threats.into_iter().filter_map(|threat| security_curve(board, threat)).collect()
}

fn security_curve(board: &Board, threat: &str) -> Option<Figure> {
    let columns: Vec<_> =
        board.threats.iter().filter(|c| c.threat == threat && !c.targeted()).collect();
    if columns.len() < 2 {
        return None;
    }
    let series = board.standings.iter().take(MOST).enumerate().filter_map(|(at, standing)| {
        let mut shares = vec![(0.0, *standing.clean_cell().value()?)];
        shares.extend(columns.iter().filter_map(|column| {
            let worst = standing.threat(column).filter(|worst| worst.comparable())?;
            let here = worst.images == standing.image_set;
            Some((column.eps?, worst.robust.filter(|_| here)?))
        }));
        (shares.len() > 1).then(|| marked(&standing.model.name, Look::new(at, at), &shares))
    });
    let caption = format!(
        "Robust accuracy against the {threat} budget: worst case over the attacks of this threat; 0 is \
         clean accuracy. Bars: 95 % Wilson intervals.{}",
        only_best(board)
    );
    Figure::new(caption, series.collect(), &format!("{threat} budget eps"))
}

/// Certified accuracy against the radius in `norm`, a step curve per finished certificate.
pub(super) fn certified_curve(board: &Board, norm: &str) -> Option<Figure> {
    let standings = board.standings.iter().take(MOST).enumerate();
    let series: Vec<Series> = standings
        .flat_map(|(at, standing)| {
            let own = || standing.certificates.iter().filter(|c| c.norm == norm);
            let several = own().count() > 1;
            let finished = own().filter(|c| c.finished());
            finished.enumerate().map(move |(number, certificate)| Series {
                name: match several {
                    true => format!("{}, {}", standing.model.name, certificate.label),
                    false => standing.model.name.clone(),
                },
                look: Look::new(at, if several { number } else { at }),
                ..steps(&certificate.curve, certificate.done)
            })
        })
        .collect();
    let all = board.standings.iter().flat_map(|s| &s.certificates);
    let mut sigmas: Vec<f64> = all.filter(|c| c.norm == norm).map(|c| c.sigma).collect();
    sigmas.dedup();
    let sigma = match sigmas[..] {
        [sigma] if sigma > 0.0 => format!(" Noise sigma {}.", format::eps(sigma)),
        _ => String::new(),
    };
    let caption = format!(
        "Certified accuracy against the {norm} radius: share of images classified correctly and certified \
         at least that far. Bands: 95 % Wilson intervals, radius by radius.{sigma}{}",
        only_best(board)
    );
    Figure::new(caption, series, &format!("{norm} radius"))
}

/// Verified accuracy against the radius, one figure per threat model.
pub(super) fn verified_curves(board: &Board) -> Vec<Figure> {
    let mut threats: Vec<&str> = board.verified.iter().map(|c| c.threat.as_str()).collect();
    threats.dedup();
    let curve = |threat: &str| {
        let standings = board.standings.iter().take(MOST).enumerate();
        let series = standings.flat_map(|(at, standing)| {
            let own = |b: &&BoundResult| b.finished() && b.threat == threat;
            let bounds: Vec<&BoundResult> = standing.bounds.iter().filter(own).collect();
            let several = bounds.len() > 1;
            bounds.into_iter().enumerate().map(move |(number, bound)| Series {
                name: match several {
                    true => format!("{}, {}", standing.model.name, bound.label),
                    false => standing.model.name.clone(),
                },
                look: Look::new(at, if several { number } else { at }),
                ..steps(&bound.curve, bound.done)
            })
        });
        let caption = format!(
            "Verified accuracy against the {threat} radius: share of images classified correctly and \
             proved to stay so at least that far. Bands: 95 % Wilson intervals, radius by radius.{}",
            only_best(board)
        );
        Figure::new(caption, series.collect(), &format!("{threat} radius"))
    };
    threats.into_iter().filter_map(curve).collect()
}

/// A line through marked points.
fn marked(name: &str, look: Look, shares: &[(f64, Proportion)]) -> Series {
    Series {
        name: name.into(),
        look,
        points: shares.iter().map(|(x, p)| (*x, p.rate)).collect(),
        interval: Interval::Bars(shares.iter().map(|(_, p)| (p.low, p.high)).collect()),
    }
}

/// A nameless line through the corners of a curve of shares of `images` that falls right after each radius,
/// in a band of Wilson intervals.
fn steps(curve: &[(f64, f64)], images: usize) -> Series {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (radius, share) in curve {
        if let Some((_, before)) = points.last().copied() {
            points.push((*radius, before));
        }
        points.push((*radius, *share));
    }
    let interval = |(_, share): &(f64, f64)| {
        let count = (share * images as f64).round() as usize;
        Proportion::new(count, images).map_or((0.0, 1.0), |p| (p.low, p.high))
    };
    let interval = Interval::Band(points.iter().map(interval).collect());
    Series { name: String::new(), look: Look::new(0, 0), points, interval }
}

fn only_best(board: &Board) -> String {
    match board.standings.len() {
        n if n > MOST => format!(" The first {MOST} of {n} networks."),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fall_after_the_radius_and_bands_lie_around_them() {
        let line = steps(&[(0.0, 0.9), (0.5, 0.4), (0.8, 0.0)], 10);
        assert_eq!(line.points, [(0.0, 0.9), (0.5, 0.9), (0.5, 0.4), (0.8, 0.4), (0.8, 0.0)]);
        let Interval::Band(band) = line.interval else { panic!() };
        for ((_, share), (low, high)) in line.points.iter().zip(&band) {
            assert!(low <= share && share <= high && high - low > 0.1, "{share}: {low} {high}");
        }
        assert_eq!(band[1], band[0]);
        assert_eq!(band[2], Proportion::new(4, 10).map(|p| (p.low, p.high)).unwrap());
    }
}
