//! `leaderboard.html`: one file that needs nothing else, and can be read without its script, which sorts and filters.
//! This module turns the leaderboard into the strings of `templates/leaderboard.html`.

use askama::Template;

use super::board::Board;
use super::gather::RunInfo;
use super::grid::{self, Kind, beside};
use super::leaderboard::Leaderboard;
use super::links::Links;
use super::model_result::ModelResult;
use super::published::{HEADER, Line};
use super::sections::{passes, sheets};
use super::{Exporter, figure, legend, warnings};
use crate::error::{Error, Result};
use crate::record::{DataRecord, ModelRecord};
use crate::results::{Drawing, Field, Sheet, distinct, format, number, on_page};

/// Writes HTML.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html {
    /// The page links to others, which lie beside it.
    pub linked: bool,
}

impl Exporter for Html {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let links = if self.linked { Links::new(leaderboard, "") } else { Links::default() };
        Self::page(leaderboard, links)
    }
}

impl Html {
    pub(super) fn page(leaderboard: &Leaderboard, links: Links) -> Result<String> {
        let mut sections: Vec<Section<'_>> =
            leaderboard.boards.iter().map(|board| Section::new(leaderboard, board)).collect();
        number(sections.iter_mut().flat_map(|section| &mut section.figures));
        let page = Page {
            title: &leaderboard.title,
            links,
            runs: &leaderboard.runs,
            facts: facts(leaderboard),
            several: leaderboard.boards.len() > 1,
            sections,
            models: models(leaderboard)
                .into_iter()
                .map(|model| (model, format::count(model.parameters as f64)))
                .collect(),
            published: leaderboard
                .published
                .iter()
                .map(|r| (r.headline(), r.lines(), r.reading()))
                .collect(),
        };
        page.render().map_err(|e| Error::setting("leaderboard.html", e.to_string(), ""))
    }
}

#[derive(Template)]
#[template(path = "leaderboard.html")]
struct Page<'a> {
    title: &'a str,
    links: Links,
    runs: &'a [RunInfo],
    /// Name and value, under the title.
    facts: Vec<(&'static str, String)>,
    /// More than one board.
    several: bool,
    sections: Vec<Section<'a>>,
    /// With the number of weights.
    models: Vec<(&'a ModelRecord, String)>,
    /// Measured networks among published ones: title, rows, and how to read them.
    published: Vec<(String, Vec<Line>, Vec<String>)>,
}

/// All about one board.
struct Section<'a> {
    data: &'a DataRecord,
    /// Name of the data set, and of the part.
    title: String,
    /// Images of the worst cases.
    images: usize,
    /// Over the threat columns.
    groups: Vec<Group>,
    /// Over the columns of other kinds of work.
    others: Vec<Group>,
    standings: Vec<HtmlRow>,
    has_attacks: bool,
    has_worst_case: bool,
    sheets: Vec<Sheet>,
    figures: Vec<Drawing>,
    reading: Vec<String>,
    warnings: Vec<String>,
}

/// A threat model over its budgets.
struct Group {
    threat: String,
    /// Empty if the threat has no budget.
    budgets: Vec<String>,
}

/// One network in the leaderboard.
struct HtmlRow {
    rank: Field,
    model: String,
    about: String,
    clean: Field,
    threats: Vec<Field>,
    worst: Option<Field>,
    interval: String,
    others: Vec<Field>,
    passes: String,
}

impl<'a> Section<'a> {
    fn new(leaderboard: &'a Leaderboard, board: &'a Board) -> Self {
        let figures = figure::figures(board).iter().map(on_page).collect();
        Self {
            data: &board.data,
            title: board.title(),
            images: board.images,
            groups: groups(board),
            others: others(board),
            standings: standings(board),
            has_attacks: !board.attacks.is_empty(),
            has_worst_case: board.has_worst_case(),
            sheets: sheets(board),
            figures,
            reading: legend::reading(board),
            warnings: warnings::warnings(leaderboard, board),
        }
    }
}

/// What was run, in a few words each.
fn facts(leaderboard: &Leaderboard) -> Vec<(&'static str, String)> {
    let joined = |values: &dyn Fn(&RunInfo) -> Vec<String>| {
        distinct(leaderboard.runs.iter().flat_map(values)).join(", ")
    };
    let data = leaderboard.boards.iter().map(legend::images);
    vec![
        ("Data", data.collect::<Vec<_>>().join("; ")),
        ("Networks", models(leaderboard).len().to_string()),
        ("Seed", joined(&|run| run.seeds.iter().map(u64::to_string).collect())),
        ("Device", joined(&|run| run.devices.clone())),
        ("Precision", joined(&|run| run.precisions.clone())),
        ("epsball", joined(&|run| run.epsball.clone())),
    ]
}

/// The networks of all boards, each once.
fn models(leaderboard: &Leaderboard) -> Vec<&ModelRecord> {
    let mut models: Vec<&ModelRecord> = Vec::new();
    for standing in leaderboard.boards.iter().flat_map(|board| &board.standings) {
        if !models.contains(&&standing.entrant.model) {
            models.push(&standing.entrant.model);
        }
    }
    models
}

fn groups(board: &Board) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for column in &board.threats {
        let (threat, budget) = (column.about(), column.eps.map(format::eps));
        match groups.last_mut() {
            Some(group) if group.threat == threat && budget.is_some() => {
                group.budgets.extend(budget);
            }
            _ => groups.push(Group { threat, budgets: budget.into_iter().collect() }),
        }
    }
    groups
}

fn others(board: &Board) -> Vec<Group> {
    let group = |columns: &[crate::work::KindColumn]| Group {
        threat: match columns[0].eps {
            Some(_) => format!("{} {}", columns[0].word, columns[0].threat),
            None => columns[0].title.clone(),
        },
        budgets: columns.iter().filter_map(|column| column.eps).map(format::eps).collect(),
    };
    board.columns.chunk_by(beside).map(group).collect()
}

/// The leaderboard, from the columns that all formats share.
fn standings(board: &Board) -> Vec<HtmlRow> {
    let columns = grid::columns(board, None);
    let field = |kind: Kind, row: usize| {
        columns.iter().find(|c| c.kind == kind).map(|column| column.fields[row].clone())
    };
    let row = |(at, standing): (usize, &ModelResult)| {
        let model = &standing.entrant.model;
        let threats = columns.iter().filter(|c| matches!(c.kind, Kind::Threat(_)));
        let others = columns.iter().filter(|c| matches!(c.kind, Kind::Other(_)));
        HtmlRow {
            rank: field(Kind::Rank, at).unwrap_or_default(),
            model: field(Kind::Model, at).map_or(String::new(), |f| f.text),
            about: format!(
                "{}, {} weights",
                model.architecture,
                format::count(model.parameters as f64)
            ),
            clean: field(Kind::Clean, at).unwrap_or_default(),
            threats: threats.map(|c| c.fields[at].clone()).collect(),
            worst: field(Kind::Worst, at),
            interval: field(Kind::Interval, at).map_or(String::new(), |f| f.text),
            others: others.map(|c| c.fields[at].clone()).collect(),
            passes: passes(standing.cost),
        }
    };
    board.standings.iter().enumerate().map(row).collect()
}
