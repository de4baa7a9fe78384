//! Tables for papers, in LaTeX (with booktabs) and in Typst: a board each, best values bold, with a caption that says
//! what a reader has to know to compare the numbers: images, threat models, attacks, version.

use super::board::Board;
use super::grid::{Column, Kind, MARK};
use super::leaderboard::Leaderboard;
use super::{Exporter, legend};
use crate::error::Result;
use crate::results::distinct;

/// Writes LaTeX.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latex;

/// Writes Typst.
#[derive(Debug, Clone, Copy, Default)]
pub struct Typst;

impl Exporter for Latex {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let tables = leaderboard.boards.iter().enumerate();
        let tables = tables.map(|(at, board)| latex(leaderboard, board, at));
        Ok(format!("% \\usepackage{{booktabs}}\n{}", tables.collect::<Vec<_>>().join("\n")))
    }
}

impl Exporter for Typst {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let tables = leaderboard.boards.iter().enumerate();
        let tables = tables.map(|(at, board)| typst(leaderboard, board, at));
        Ok(tables.collect::<Vec<_>>().join("\n"))
    }
}

fn latex(leaderboard: &Leaderboard, board: &Board, at: usize) -> String {
    let columns = leaderboard.view.columns(board);
    let aligned: String =
        columns.iter().map(|column| if column.kind == Kind::Model { 'l' } else { 'r' }).collect();
    let row = |fields: Vec<String>| format!("    {} \\\\\n", fields.join(" & "));
    let field = |column: &Column, row: usize| {
        let field = &column.fields[row];
        match field.best {
            true => format!("\\textbf{{{}}}", tex(&field.text)),
            false => tex(&field.text),
        }
    };
    let rows: String = (0..board.standings.len())
        .map(|at| row(columns.iter().map(|column| field(column, at)).collect()))
        .collect();
    format!(
        "\\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n  \\label{{tab:{}}}\n  \
         \\begin{{tabular}}{{{aligned}}}\n    \\toprule\n{}    \\midrule\n{rows}    \\bottomrule\n  \
         \\end{{tabular}}\n\\end{{table}}\n",
        tex(&caption(leaderboard, board, &columns)),
        label(leaderboard, at),
        row(columns.iter().map(|column| tex(&column.title)).collect()),
    )
}

fn typst(leaderboard: &Leaderboard, board: &Board, at: usize) -> String {
    let columns = leaderboard.view.columns(board);
    let aligned: Vec<&str> = columns
        .iter()
        .map(|column| if column.kind == Kind::Model { "left" } else { "right" })
        .collect();
    let row = |fields: Vec<String>| format!("    {},\n", fields.join(", "));
    let field = |column: &Column, row: usize| {
        let field = &column.fields[row];
        match field.best {
            true => format!("[*{}*]", markup(&field.text)),
            false => format!("[{}]", markup(&field.text)),
        }
    };
    let rows: String = (0..board.standings.len())
        .map(|at| row(columns.iter().map(|column| field(column, at)).collect()))
        .collect();
    format!(
        "#figure(\n  table(\n    columns: {},\n    align: ({},),\n    stroke: none,\n    table.hline(),\n    \
         table.header({}),\n    table.hline(stroke: 0.5pt),\n{rows}    table.hline(),\n  ),\n  caption: [{}],\n) \
         <tab-{}>\n",
        columns.len(),
        aligned.join(", "),
        columns
            .iter()
            .map(|column| format!("[{}]", markup(&column.title)))
            .collect::<Vec<_>>()
            .join(", "),
        markup(&caption(leaderboard, board, &columns)),
        label(leaderboard, at),
    )
}

/// What stands under, or above, a table.
fn caption(leaderboard: &Leaderboard, board: &Board, columns: &[Column]) -> String {
    let mut sentences = vec![format!("Robustness on {}", legend::images(board))];
    let shown = |kind: Kind| columns.iter().any(|column| column.kind == kind);
    sentences.push("Accuracies in percent of all images".into());
    if shown(Kind::Worst) {
        let attacks = board.attacks.iter().filter(|attack| !attack.control && !attack.targeted());
        let attacks = distinct(attacks.map(|attack| attack.title.as_str()));
        sentences.push(format!("Worst case over {}", attacks.join(", ")));
    }
    if shown(Kind::Interval) {
        sentences.push("Wilson intervals of 95 %".into());
    }
    let is_marked = |mark: &str| {
        let fields = columns.iter().flat_map(|column| &column.fields);
        fields.into_iter().any(|field| field.text.contains(mark))
    };
    for (mark, meaning) in [
        (MARK.trim(), "a safety check fired"),
        ("†", "not all attacks of the column were run to their end"),
        ("§", "over other images than the rest of the row"),
    ] {
        if is_marked(mark) {
            sentences.push(format!("{mark}: {meaning}"));
        }
    }
    let versions = distinct(leaderboard.runs.iter().flat_map(|run| &run.epsball));
    let versions: Vec<&str> = versions.into_iter().map(String::as_str).collect();
    sentences.push(format!("Computed with epsball {}", versions.join(", ")));
    sentences.join(". ") + "."
}

/// A name for references.
fn label(leaderboard: &Leaderboard, at: usize) -> String {
    let name = leaderboard.title.to_lowercase();
    let mut label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if at > 0 {
        label += &format!("-{}", at + 1);
    }
    label
}

/// `text` as LaTeX shows it.
fn tex(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                shown.push('\\');
                shown.push(c);
            }
            '\\' => shown.push_str("\\textbackslash{}"),
            '~' => shown.push_str("\\textasciitilde{}"),
            '^' => shown.push_str("\\textasciicircum{}"),
            // In the fonts that LaTeX takes by default these are other characters.
            '<' => shown.push_str("\\textless{}"),
            '>' => shown.push_str("\\textgreater{}"),
            '|' => shown.push_str("\\textbar{}"),
            '"' => shown.push_str("''"),
            '≤' => shown.push_str("$\\leq$"),
            '×' => shown.push_str("$\\times$"),
            '†' => shown.push_str("$^\\dagger$"),
            '‡' => shown.push_str("$^\\ddagger$"),
            '§' => shown.push_str("$^\\S$"),
            '–' => shown.push_str("--"),
            '\u{202f}' => shown.push_str("\\,"),
            '\n' => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}

/// `text` as Typst shows it.
fn markup(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '*' | '_' | '`' | '$' | '#' | '<' | '>' | '@' | '[' | ']' | '~' | '=' | '-'
            | '+' | '/' => {
                shown.push('\\');
                shown.push(c);
            }
            '\n' => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}
