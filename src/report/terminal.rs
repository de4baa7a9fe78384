//! The board on a terminal. It keeps to a width by leaving out columns, the least needed first, and
//! says which; colour only repeats what the text says already.

use std::io::IsTerminal;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use terminal_size::{Width, terminal_size_of};

use super::board::Board;
use super::grid::{Column, Kind, MARK};
use super::leaderboard::Leaderboard;
use super::published::{HEADER, Ranking};
use super::sections::sheets;
use super::{Exporter, legend, warnings};
use crate::error::Result;
use crate::results::{Field, Sheet};

/// A terminal with fewer columns than these gets lines that it has to wrap.
const NARROWEST: usize = 40;

/// Model names are cut to this length.
const NAME: usize = 28;

/// A rule under the header; those above and below are drawn here, as one line each.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Prints the leaderboard as text.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Columns of characters to keep to.
    pub width: usize,
    /// Use ANSI colours.
    pub colour: bool,
}

impl Terminal {
    /// For standard output: as wide as the terminal, or 100 columns where there is none, with colours if it is one and
    /// the environment does not set `NO_COLOR` (no-color.org) or a dumb terminal.
    pub fn detect() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = terminal_size_of(std::io::stdout())
            .map_or(100, |(Width(width), _)| usize::from(width).max(NARROWEST));
        Self { width, colour: !plain && std::io::stdout().is_terminal() }
    }

    fn board(&self, leaderboard: &Leaderboard, board: &Board) -> String {
        let mut columns = leaderboard.view.columns(board);
        columns.iter_mut().filter(|c| c.kind == Kind::Model).for_each(shorten);
        let (table, dropped) = fit(&mut columns, self.width);
        let bold = |text: &str| self.paint("1", text);
        let mut text = format!("{}  {}\n", bold(&leaderboard.title), legend::headline(board));
        text += &self.coloured(&table, &columns);
        let mut lines = legend::reading(board);
        if !dropped.is_empty() {
            lines.push(format!("Too wide for this table: {}.", dropped.join(", ")));
        }
        for line in lines {
            for line in wrap(&line, self.width) {
                text += &format!("{}\n", self.paint("2", &line));
            }
        }
        for warning in warnings::warnings(leaderboard, board) {
            for line in wrap(&warning, self.width) {
                text += &format!("{}\n", self.paint("33", &line));
            }
        }
        for sheet in sheets(board).iter().filter(|sheet| sheet.in_terminal) {
            text += &format!("\n{}\n{}", self.paint("1", &sheet.title), plain(sheet));
            if !sheet.note.is_empty() {
                let lines = wrap(&sheet.note, self.width);
                lines.iter().for_each(|line| text += &format!("{}\n", self.paint("2", line)));
            }
        }
        text
    }

    /// The table's lines with colours: fields by their place in the line.
    fn coloured(&self, table: &Table, columns: &[Column]) -> String {
        let widths = widths(table);
        let header = columns.iter().map(|c| header(c).lines().count()).max().unwrap_or(1);
        let rule = self.paint("2", &"─".repeat(widths.iter().sum()));
        let mut lines = vec![rule.clone()];
        for (number, line) in table.lines().enumerate() {
            if number < header {
                lines.push(self.paint("1", line.trim_end()));
            } else if number == header {
                lines.push(rule.clone());
            } else {
                let mut rest = line.chars();
                let fields = columns.iter().zip(&widths).map(|(column, width)| {
                    let text: String = rest.by_ref().take(*width).collect();
                    match column.fields.get(number - header - 1) {
                        Some(Field { warn: true, .. }) => self.paint("33", &text),
                        Some(Field { best: true, .. }) => self.paint("1;32", &text),
                        _ => text,
                    }
                });
                lines.push(fields.collect::<String>().trim_end().to_owned());
            }
        }
        lines.push(rule);
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// The measured networks and their neighbours among published ones; architectures are left out.
    fn published(&self, ranking: &Ranking) -> String {
        const ARCHITECTURE: usize = 3;
        let shown = |at: &usize| *at != ARCHITECTURE;
        let mut table = Table::new();
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        let titles = HEADER.map(|(title, _)| title.replacen(' ', "\n", 1));
        table.set_header((0..HEADER.len()).filter(shown).map(|at| titles[at].clone()));
        let lines = ranking.excerpt();
        for line in &lines {
            let field = |at: usize| match line {
                Some(line) if at == 1 => cut(&line.fields[at]),
                Some(line) => line.fields[at].clone(),
                None => "…".into(),
            };
            table.add_row((0..HEADER.len()).filter(shown).map(field));
        }
        let right: Vec<bool> = (0..HEADER.len()).filter(shown).map(|at| HEADER[at].1).collect();
        for (column, right) in table.column_iter_mut().zip(right) {
            if right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let rule = self.paint("2", &"─".repeat(widths(&table).iter().sum()));
        let mut text = format!("{}\n{rule}\n", self.paint("1", &ranking.headline()));
        let header = titles.iter().map(|title| title.lines().count()).max().unwrap_or(1);
        for (number, line) in table.lines().enumerate() {
            let measured = number.checked_sub(header + 1).and_then(|at| lines[at].as_ref());
            text += &match measured {
                _ if number < header => self.paint("1", line.trim_end()),
                _ if number == header => rule.clone(),
                Some(line_of) if line_of.measured => self.paint("1;32", line.trim_end()),
                _ => line.trim_end().to_owned(),
            };
            text.push('\n');
        }
        text += &format!("{rule}\n");
        for line in ranking.reading().iter().flat_map(|line| wrap(line, self.width)) {
            text += &format!("{}\n", self.paint("2", &line));
        }
        text
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour && !text.trim().is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

impl Exporter for Terminal {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let boards = leaderboard.boards.iter().map(|board| self.board(leaderboard, board));
        let published = leaderboard.published.iter().map(|ranking| self.published(ranking));
        Ok(boards.chain(published).collect::<Vec<_>>().join("\n"))
    }
}

/// Leaves out columns until the table fits into `width`: the interval, then smaller budgets, then
/// all but clean and worst. Returns the titles left out.
fn fit(columns: &mut Vec<Column>, width: usize) -> (Table, Vec<String>) {
    let mut dropped = Vec::new();
    loop {
        let table = table(columns);
        let order = [
            Kind::Interval,
            Kind::Threat(false),
            Kind::Other(false),
            Kind::Threat(true),
            Kind::Other(true),
        ];
        let needless =
            order.iter().find_map(|kind| columns.iter().position(|column| column.kind == *kind));
        match needless {
            Some(at) if widths(&table).iter().sum::<usize>() > width => {
                dropped.push(columns.remove(at).title);
            }
            _ => return (table, dropped),
        }
    }
}

/// A table of results as text, notes in brackets.
fn plain(sheet: &Sheet) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(sheet.columns.iter().map(|head| head.title.replacen(' ', "\n", 1)));
    for line in &sheet.lines {
        table.add_row(line.fields.iter().map(|field| match field.note.is_empty() {
            true => field.text.clone(),
            false => format!("{} ({})", field.text, field.note),
        }));
    }
    for (column, head) in table.column_iter_mut().zip(&sheet.columns) {
        if head.right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Width of each column, with the space around it.
fn widths(table: &Table) -> Vec<usize> {
    table.column_max_content_widths().iter().map(|width| usize::from(*width) + 2).collect()
}

fn table(columns: &[Column]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(header).collect::<Vec<_>>());
    let rows = columns.first().map_or(0, |c| c.fields.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|c| c.fields[row].text.clone()).collect::<Vec<_>>());
    }
    for (column, of) in table.column_iter_mut().zip(columns) {
        if of.kind != Kind::Model {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A title over two lines: what, and at which budget.
fn header(column: &Column) -> String {
    let title = &column.title;
    let goal = title.find(" to ").map(|at| (&title[..at], &title[at + 1..]));
    let parts = match column.kind {
        Kind::Other(_) => title.split_once(' '),
        Kind::Threat(_) => goal.or_else(|| title.rsplit_once(' ')),
        _ => title.rsplit_once(' '),
    };
    parts.map_or(title.clone(), |(what, budget)| format!("{what}\n{budget}"))
}

fn shorten(column: &mut Column) {
    for field in &mut column.fields {
        let (name, mark) = match field.text.strip_suffix(MARK) {
            Some(name) => (name, MARK),
            None => (&*field.text, ""),
        };
        field.text = format!("{}{mark}", cut(name));
    }
}

/// A name of at most [`NAME`] characters.
fn cut(name: &str) -> String {
    match name.chars().count() > NAME {
        true => name.chars().take(NAME - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// `text` in lines of at most `width` characters, where words allow it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
