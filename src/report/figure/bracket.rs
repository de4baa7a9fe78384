//! Attacks from above and proofs from below, in one figure: the truth lies between the two lines of a
//! network.

use super::super::standing::Standing;
use super::{Board, Figure, Look, Series, marked, steps};

/// A figure shows this many networks, each with two lines.
const NETWORKS: usize = 4;

/// A figure for each norm in which networks were attacked at budgets and proofs have radii.
pub(in crate::report) fn bracket_curves(board: &Board) -> Vec<Figure> {
    ["Linf", "L2", "L1"].into_iter().filter_map(|norm| bracket(board, norm)).collect()
}

fn bracket(board: &Board, norm: &str) -> Option<Figure> {
    let (mut lines, mut smoothed) = (Vec::new(), false);
    for (at, standing) in board.standings.iter().enumerate() {
        let Some(above) = above(board, standing, norm, Look::new(at, at).solid()) else { continue };
        let Some(below) = below(standing, norm) else { continue };
        if lines.len() < 2 * NETWORKS {
            smoothed |= below.smoothed;
            let name = format!("{}: {}", standing.model.name, below.label);
            let curve = steps(below.curve, below.images);
            lines.extend([above, Series { name, look: Look::new(at, 1), ..curve }]);
        }
    }
    let about = match smoothed {
        true => {
            " Certificates of smoothing are about the smoothed network, which is another function \
             than the one attacked."
        }
        false => " The truth lies between the lines of a network.",
    };
    let caption = format!(
        "Between attack and proof in {norm}. Marked: robust accuracy, which no attack of this threat broke. \
         Dashed: what is proved.{about}"
    );
    Figure::new(caption, lines, &format!("{norm} radius"))
}

/// Robust accuracy at the budgets of the board, clean accuracy at 0; `None` without a budget.
fn above(board: &Board, standing: &Standing, norm: &str, look: Look) -> Option<Series> {
    let mut shares = vec![(0.0, *standing.clean_cell().value()?)];
    shares.extend(board.threats.iter().filter(|c| c.threat == norm && !c.targeted()).filter_map(
        |column| {
            let worst = standing.threat(column).filter(|worst| worst.comparable())?;
            let here = worst.images == standing.image_set;
            Some((column.eps?, worst.robust.filter(|_| here)?))
        },
    ));
    let name = format!("{}: attacks", standing.model.name);
    (shares.len() > 1).then(|| marked(&name, look, &shares))
}

/// A lower bound of a network.
struct Below<'a> {
    label: &'a str,
    curve: &'a [(f64, f64)],
    images: usize,
    /// It is about the smoothed network.
    smoothed: bool,
}

/// The proofs of the largest mean radius in the norm: bounds of the network, or else smoothing.
fn below<'a>(standing: &'a Standing, norm: &str) -> Option<Below<'a>> {
    let bounds = standing.bounds.iter().filter(|b| b.finished() && b.threat == norm);
    let bounds = bounds.map(|b| {
        let below = Below { label: &b.label, curve: &b.curve, images: b.done, smoothed: false };
        (b.average_radius, below)
    });
    let smoothing = standing.certificates.iter().filter(|c| c.finished() && c.norm == norm);
    let smoothing = smoothing.map(|c| {
        let below = Below { label: &c.label, curve: &c.curve, images: c.done, smoothed: true };
        (c.average_radius, below)
    });
    let largest = |(a, _): &(Option<f64>, Below<'_>), (b, _): &(Option<f64>, Below<'_>)| {
        a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0))
    };
    bounds.max_by(largest).or_else(|| smoothing.max_by(largest)).map(|(_, below)| below)
}
