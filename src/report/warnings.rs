//! The sentences that keep a number from meaning more than it does: what cannot be, what is unfinished or
//! not comparable, and over which images a number is, if not over those of its row.

use super::board::{Board, Running};
use super::leaderboard::Leaderboard;
use super::model_result::ModelResult;
use crate::record::Finding;
use crate::results::{ImageSet, distinct, format};
use crate::service;
use crate::work::{Unfinished, WorstCase};

/// All of them, the gravest first.
pub(super) fn warnings(leaderboard: &Leaderboard, board: &Board) -> Vec<String> {
    let standings = &board.standings;
    let mut lines: Vec<String> = standings.iter().filter_map(alarm).collect();
    lines.extend(standings.iter().filter_map(disagreement));
    lines.extend(standings.iter().filter_map(only_answer));
    lines.extend(standings.iter().filter_map(asked));
    let unfinished = board.unfinished();
    lines.extend(standings.iter().filter_map(|standing| running(standing, &unfinished)));
    lines.extend(standings.iter().filter_map(incomplete));
    lines.extend(standings.iter().filter_map(missing));
    lines.extend(standings.iter().filter_map(nothing_common));
    lines.extend(standings.iter().flat_map(checks));
    lines.extend(standings.iter().flat_map(beyond));
    lines.extend(standings.iter().flat_map(|standing| elsewhere(board, standing)));
    lines.extend(left_out(board));
    lines.extend(leaderboard.notes.iter().cloned());
    lines
}

/// The first ones by name.
fn enumeration(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.get(..SHOWN) {
        Some(shown) if names.len() > SHOWN + 1 => {
            format!("{} and {} more attacks", shown.join(", "), names.len() - SHOWN)
        }
        _ => names.join(", "),
    }
}

fn alarm(standing: &ModelResult) -> Option<String> {
    let first = standing.contradictions.first()?;
    let more = match standing.contradictions.len() {
        1 => String::new(),
        n => format!(" ({} more)", n - 1),
    };
    let name = &standing.entrant.model.name;
    Some(format!("ALARM: {name}: {first}{more}. One of them is wrong: please report it."))
}

fn disagreement(standing: &ModelResult) -> Option<String> {
    const SHOWN: usize = 5;
    let images = &standing.disagreements;
    let mut list: Vec<String> = images.iter().take(SHOWN).map(u64::to_string).collect();
    if images.len() > SHOWN {
        list.push(format!("and {} more", images.len() - SHOWN));
    }
    let (word, end) = match images.len() {
        0 => return None,
        1 => ("image", "it counts as misclassified"),
        _ => ("images", "they count as misclassified"),
    };
    Some(format!(
        "{}: the jobs disagree about the clean prediction of {word} {}: {end}.",
        standing.entrant.model.name,
        list.join(", ")
    ))
}

fn only_answer(standing: &ModelResult) -> Option<String> {
    let class = standing.only_answer?;
    Some(format!("{} answers class {class} for every image.", standing.entrant.model.name))
}

/// A network that a service answers for may be another one tomorrow.
fn asked(standing: &ModelResult) -> Option<String> {
    let model = &standing.entrant.model;
    let address = model.files.iter().find(|file| service::is_address(file))?;
    Some(format!(
        "{} is {} at {address}: its numbers are about what answered there while the run lasted. That may change, \
         and no file holds it.",
        model.name,
        service::NOTE
    ))
}

