//! `leaderboard.csv`: a row per network and board, a column per number, for spreadsheets and scripts.
//! Shares are in [0, 1] with six decimals; `images` says over how many images the worst case is; what is
//! unfinished is empty, and named in the column `unfinished`. Text that a spreadsheet would take for a
//! formula gets an apostrophe in front.

use super::Exporter;
use super::board::{Board, Running};
use super::leaderboard::Leaderboard;
use super::model_result::ModelResult;
use super::published::Ranking;
use crate::error::{Error, Result};
use crate::results::{Cell, format::number};
use crate::work::KINDS;

/// Writes comma-separated values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Csv;

impl Exporter for Csv {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let rows: Vec<Vec<(String, String)>> = leaderboard
            .boards
            .iter()
            .flat_map(|board| board.standings.iter().map(move |standing| row(board, standing)))
            .chain(leaderboard.published.iter().flat_map(published))
            .collect();
        // Different boards have different columns: the header is all of them.
        let mut header: Vec<&str> = Vec::new();
        for (title, _) in rows.iter().flatten() {
            if !header.contains(&title.as_str()) {
                header.push(title);
            }
        }
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let failed = |e: ::csv::Error| Error::setting("leaderboard.csv", e.to_string(), "");
        writer.write_record(&header).map_err(failed)?;
        for row in &rows {
            let field = |title: &&str| {
                row.iter().find(|(t, _)| t == title).map_or("", |(_, value)| value.as_str())
            };
            writer.write_record(header.iter().map(field)).map_err(failed)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|e| Error::setting("leaderboard.csv", e.to_string(), ""))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// One network: title and value of each column.
fn row(board: &Board, standing: &ModelResult) -> Vec<(String, String)> {
    let mut row: Vec<(String, String)> = Vec::new();
    let mut put = |title: &str, value: String| row.push((text(title), value));
    let share = |cell: &Cell| cell.value().map_or(String::new(), |p| number(p.rate));
    let model = &standing.entrant.model;
    put("data", text(&board.title()));
    put("rank", standing.rank.map_or(String::new(), |rank| rank.to_string()));
    put("model", text(&model.name));
    put("architecture", text(&model.architecture));
    put("parameters", model.parameters.to_string());
    put("sha256", text(&model.sha256));
    put("images", standing.entrant.images.to_string());
    put("clean", share(&standing.clean_cell()));
    let worst = standing.worst_cell(standing.worst.as_ref());
    put("worst case", share(&worst));
    put("worst case low", worst.value().map_or(String::new(), |p| number(p.low)));
    put("worst case high", worst.value().map_or(String::new(), |p| number(p.high)));
    for threat in &board.threats {
        put(
            &format!("worst {}", threat.title),
            share(&standing.worst_cell(standing.threat(threat))),
        );
    }
    for (title, value) in KINDS.iter().flat_map(|kind| kind.fields(&standing.entrant)) {
        put(&title, value);
    }
    put("forwards per image", number(standing.cost.forwards));
    put("backwards per image", number(standing.cost.backwards));
    let unfinished: Vec<String> = board
        .unfinished()
        .into_iter()
        .filter(|job| job.model == model.name)
        .map(|Running { label, done, images, .. }| format!("{label} {done}/{images}"))
        .collect();
    put("unfinished", text(&unfinished.join("; ")));
    let missing = standing.worst.as_ref().map_or(&[][..], |w| &w.missing[..]);
    put("not run", text(&missing.join("; ")));
    let findings: Vec<String> = standing
        .findings()
        .into_iter()
        .map(|(finding, titles)| format!("{} ({})", finding.seen, titles.join(", ")))
        .collect();
    put("checks", text(&findings.join("; ")));
    row
}

/// The networks of a published table and the measured ones among them; `source` says which is which.
fn published(ranking: &Ranking) -> impl Iterator<Item = Vec<(String, String)>> {
    ranking.places.iter().map(|place| {
        let measured = place.measured();
        let source = if measured.is_some() { "measured" } else { "published" };
        let optional = |value: Option<f64>| value.map_or(String::new(), number);
        [
            ("rank", place.rank.map_or(String::new(), |rank| rank.to_string())),
            ("model", text(&place.name)),
            ("architecture", text(&place.architecture)),
            ("clean", number(place.clean)),
            ("table", text(&ranking.table)),
            ("source", source.into()),
            ("eps", number(place.eps)),
            ("AutoAttack", optional(place.autoattack)),
            ("lowest", number(place.robust)),
            ("clean difference", optional(measured.and_then(|m| m.clean_difference))),
            ("AutoAttack difference", optional(measured.and_then(|m| m.autoattack_difference))),
        ]
        .map(|(title, value)| (title.to_owned(), value))
        .to_vec()
    })
}

/// Text that no spreadsheet takes for a formula.
fn text(value: &str) -> String {
    match value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{value}"),
        false => value.to_owned(),
    }
}
