//! The figures of the HTML report, as SVG that goes into the page. Colours are CSS variables of the
//! page with a light-mode fallback, so one figure serves light and dark and survives being cut out;
//! a network looks the same in all of them.

mod bracket;

pub(super) use bracket::bracket_curves;

use super::board::Board;
use super::sections::MOST;
use crate::results::{Figure, Look, format, marked};

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
            let here = worst.images == standing.entrant.image_set;
            Some((column.eps?, worst.robust.filter(|_| here)?))
        }));
        (shares.len() > 1).then(|| marked(&standing.entrant.model.name, Look::new(at, at), &shares))
    });
    let caption = format!(
        "Robust accuracy against the {threat} budget: worst case over the attacks of this threat; 0 is \
         clean accuracy. Bars: 95 % Wilson intervals.{}",
        format::only_first(MOST, board.standings.len())
    );
    Figure::new(caption, series.collect(), &format!("{threat} budget eps"))
}
