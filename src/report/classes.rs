//! Robust accuracy class by class: the mean over all images hides that one class is far easier to break than another.

use super::Standing;
use super::board::Board;
use crate::results::{Cell, Field, Head, Line, Marks, Sheet, format};

/// More classes than this are not listed one by one.
const MOST: usize = 20;

/// So many of them are, those that are broken most.
const WEAKEST: usize = 10;

/// A row per class, a column per network with a finished worst case; `None` without one, or of one class.
pub(super) fn sheet(board: &Board) -> Option<Sheet> {
    let finished = |standing: &&Standing| standing.worst.as_ref().is_some_and(|w| w.comparable());
    let all: Vec<&Standing> = board.standings.iter().filter(finished).collect();
    let of = |standing: &Standing, label: u32| {
        let classes = &standing.worst.as_ref()?.classes;
        classes.iter().find(|class| class.label == label).copied()
    };
    let first = *all.first()?;
    let mut labels: Vec<u32> = first.worst.as_ref()?.classes.iter().map(|c| c.label).collect();
    let classes = labels.len();
    if classes < 2 {
        return None;
    }
    let mut which = String::new();
    if classes > MOST {
        let rate = |label: &u32| of(first, *label).map_or(1.0, |class| class.robust.rate);
        labels.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
        labels.truncate(WEAKEST);
        let network = &first.entrant.model.name;
        which =
            format!(" Of {classes} classes the {WEAKEST} of which {network} leaves the fewest.");
    }
    let line = |label: &u32| {
        let field = |standing: &&Standing| match of(standing, *label) {
            None => Cell::Absent.into(),
            Some(class) => Field::from(Cell::Value(class.robust, Marks::default()))
                .noted(format::percent(&class.clean)),
        };
        let images = of(first, *label).map_or(0, |class| class.robust.total);
        let head = [Field::text(label.to_string()), Field::text(images.to_string())];
        Line::of(head.into_iter().chain(all.iter().map(field)).collect())
    };
    let mut columns = vec![Head::text("class"), Head::number("images")];
    columns.extend(all.iter().map(|standing| Head::number(&*standing.entrant.model.name)));
    Some(Sheet {
        title: "Robust accuracy by class".into(),
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
