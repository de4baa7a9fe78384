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
    let pairs: Vec<[Series; 2]> = board
        .standings
        .iter()
        .enumerate()
        .filter_map(|(at, standing)| {
            let above = above(board, standing, norm, Look::new(at, 0))?;
            let below = below(standing, norm)?;
            let look = Look::new(at, 1);
            let name = format!("{}: {}", standing.model.name, below.name);
            Some([above, Series { name, look, ..below }])
        })
        .take(NETWORKS)
        .collect();
    let smoothed = board.standings.iter().all(|s| !s.bounds.iter().any(|b| b.threat == norm));
    let about = match smoothed {
        true => {
            " Certificates of smoothing are about the smoothed network, which is another function \
             than the one attacked."
        }
        false => "",
    };
    let caption = format!(
        "Between attack and proof in {norm}: robust accuracy (marked), which no attack of this threat broke, \
         and dashed what is proved. The truth lies between the lines of a network.{about}"
    );
    Figure::new(caption, pairs.into_iter().flatten().collect(), &format!("{norm} radius"))
}

/// Robust accuracy at the budgets of the board, clean accuracy at 0; `None` without a budget.
fn above(board: &Board, standing: &Standing, norm: &str, look: Look) -> Option<Series> {
    let mut shares = vec![(0.0, *standing.clean_cell().value()?)];
    shares.extend(board.threats.iter().filter(|c| c.threat == norm).filter_map(|column| {
        let worst = standing.threat(column).filter(|worst| worst.comparable())?;
        Some((column.eps?, worst.robust?))
    }));
    let name = format!("{}: attacks", standing.model.name);
    (shares.len() > 1).then(|| marked(&name, look, &shares))
}

/// The best proof in the norm, by its mean radius: bounds of the network, or else smoothing.
fn below(standing: &Standing, norm: &str) -> Option<Series> {
    let bounds = standing.bounds.iter().filter(|b| b.finished() && b.threat == norm);
    let bound = bounds
        .max_by(|a, b| a.average_radius.unwrap_or(0.0).total_cmp(&b.average_radius.unwrap_or(0.0)));
    if let Some(bound) = bound {
        return Some(Series { name: bound.label.clone(), ..steps(&bound.curve, bound.done) });
    }
    let smoothing = standing.certificates.iter().filter(|c| c.finished() && c.norm == norm);
    let best = smoothing.max_by(|a, b| {
        a.average_radius.unwrap_or(0.0).total_cmp(&b.average_radius.unwrap_or(0.0))
    })?;
    Some(Series { name: best.label.clone(), ..steps(&best.curve, best.done) })
}