fn running(standing: &ModelResult, unfinished: &[Running<'_>]) -> Option<String> {
    let name = standing.entrant.model.name.as_str();
    let own = unfinished.iter().filter(|job| job.model == name);
    let jobs: Vec<String> =
        own.map(|Running { label, done, images, .. }| format!("{label} {done}/{images}")).collect();
    (!jobs.is_empty()).then(|| format!("Unfinished: {name} under {} images.", jobs.join(", ")))
}

/// Attacks that are unfinished while a number stands there without them.
fn incomplete(standing: &ModelResult) -> Option<String> {
    let shown = worst_cases(standing).filter(|(_, worst)| worst.robust.is_some());
    let attacks: Vec<String> = distinct(shown.flat_map(|(_, worst)| &worst.unfinished))
        .into_iter()
        .map(|Unfinished { title, done, images }| format!("{title} ({done} of {images} images)"))
        .collect();
    (!attacks.is_empty()).then(|| {
        format!(
            "† {}: what {} has not yet looked at may lower its worst cases, and it has no rank.",
            standing.entrant.model.name,
            attacks.join(", ")
        )
    })
}

fn missing(standing: &ModelResult) -> Option<String> {
    let missing = &standing.worst.as_ref()?.missing;
    (!missing.is_empty()).then(|| {
        format!(
            "† {} was not attacked with {}: its worst case may be too high and has no rank.",
            standing.entrant.model.name,
            missing.join(", "),
        )
    })
}

fn nothing_common(standing: &ModelResult) -> Option<String> {
    let worst = standing.worst.as_ref()?;
    (worst.attacks.len() > 1 && worst.images.is_none()).then(|| {
        format!(
            "{}: {} have no image in common, so there is no worst case.",
            standing.entrant.model.name,
            worst.attacks.join(", ")
        )
    })
}

fn checks(standing: &ModelResult) -> Vec<String> {
    let mut checks: Vec<(&Finding, Vec<String>)> = Vec::new();
    for (finding, titles) in standing.findings() {
        let seen = format!("{} ({})", finding.seen, titles.join(", "));
        match checks.iter_mut().find(|(known, _)| known.check == finding.check) {
            Some((_, all)) => all.push(seen),
            None => checks.push((finding, vec![seen])),
        }
    }
    let line = |(finding, seen): (&Finding, Vec<String>)| {
        format!("‡ {}: {}. {}", standing.entrant.model.name, seen.join("; "), finding.meaning)
    };
    checks.into_iter().map(line).collect()
}

/// What is known about images that not all attacks of a column have looked at.
fn beyond(standing: &ModelResult) -> Vec<String> {
    let line = |(title, worst): (&str, &WorstCase)| {
        let beyond = worst.beyond.as_ref()?;
        let (attacks, verb) = match &beyond.attacks[..] {
            [attack] => (attack.clone(), "covers"),
            attacks => (enumeration(attacks), "together cover"),
        };
        Some(format!(
            "{}: {attacks} {verb} {} images: at most {} % of them are robust {title}.",
            standing.entrant.model.name,
            beyond.robust.total,
            format::percent(&beyond.robust)
        ))
    };
    worst_cases(standing).filter_map(|(title, worst)| line((&title, worst))).collect()
}

/// Numbers over other images than those of the row.
fn elsewhere(board: &Board, standing: &ModelResult) -> Vec<String> {
    let mut groups: Vec<(ImageSet, Vec<&str>)> = Vec::new();
    let mut put = |title, images: &Option<ImageSet>| {
        let Some(images) = images.as_ref().filter(|set| standing.entrant.elsewhere(set)) else {
            return;
        };
        match groups.iter_mut().find(|(set, _)| set == images) {
            Some((_, titles)) => titles.push(title),
            None => groups.push((images.clone(), vec![title])),
        }
    };
    for column in &board.threats {
        if let Some(worst) = standing.threat(column) {
            put(&column.title, &worst.covered);
        }
    }
    for column in &board.columns {
        if let Some((outcome, _)) = standing.entrant.best_in(column) {
            put(&column.title, &outcome.result.image_set().cloned());
        }
    }
    let line = |(images, titles): (ImageSet, Vec<&str>)| {
        format!(
            "§ {}: over {} images that are not those of its row: {}.",
            standing.entrant.model.name,
            images.count,
            titles.join(", ")
        )
    };
    groups.into_iter().map(line).collect()
}

/// Images of the target class.
fn left_out(board: &Board) -> Vec<String> {
    let mut lines = Vec::new();
    for column in &board.threats {
        let counts = board.standings.iter().filter_map(|s| Some(s.threat(column)?.left_out));
        for count in distinct(counts.filter(|count| *count > 0)) {
            let (images, are) = if count == 1 { ("image", "is") } else { ("images", "are") };
            let title = &column.title;
            lines.push(format!(
                "{title}: {count} {images} whose label is the target {are} left out."
            ));
        }
    }
    lines
}

/// The worst cases of a network, each with where it stands, to go behind `robust`.
fn worst_cases(standing: &ModelResult) -> impl Iterator<Item = (String, &WorstCase)> {
    let threats = standing.threats.iter().map(|t| (format!("at {}", t.title), &t.worst));
    threats.chain(standing.worst.iter().map(|worst| ("in the worst case".to_owned(), worst)))
}
