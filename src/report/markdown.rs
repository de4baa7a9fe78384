//! `leaderboard.md`: GitHub-flavoured tables for a README, an issue or a model card.

use super::board::Board;
use super::grid::{Column, Kind};
use super::leaderboard::Leaderboard;
use super::published::{HEADER, Line, Ranking};
use super::sections::sheets;
use super::view::View;
use super::{Exporter, legend, warnings};
use crate::error::Result;
use crate::results::{Field, Sheet};

/// Writes Markdown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

impl Exporter for Markdown {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let mut text = format!("# {}\n", escape(&leaderboard.title));
        for board in &leaderboard.boards {
            text += &format!("\n## {}\n\n", escape(&board.title()));
            text += &format!("{}.\n\n", escape(&legend::headline(board)));
            text += &ranking(board, &leaderboard.view);
            text += "\n";
            let warnings = warnings::warnings(leaderboard, board);
            for line in legend::reading(board).iter().chain(&warnings) {
                text += &format!("- {}\n", escape(line));
            }
            for sheet in sheets(board).iter().filter(|sheet| !sheet.page_only) {
                let level = if sheet.below { "####" } else { "###" };
                text += &format!("\n{level} {}\n\n{}", sheet.title, self::sheet(sheet));
                if !sheet.short_note.is_empty() {
                    text += &format!("\n{}\n", sheet.short_note);
                }
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
fn ranking(board: &Board, view: &View) -> String {
    let columns = view.columns(board);
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

/// A table of results, without what is on pages only; notes in brackets.
fn sheet(sheet: &Sheet) -> String {
    let shown: Vec<usize> =
        (0..sheet.columns.len()).filter(|at| !sheet.columns[*at].page_only).collect();
    let head = |at: &usize| (sheet.columns[*at].title.clone(), sheet.columns[*at].right);
    let header: Vec<(String, bool)> = shown.iter().map(head).collect();
    let field = |field: &Field| match field.note.is_empty() {
        true => escape(&field.text),
        false => format!("{} ({})", escape(&field.text), escape(&field.note)),
    };
    let row = |line: &crate::results::Line| {
        shown.iter().map(|at| line.fields.get(*at).map_or(String::new(), field)).collect()
    };
    table(&header, &sheet.lines.iter().map(row).collect::<Vec<_>>())
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
