//! Measured networks among published ones: a ranking for each published table that a measured network
//! belongs to, and what was measured minus what was published for networks that are in both. Published
//! rows say everywhere that they are.

use serde::Serialize;

use super::board::Board;
use super::leaderboard::Leaderboard;
use super::model_result::ModelResult;
use crate::error::{Error, Result};
use crate::published::{self, Entry, SOURCE, Subject, Table};
use crate::results::{Proportion, format};
use crate::work::goal::UNTARGETED;
use crate::work::{KindResult as _, ThreatColumn};

/// A published table with the measured networks in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Name of the table: `cifar10-linf`.
    pub table: String,
    /// Where it was published.
    pub source: String,
    /// Threat model in words.
    pub threat: String,
    /// Published and measured networks, best first; then those that are not ranked.
    pub places: Vec<RankedNetwork>,
}

/// A network in a ranking. Rates are in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedNetwork {
    /// From 1; `None` for a measured network that AutoAttack did not attack as those of the table.
    pub rank: Option<usize>,
    /// Name of the network.
    pub name: String,
    /// Who states the numbers.
    #[serde(flatten)]
    pub origin: Origin,
    /// Architecture.
    pub architecture: String,
    /// Radius of the ball.
    pub eps: f64,
    /// Clean accuracy.
    pub clean: f64,
    /// Robust accuracy under AutoAttack; `None` where it was not run or not to its end.
    pub autoattack: Option<f64>,
    /// Robust accuracy that it is ranked by: the lowest published, or the worst case over all attacks
    /// of the threat model that were run.
    pub robust: f64,
}

/// Who states the numbers of a place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "origin", rename_all = "lowercase")]
pub enum Origin {
    /// The source of the table.
    Published {
        /// The source doubts AutoAttack's number.
        unreliable: bool,
        /// Where the network is described.
        paper: String,
    },
    /// A run of epsball.
    Measured(Box<Measured>),
}

/// What belongs to a measured place only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Data set of the run.
    pub data: String,
    /// The robust accuracy that the network is ranked by, with its interval and the number of images.
    pub worst: Proportion,
    /// The published entry that the network is, by its run or its name.
    pub entry: Option<String>,
    /// Measured minus published clean accuracy.
    pub clean_difference: Option<f64>,
    /// Measured minus published robust accuracy under AutoAttack.
    pub autoattack_difference: Option<f64>,
}

/// A place as text, for every format: the fields under [`HEADER`].
pub(super) struct Line {
    pub(super) measured: bool,
    pub(super) fields: [String; 10],
}

/// Titles of the fields, and whether they are numbers.
pub(super) const HEADER: [(&str, bool); 10] = [
    ("#", true),
    ("model", false),
    ("numbers", false),
    ("architecture", false),
    ("eps", true),
    ("clean", true),
    ("AutoAttack", true),
    ("lowest", true),
    ("Δ clean", true),
    ("Δ AutoAttack", true),
];

impl Leaderboard {
    /// Adds [`Self::published`]: the rankings of the table `name`, or without one those of every table
    /// about a ball that a network of these runs belongs to: the run says so, or the data set is the
    /// table's by its name, and an attack of the table's norm and radius has finished.
    ///
    /// # Errors
    /// If there is no such table, or no network belongs to one.
    pub fn rank_among_published(&mut self, name: Option<&str>) -> Result<()> {
        let tables = match name {
            Some(name) => vec![published::table(name)?],
            None => published::tables()?,
        };
        let named = name.is_some();
        self.published =
            tables.iter().filter_map(|table| ranking(table, &self.boards, named)).collect();
        if !self.published.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = published::names().filter(|n| !n.ends_with("corruptions")).collect();
        Err(Error::setting(
            "published",
            match name {
                Some(name) => format!("no network was attacked to the end as those of {name}"),
                None => "no network of these runs belongs to a published table".into(),
            },
            format!(
                "say which entry a network is in the suite, published = \"TABLE/NAME\", or which table \
                 to use, --published=TABLE; tables: {}",
                names.join(", ")
            ),
        ))
    }
}

