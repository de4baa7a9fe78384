//! `leaderboard.md`: GitHub-flavoured tables for a README, an issue or a model card.

use super::board::Board;
use super::bracket::{self, Bracket};
use super::format::{self, Cell};
use super::grid::{self, Column, Kind};
use super::leaderboard::Leaderboard;
use super::published::{HEADER, Line, Ranking};
use super::{Exporter, legend, verified, warnings};
use crate::error::Result;

/// Writes Markdown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

impl Exporter for Markdown {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let mut text = format!("# {}\n", escape(&leaderboard.title));
        for board in &leaderboard.boards {
            text += &format!("\n## {}\n\n", escape(&board.title()));
            text += &format!("{}.\n\n", escape(&legend::headline(board)));
            text += &ranking(board);
            text += "\n";
            let warnings = warnings::warnings(leaderboard, board);
            for line in legend::reading(board).iter().chain(&warnings) {
                text += &format!("- {}\n", escape(line));
            }
            if !board.attacks.is_empty() {
                text += &format!("\n### Robust accuracy by attack\n\n{}", attacks(board));
                text += "\nIn brackets: attack success rate, of the correctly classified images.\n";
            }
            for norm in board.norms() {
                let ball = if norm == "L2" { String::new() } else { format!(" in {norm}") };
                text += &format!("\n### Certified accuracy{ball}\n\n{}", certificates(board, norm));
            }
            if board.standings.iter().any(|s| !s.patches.is_empty()) {
                text += &format!("\n### Certified accuracy against patches\n\n{}", patches(board));
            }
            if board.standings.iter().any(|s| !s.bounds.is_empty()) {
                text += &format!("\n### Verified accuracy\n\n{}", bounds(board));
            }
            if board.standings.iter().any(|s| !s.brackets.is_empty()) {
                text += &format!("\n### Between proof and attack\n\n{}", brackets(board));
                text +=
                    "\nThe truth lies between verified and robust accuracy; undecided: images.\n";
            }
        }
        for ranking in &leaderboard.published {
            text += &format!("\n## {}\n\n{}\n", escape(&ranking.headline()), published(ranking));
            ranking.reading().iter().for_each(|line| text += &format!("- {}\n", escape(line)));
        }
        Ok(text)
    }
}

/// Measured networks, bold, among published ones.
fn published(ranking: &Ranking) -> String {
    let header = HEADER.map(|(title, right)| (title.to_owned(), right));
    let row = |line: Line| {
        let bold = |field: String| match line.measured && !field.is_empty() {
            true => format!("**{field}**"),
            false => field,
        };
        line.fields.iter().map(|field| bold(escape(field))).collect()
    };
    table(&header, &ranking.lines().into_iter().map(row).collect::<Vec<_>>())
}

/// The leaderboard itself, best values bold.
fn ranking(board: &Board) -> String {
    let columns = grid::columns(board);
    let header =
        columns.iter().map(|c| (c.title.clone(), c.kind != Kind::Model)).collect::<Vec<_>>();
    let field = |column: &Column, row: usize| {
        let field = &column.fields[row];
        match field.best {
            true => format!("**{}**", field.text),
            false => escape(&field.text),
        }
    };
    let rows = (0..board.standings.len())
        .map(|row| columns.iter().map(|column| field(column, row)).collect())
        .collect::<Vec<_>>();
    table(&header, &rows)
}

/// A row per attack and budget, a column per network.
fn attacks(board: &Board) -> String {
    let mut header = vec![("attack".to_owned(), false), ("threat".to_owned(), false)];
    header.extend(board.standings.iter().map(|s| (s.model.name.clone(), true)));
    let rows: Vec<Vec<String>> = board
        .attacks
        .iter()
        .map(|column| {
            let control = if column.control { " (control)" } else { "" };
            let mut row =
                vec![escape(&format!("{}{control}", column.title)), escape(&column.aim())];
            row.extend(board.standings.iter().map(|standing| {
                let cell = board.attack_cell(standing, column);
                let success = standing.attack(column).and_then(|(_, budget)| budget.success);
                match (&cell, success) {
                    (Cell::Value(..), Some(p)) => format!("{cell} ({})", format::percent(&p)),
                    _ => cell.to_string(),
                }
            }));
            row
        })
        .collect();
    table(&header, &rows)
}

