//! Robust accuracy class by class: the mean over all images hides that one class is far easier to break than another.

use super::ModelResult;
use super::board::Board;
use crate::results::{Cell, Field, Head, Line, Marks, Sheet, distinct, format};
use crate::work::{ClassShare, ThreatColumn, WorstCase};

/// More classes than this are not listed one by one.
const MOST: usize = 20;

/// The number of classes that are shown, those that are broken most.
const WEAKEST: usize = 10;

/// A table for each threat model, at its largest budget.
pub(super) fn sheets(board: &Board) -> Vec<Sheet> {
    let untargeted = || board.threats.iter().filter(|column| !column.targeted());
    let threats = distinct(untargeted().map(|column| &*column.threat));
    let largest = threats.into_iter().filter_map(|threat| {
        let mut own = untargeted().filter(|column| column.threat == threat);
        sheet(board, own.next_back()?)
    });
    let below = |(number, sheet): (usize, Sheet)| Sheet { below: number > 0, ..sheet };
    largest.enumerate().map(below).collect()
}

/// A row per class, a column per network with a finished worst case under this threat; `None` without one, or of one
/// class.
fn sheet(board: &Board, threat: &ThreatColumn) -> Option<Sheet> {
    let finished = |standing| Some((standing, ModelResult::threat(standing, threat)?));
    let all = board.standings.iter().filter_map(finished);
    let all: Vec<(&ModelResult, &WorstCase)> =
        all.filter(|(_, worst)| worst.comparable()).collect();
    let of = |worst: &WorstCase, label: u32| -> Option<ClassShare> {
        worst.classes.iter().find(|class| class.label == label).copied()
    };
    let (leader, first) = all.first()?;
    let mut labels: Vec<u32> = first.classes.iter().map(|class| class.label).collect();
    let classes = labels.len();
    if classes < 2 {
        return None;
    }
    let mut which = String::new();
    if classes > MOST {
        let rate = |label: &u32| of(first, *label).map_or(1.0, |class| class.robust.rate);
        labels.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
        labels.truncate(WEAKEST);
        let network = &leader.entrant.model.name;
        which =
            format!(" Of {classes} classes the {WEAKEST} of which {network} leaves the fewest.");
    }
    let line = |label: &u32| {
        let field = |(_, worst): &(&ModelResult, &WorstCase)| match of(worst, *label) {
            None => Cell::Absent.into(),
            Some(class) => Field::from(Cell::Value(class.robust, Marks::default()))
                .noted(format::percent(&class.clean)),
        };
        let images = of(first, *label).map_or(0, |class| class.robust.total);
        let head = [Field::text(label.to_string()), Field::text(images.to_string())];
        Line::of(head.into_iter().chain(all.iter().map(field)).collect())
    };
    let mut columns = vec![Head::text("class"), Head::number("images")];
    columns.extend(all.iter().map(|(standing, _)| Head::number(&*standing.entrant.model.name)));
    Some(Sheet {
        title: format!("Robust accuracy by class, {}", threat.title),
        page_only: true,
        columns,
        lines: labels.iter().map(line).collect(),
        note: format!(
            "Large: robust accuracy in the worst case, of the images of the class. Small: clean accuracy.{which}"
        ),
        unit: " clean",
        ..Sheet::default()
    })
}