/// The table with the networks that belong to it; `None` if none does. A table that the user `named`
/// is compared with any data.
fn ranking(table: &Table, boards: &[Board], named: bool) -> Option<Ranking> {
    let Subject::Ball(norm) = table.subject else { return None };
    let mut places: Vec<RankedNetwork> = Vec::new();
    for board in boards {
        let fits = named || table.is_on(&board.data.name);
        places.extend(board.standings.iter().filter_map(|standing| {
            let stated = standing.entrant.model.published.as_deref();
            let entry = match stated.and_then(|stated| stated.split_once('/')) {
                Some((of, name)) => (of == table.name).then(|| table.entry(name).ok())?,
                None if fits => table.entry(&standing.entrant.model.name).ok(),
                None => return None,
            };
            measured(table, norm, board, standing, entry)
        }));
    }
    if places.is_empty() {
        return None;
    }
    places.extend(table.entries.iter().filter_map(|entry| {
        let unreliable = entry.unreliable == "yes";
        Some(RankedNetwork {
            rank: None,
            name: entry.name.clone(),
            origin: Origin::Published { unreliable, paper: entry.paper.clone() },
            architecture: entry.architecture.clone(),
            eps: entry.radius()?,
            clean: entry.clean / 100.0,
            autoattack: entry.autoattack.map(|percent| percent / 100.0),
            robust: entry.ranked_by() / 100.0,
        })
    }));
    // Stable: of equals the measured one stands first.
    places.sort_by(|a, b| {
        let order = a.comparable().cmp(&b.comparable()).reverse();
        order.then(b.robust.total_cmp(&a.robust)).then(b.clean.total_cmp(&a.clean))
    });
    // Equal results share a rank.
    let ranked: Vec<f64> = places.iter().filter(|p| p.comparable()).map(|p| p.robust).collect();
    for place in places.iter_mut().filter(|place| place.comparable()) {
        place.rank = Some(1 + ranked.iter().filter(|robust| **robust > place.robust).count());
    }
    let (table, source) = (table.name.into(), SOURCE.into());
    Some(Ranking { table, source, threat: norm.into(), places })
}

/// The place of a network at the radius of its entry, or the table's; `None` if no attack has finished
/// there.
fn measured(
    table: &Table,
    norm: &str,
    board: &Board,
    standing: &ModelResult,
    entry: Option<&Entry>,
) -> Option<RankedNetwork> {
    let radius = entry.and_then(Entry::radius).or_else(|| table.usual_radius())?;
    // Radii may have passed through f32.
    let same = |eps: Option<f64>| eps.is_some_and(|eps| (eps - radius).abs() <= 1e-6 * radius);
    let fits = |c: &&ThreatColumn| c.threat == norm && same(c.eps) && !c.targeted();
    let robust = standing.threat(board.threats.iter().find(fits)?)?.robust?;
    let clean = standing.clean?;
    let autoattack = standing
        .attacks()
        .filter(|a| a.attack == "autoattack" && a.threat == norm && a.finished())
        .filter(|a| !a.control && a.goal == UNTARGETED)
        .find_map(|a| a.budgets.iter().find(|budget| same(budget.eps))?.robust);
    let minus = |measured: f64, percent: f64| measured - percent / 100.0;
    let published = entry.and_then(|entry| entry.autoattack);
    Some(RankedNetwork {
        rank: None,
        name: standing.entrant.model.name.clone(),
        architecture: standing.entrant.model.architecture.clone(),
        eps: radius,
        clean: clean.rate,
        autoattack: autoattack.map(|p| p.rate),
        robust: robust.rate,
        origin: Origin::Measured(Box::new(Measured {
            data: board.title(),
            worst: robust,
            entry: entry.map(|entry| entry.name.clone()),
            clean_difference: entry.map(|entry| minus(clean.rate, entry.clean)),
            autoattack_difference: autoattack.zip(published).map(|(p, of)| minus(p.rate, of)),
        })),
    })
}

