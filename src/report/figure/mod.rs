//! The figures of a board: those that compare attacks, here and below, and those of each kind of work. A network
//! looks the same in all of them.

mod bracket;

use self::bracket::bracket_curves;
use super::board::Board;
use super::leaderboard::Leaderboard;
use super::sections::MOST;
use crate::error::Result;
use crate::results::{Figure, Look, Print, file_name, format, marked, printed};
use crate::work::KINDS;

/// A figure as a file for a paper.
#[derive(Debug, Clone)]
pub struct PrintedFigure {
    /// Name of the file, without its ending: `security-linf`; with several boards the title of its board before it.
    pub name: String,
    /// What it shows, in a line.
    pub caption: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// The figures of all boards as files.
///
/// # Errors
/// If one cannot be drawn in this size.
pub fn print(leaderboard: &Leaderboard, print: &Print) -> Result<Vec<PrintedFigure>> {
    let several = leaderboard.boards.len() > 1;
    let mut all = Vec::new();
    for board in &leaderboard.boards {
        for figure in figures(board) {
            let name = match several {
                true => file_name(&format!("{} {}", board.title(), figure.name)),
                false => figure.name.clone(),
            };
            let bytes = printed(&figure, print)?;
            all.push(PrintedFigure { name, caption: figure.caption, bytes });
        }
    }
    Ok(all)
}

/// All figures of a board.
pub(super) fn figures(board: &Board) -> Vec<Figure> {
    let kinds = KINDS.iter().flat_map(|kind| kind.figures(&board.entrants(), MOST));
    security_curves(board).into_iter().chain(kinds).chain(bracket_curves(board)).collect()
}

/// Security curves: robust accuracy against the budget, one figure per threat model with at least two
/// budgets. Budget 0 is clean accuracy.
fn security_curves(board: &Board) -> Vec<Figure> {
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
    Figure::new(
        &format!("security {threat}"),
        caption,
        series.collect(),
        &format!("{threat} budget eps"),
    )
}