/// A row per network and certificate in `norm`.
fn certificates(board: &Board, norm: &str) -> String {
    let radii = board.radii(norm);
    let mut header = vec![("model".to_owned(), false), ("certificate".to_owned(), false)];
    header.extend(radii.iter().map(|radius| (format!("r = {}", format::eps(*radius)), true)));
    header.push(("abstained".to_owned(), true));
    header.push(("average radius".to_owned(), true));
    header.push(("pA quartiles".to_owned(), true));
    header.push(("samples".to_owned(), true));
    let mut rows = Vec::new();
    for standing in &board.standings {
        for certificate in standing.certificates.iter().filter(|c| c.norm == norm) {
            let cell = |p| Cell::of(p, certificate.done, certificate.images).to_string();
            let mut row = vec![escape(&standing.model.name), escape(&certificate.label)];
            row.extend(radii.iter().map(|radius| cell(certificate.at(*radius))));
            row.push(cell(certificate.abstained));
            let radius = certificate.average_radius.filter(|_| certificate.finished());
            row.push(radius.map_or("–".into(), format::radius_down));
            let p_a = certificate.p_a.as_ref().filter(|_| certificate.finished());
            row.push(p_a.map_or("–".into(), |p_a| p_a.quartiles()));
            row.push(format::samples(certificate.samples, certificate.saved));
            rows.push(row);
        }
        for envelope in standing.envelopes.iter().filter(|e| e.norm == norm) {
            let mut row = vec![escape(&standing.model.name), "best of them".to_owned()];
            row.extend(radii.iter().map(|radius| {
                let point = envelope.points.iter().find(|point| point.radius == *radius);
                point.map_or("–".into(), |point| {
                    let share = format::percent(&point.accuracy);
                    format!("{share} ({})", escape(&envelope.source(point)))
                })
            }));
            row.resize(header.len(), String::new());
            rows.push(row);
        }
    }
    table(&header, &rows)
}

/// A row per network, threat and budget that was both attacked and verified.
fn brackets(board: &Board) -> String {
    let header = ["model", "threat", "proved by", "verified", "robust", "undecided"];
    let header: Vec<(String, bool)> =
        header.iter().enumerate().map(|(at, title)| ((*title).to_owned(), at > 2)).collect();
    let row = |(model, bracket): (&str, &Bracket)| {
        vec![
            escape(model),
            escape(&bracket.title),
            escape(&bracket.proof),
            format::percent(&bracket.verified),
            format::percent(&bracket.robust),
            bracket.undecided.to_string(),
        ]
    };
    table(&header, &bracket::of_board(board).into_iter().map(row).collect::<Vec<_>>())
}

/// A row per network and certificate against patches.
fn patches(board: &Board) -> String {
    let header = [
        ("model", false),
        ("certificate", false),
        ("threat", false),
        ("clean", true),
        ("certified", true),
        ("forwards", true),
    ]
    .map(|(title, right)| (title.to_owned(), right));
    let mut rows = Vec::new();
    for standing in &board.standings {
        for patch in &standing.patches {
            let cell = |p| Cell::of(p, patch.done, patch.images).to_string();
            rows.push(vec![
                escape(&standing.model.name),
                escape(&patch.label),
                escape(&patch.patch),
                cell(patch.accuracy),
                cell(patch.certified),
                format::count(patch.forwards),
            ]);
        }
    }
    table(&header, &rows)
}

/// A row per network and job of bounds.
fn bounds(board: &Board) -> String {
    let mut header = vec![("model".to_owned(), false), ("bounds".to_owned(), false)];
    header.extend(board.verified.iter().map(|c| (format::title(&c.threat, Some(c.eps)), true)));
    header.push(("average radius".to_owned(), true));
    header.push(("per image".to_owned(), true));
    let row = |row: &verified::Verified| {
        let accuracy = row.accuracy.iter().map(|field| field.text.clone());
        let mut fields = vec![escape(&row.model), escape(&row.label)];
        fields.extend(accuracy.chain([row.average_radius.clone(), row.seconds.clone()]));
        fields
    };
    let rows: Vec<Vec<String>> = verified::table(board).iter().map(row).collect();
    table(&header, &rows)
}

/// A table, its columns padded to be read as plain text too; `true` aligns a column right.
fn table(header: &[(String, bool)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let fields = rows.iter().map(|row| row[column].chars().count());
        fields.max().unwrap_or(0).max(escape(&header[column].0).chars().count()).max(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |fields: Vec<String>| {
        let padded = fields.iter().enumerate().map(|(i, field)| match header[i].1 {
            true => format!("{field:>w$}", w = widths[i]),
            false => format!("{field:<w$}", w = widths[i]),
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(header.iter().map(|(title, _)| escape(title)).collect());
    text += &line(
        header
            .iter()
            .zip(&widths)
            .map(|((_, right), width)| match right {
                true => format!("{}:", "-".repeat(width - 1)),
                false => "-".repeat(*width),
            })
            .collect(),
    );
    rows.iter().for_each(|row| text += &line(row.clone()));
    text
}

/// Keeps Markdown from reading a name as markup, and a line break in it from ending a row.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }) {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '[' | '\\' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