impl Ranking {
    /// Every place as text.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.places.iter().map(RankedNetwork::line).collect()
    }

    /// Only the first three places, and the measured ones with two neighbours each; `None` is a gap.
    pub(super) fn excerpt(&self) -> Vec<Option<Line>> {
        let measured: Vec<usize> =
            self.places.iter().filter(|p| p.measured().is_some()).filter_map(|p| p.rank).collect();
        let near = |rank: usize| measured.iter().any(|m| m.abs_diff(rank) <= 2);
        let mut lines = Vec::new();
        for place in &self.places {
            if place.rank.is_none_or(|rank| rank <= 3 || near(rank)) {
                lines.push(Some(place.line()));
            } else if !matches!(lines.last(), Some(None)) {
                lines.push(None);
            }
        }
        lines
    }

    /// What it is, in a line.
    pub(super) fn headline(&self) -> String {
        format!("{} among published numbers ({})", self.table, self.threat)
    }

    /// What its columns mean.
    pub(super) fn reading(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "Rows marked published are from {}; epsball did not measure them. Ranked by the lowest robust \
                 accuracy: the lowest published, or the worst case over the attacks of this threat that \
                 were run.",
                self.source
            ),
            "Δ: measured minus published, in percentage points, for networks that are in both."
                .into(),
        ];
        if self
            .places
            .iter()
            .any(|p| matches!(p.origin, Origin::Published { unreliable: true, .. }))
        {
            lines.push("?: the source doubts this number of AutoAttack.".into());
        }
        for place in &self.places {
            let Some(measured) = place.measured() else { continue };
            let entry = match &measured.entry {
                Some(entry) if *entry != place.name => format!(" is {entry},"),
                Some(_) => ",".into(),
                None => " is none of the entries,".into(),
            };
            lines.push(format!(
                "{}{entry} measured on {} images of {}: {} % robust.",
                place.name,
                measured.worst.total,
                measured.data,
                format::interval(&measured.worst, None),
            ));
            if !place.comparable() {
                lines.push(format!(
                    "{} has no rank: AutoAttack was not run on it to the end in {} at {}, as on the \
                     networks of this table, so its robust accuracy may be too high.",
                    place.name,
                    self.threat,
                    format::eps(place.eps),
                ));
            }
        }
        lines
    }
}

impl RankedNetwork {
    /// What belongs to a measured place.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.origin {
            Origin::Measured(measured) => Some(measured),
            Origin::Published { .. } => None,
        }
    }

    /// AutoAttack was run, or the table states what it is ranked by.
    fn comparable(&self) -> bool {
        self.measured().is_none() || self.autoattack.is_some()
    }

    fn line(&self) -> Line {
        let percent = |rate: f64| format!("{:.2}", 100.0 * rate);
        let points = |difference: Option<f64>| {
            // Adding zero takes the sign off what rounds to nothing.
            let rounded = |d: f64| (1e4 * d).round() / 100.0 + 0.0;
            difference.map_or(String::new(), |d| format!("{:+.2}", rounded(d)))
        };
        let measured = self.measured();
        let doubt = match self.origin {
            Origin::Published { unreliable: true, .. } => "?",
            _ => "",
        };
        Line {
            measured: measured.is_some(),
            fields: [
                self.rank.map_or("–".into(), |rank| rank.to_string()),
                self.name.clone(),
                if measured.is_some() { "measured" } else { "published" }.into(),
                self.architecture.clone(),
                format::eps(self.eps),
                percent(self.clean),
                self.autoattack.map_or("–".into(), |rate| percent(rate) + doubt),
                percent(self.robust),
                points(measured.and_then(|m| m.clean_difference)),
                points(measured.and_then(|m| m.autoattack_difference)),
            ],
        }
    }
}

#[cfg(test)]
mod tests;
