//! Attacks from above and proofs from below, in one figure: the truth lies between the two lines of a
//! network.

use super::super::board::Board;
use super::super::model_result::ModelResult;
use crate::results::{Figure, Look, Series, marked, steps};
use crate::work::LowerBound;

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
        let Some((label, images, below)) = below(standing, norm) else { continue };
        if lines.len() < 2 * NETWORKS {
            smoothed |= below.smoothed;
            let name = format!("{}: {label}", standing.entrant.model.name);
            let curve = steps(below.curve, images);
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
    Figure::new(&format!("bracket {norm}"), caption, lines, &format!("{norm} radius"))
}

/// Robust accuracy at the budgets of the board, clean accuracy at 0; `None` without a budget.
fn above(board: &Board, standing: &ModelResult, norm: &str, look: Look) -> Option<Series> {
    let mut shares = vec![(0.0, *standing.clean_cell().value()?)];
    shares.extend(board.threats.iter().filter(|c| c.threat == norm && !c.targeted()).filter_map(
        |column| {
            let worst = standing.threat(column).filter(|worst| worst.comparable())?;
            let here = worst.images == standing.entrant.image_set;
            Some((column.eps?, worst.robust.filter(|_| here)?))
        },
    ));
    let name = format!("{}: attacks", standing.entrant.model.name);
    (shares.len() > 1).then(|| marked(&name, look, &shares))
}

/// Label, images and curve of the proofs of the largest mean radius in the norm: those about the network
/// itself, or else those about the smoothed one.
fn below<'a>(standing: &'a ModelResult, norm: &str) -> Option<(&'a str, usize, LowerBound<'a>)> {
    let finished = standing.entrant.outcomes.iter().filter(|outcome| outcome.finished());
    let bounds = finished.filter_map(|outcome| {
        let result = outcome.result.as_ref();
        Some((result.label(), result.progress().0, result.lower_bound()?))
    });
    bounds.filter(|(.., bound)| bound.norm == norm).max_by(|(.., a), (.., b)| {
        let radius = |bound: &LowerBound<'_>| bound.average_radius.unwrap_or(0.0);
        b.smoothed.cmp(&a.smoothed).then(radius(a).total_cmp(&radius(b)))
    })
}
