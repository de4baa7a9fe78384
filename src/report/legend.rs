//! The sentences above and under the tables: what was run, and what a number means.

use super::board::Board;
use crate::work::KINDS;

/// Data set and images: `digits, 360 images of 1×8×8`.
pub(super) fn images(board: &Board) -> String {
    let [c, h, w] = board.data.shape;
    let part = board.part.as_ref().map_or(String::new(), |part| format!(" ({part})"));
    let images = if board.images == 1 { "image" } else { "images" };
    format!("{}, {} {images}{part} of {c}×{h}×{w}", board.data.name, board.images)
}

/// One line on what was run: data, images, seeds, devices.
pub(super) fn headline(board: &Board) -> String {
    format!("{}, {}", images(board), board.setup.join(" and "))
}

/// What the columns of `board` mean.
pub(super) fn reading(board: &Board) -> Vec<String> {
    let mut lines = vec![
        "Accuracies in percent of all images; a misclassified clean image is not robust."
            .to_owned(),
    ];
    if board.has_worst_case() {
        let attacks = match board.attack_count() {
            1 => "the one attack of this board".to_owned(),
            n => format!("the {n} attacks of this board"),
        };
        lines.push(format!(
            "Threat columns: not broken within the budget by any adversarial image at hand, whichever attack \
             found it. Worst case: not broken at the largest budget of any threat, under {attacks}."
        ));
    }
    if board.threats.iter().any(|column| column.targeted()) {
        lines.push(
            "Targeted columns: no adversarial image within the budget is taken for the target; images whose \
             label is the target are left out."
                .into(),
        );
    }
    if !board.threats.is_empty() && !board.has_worst_case() {
        lines.push(
            "There is no worst case and no rank: every attack of this board is targeted, and a network that \
             resists one class may still give way to another."
                .into(),
        );
    }
    if board.part.is_some() {
        lines.push(
            "Networks of this data set were attacked on different images; each board ranks those that were \
             attacked on the same ones. To rank all together, attack those with fewer images again on as many \
             as the others (-n, or images in a suite): what is done is kept."
                .into(),
        );
    }
    if board.attacks.iter().any(|a| a.control) {
        let names: Vec<&str> =
            board.attacks.iter().filter(|a| a.control).map(|a| a.title.as_str()).collect();
        lines.push(format!("Controls, not part of any worst case: {}.", names.join(", ")));
    }
    let attacks = board.standings.iter().flat_map(|standing| standing.attacks());
    if let Some(count) = attacks.filter_map(|attack| attack.unconfirmed).reduce(|a, b| a + b) {
        lines.push(format!(
            "Searches in a lower precision were judged in f32: {count} of their candidates failed there \
             and do not count."
        ));
    }
    let entrants = board.entrants();
    for kind in KINDS {
        let own = board.columns.iter().filter(|column| column.kind == kind.name());
        lines.extend(kind.reading(&own.collect::<Vec<_>>(), &entrants));
    }
    lines
}
