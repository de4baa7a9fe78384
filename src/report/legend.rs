//! The sentences under the tables: what a number means, and what keeps it from meaning more.

use super::leaderboard::{Board, Leaderboard};
use crate::record::Finding;

/// One line on what was run: data, images, seeds, devices.
pub(super) fn headline(leaderboard: &Leaderboard, board: &Board) -> String {
    let mut ways: Vec<String> = Vec::new();
    for run in &leaderboard.runs {
        let way = format!("seed {}, {} {}", run.seed, run.device, run.precision);
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let data = &board.data;
    let [c, h, w] = data.shape;
    format!("{}, {} images of {c}×{h}×{w}, {}", data.name, data.images, ways.join(" and "))
}

/// What the columns of `board` mean.
pub(super) fn reading(board: &Board) -> Vec<String> {
    let mut lines = vec![
        "Accuracies in percent of all images; a misclassified clean image is not robust."
            .to_owned(),
    ];
    let attacks = match board.attack_count() {
        0 => None,
        1 => Some("the one attack of this board, at its largest budget".to_owned()),
        n => Some(format!("any of the {n} attacks of this board, each at its largest budget")),
    };
    if let Some(attacks) = attacks {
        lines.push(format!(
            "Threat columns: not broken by any attack of that threat within the budget. \
             Worst case: not broken by {attacks}."
        ));
    }
    if board.attacks.iter().any(|a| a.control) {
        let names: Vec<&str> =
            board.attacks.iter().filter(|a| a.control).map(|a| a.title.as_str()).collect();
        lines.push(format!("Controls, not part of any worst case: {}.", names.join(", ")));
    }
    let attacks = board.standings.iter().flat_map(|standing| &standing.attacks);
    if let Some(count) = attacks.filter_map(|attack| attack.unconfirmed).reduce(|a, b| a + b) {
        lines.push(format!(
            "Searches in a lower precision were judged in f32: {count} of their candidates failed there \
             and do not count."
        ));
    }
    for column in &board.certified {
        lines.push(column.reading(&board.standings, board.certified.len() == 1));
    }
    for (guarantee, labels) in guarantees(board) {
        lines.push(format!("{}: {guarantee}.", labels.join(", ")));
    }
    if !board.verified.is_empty() {
        let several = board.standings.iter().any(|s| s.bounds.len() > 1);
        lines.push(format!(
            "Verified: correct, and bounds of the network itself prove that nothing within the ball \
             changes that{}. The truth lies between verified and robust accuracy.",
            if several { ", by the model's best bounds" } else { "" },
        ));
    }
    lines
}

/// What certificates by smoothing promise, each with the labels of those that do.
fn guarantees(board: &Board) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    let certificates = board.standings.iter().flat_map(|s| &s.certificates);
    for certificate in certificates.filter(|c| !c.guarantee.is_empty()) {
        let (guarantee, label) = (certificate.guarantee.as_str(), certificate.label.as_str());
        match all.iter_mut().find(|(known, _)| *known == guarantee) {
            Some((_, labels)) if labels.contains(&label) => {}
            Some((_, labels)) => labels.push(label),
            None => all.push((guarantee, vec![label])),
        }
    }
    all
}

/// What is unfinished, not comparable or merged.
pub(super) fn warnings(leaderboard: &Leaderboard, board: &Board) -> Vec<String> {
    let unfinished = board.unfinished();
    let mut lines = Vec::new();
    for standing in &board.standings {
        let found = &standing.contradictions;
        if let Some(first) = found.first() {
            let more = match found.len() {
                1 => String::new(),
                n => format!(" ({} more)", n - 1),
            };
            lines.push(format!(
                "ALARM: {}: {first}{more}. One of them is wrong: please report it.",
                standing.model.name
            ));
        }
    }
    for standing in &board.standings {
        let name = standing.model.name.as_str();
        let jobs: Vec<String> = unfinished
            .iter()
            .filter(|(model, ..)| *model == name)
            .map(|(_, label, done, images)| format!("{label} {done}/{images}"))
            .collect();
        if !jobs.is_empty() {
            lines.push(format!("Unfinished: {name} under {} images.", jobs.join(", ")));
        }
    }
    for standing in &board.standings {
        let Some(worst) = &standing.worst else { continue };
        if !worst.missing.is_empty() {
            lines.push(format!(
                "† {} was not attacked with {}: its worst case may be too high and has no rank.",
                standing.model.name,
                worst.missing.join(", "),
            ));
        }
    }
    for standing in &board.standings {
        let mut checks: Vec<(&Finding, Vec<String>)> = Vec::new();
        for (finding, titles) in standing.findings() {
            let seen = format!("{} ({})", finding.seen, titles.join(", "));
            match checks.iter_mut().find(|(known, _)| known.check == finding.check) {
                Some((_, all)) => all.push(seen),
                None => checks.push((finding, vec![seen])),
            }
        }
        for (finding, seen) in checks {
            let name = &standing.model.name;
            lines.push(format!("‡ {name}: {}. {}", seen.join("; "), finding.meaning));
        }
    }
    let ranked = board.standings.iter().filter(|s| s.rank.is_some());
    let mut totals: Vec<usize> =
        ranked.filter_map(|s| s.worst.as_ref()?.robust.map(|r| r.total)).collect();
    totals.sort_unstable();
    totals.dedup();
    if let [low, .., high] = totals[..] {
        lines.push(format!(
            "The worst cases are over different images: from {low} to {high} of them."
        ));
    }
    lines.extend(leaderboard.notes.iter().cloned());
    lines
}
