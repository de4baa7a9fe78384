//! Measured networks among published ones: a ranking for each published table that a measured network
//! belongs to, and what was measured minus what was published for networks that are in both. Published
//! rows say everywhere that they are.

use serde::Serialize;

use super::format;
use super::leaderboard::{Board, Leaderboard};
use super::proportion::Proportion;
use super::standing::Standing;
use crate::error::{Error, Result};
use crate::published::{self, Entry, SOURCE, Subject, Table};

/// A published table with the measured networks in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Name of the table: `cifar10-linf`.
    pub table: String,
    /// Where it was published.
    pub source: String,
    /// Threat model in words.
    pub threat: String,
    /// Published and measured networks, best first.
    pub places: Vec<Place>,
}

/// A network in a ranking. Rates are in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// From 1.
    pub rank: usize,
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
    /// What it is ranked by, with its interval and over how many images.
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
    let mut places: Vec<Place> = Vec::new();
    for board in boards {
        let fits = named || table.is_on(&board.data.name);
        places.extend(board.standings.iter().filter_map(|standing| {
            let stated = standing.model.published.as_deref();
            let entry = match stated.and_then(|stated| stated.split_once('/')) {
                Some((of, name)) => (of == table.name).then(|| table.entry(name).ok())?,
                None if fits => table.entry(&standing.model.name).ok(),
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
        Some(Place {
            rank: 0,
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
    places.sort_by(|a, b| b.robust.total_cmp(&a.robust).then(b.clean.total_cmp(&a.clean)));
    (1..).zip(&mut places).for_each(|(rank, place)| place.rank = rank);
    let (table, source) = (table.name.into(), SOURCE.into());
    Some(Ranking { table, source, threat: norm.into(), places })
}

/// The place of a network at the radius of its entry, or the table's; `None` if no attack has finished
/// there.
fn measured(
    table: &Table,
    norm: &str,
    board: &Board,
    standing: &Standing,
    entry: Option<&Entry>,
) -> Option<Place> {
    let radius = entry.and_then(Entry::radius).or_else(|| table.usual_radius())?;
    // Radii may have passed through f32.
    let same = |eps: Option<f64>| eps.is_some_and(|eps| (eps - radius).abs() <= 1e-6 * radius);
    let column = board.threats.iter().find(|c| c.threat == norm && same(c.eps))?;
    let robust = standing.threat(column).filter(|worst| worst.finished)?.robust?;
    let clean = standing.clean?;
    let autoattack = standing
        .attacks
        .iter()
        .filter(|a| a.attack == "autoattack" && a.threat == norm && a.finished())
        .find_map(|a| a.budgets.iter().find(|budget| same(budget.eps))?.robust);
    let minus = |measured: f64, percent: f64| measured - percent / 100.0;
    let published = entry.and_then(|entry| entry.autoattack);
    Some(Place {
        rank: 0,
        name: standing.model.name.clone(),
        architecture: standing.model.architecture.clone(),
        eps: radius,
        clean: clean.rate,
        autoattack: autoattack.map(|p| p.rate),
        robust: robust.rate,
        origin: Origin::Measured(Box::new(Measured {
            data: board.data.name.clone(),
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
        self.places.iter().map(Place::line).collect()
    }

    /// Only the first three places, and the measured ones with two neighbours each; `None` is a gap.
    pub(super) fn excerpt(&self) -> Vec<Option<Line>> {
        let measured: Vec<usize> =
            self.places.iter().filter(|p| p.measured().is_some()).map(|p| p.rank).collect();
        let near = |rank: usize| measured.iter().any(|m| m.abs_diff(rank) <= 2);
        let mut lines = Vec::new();
        for place in &self.places {
            if place.rank <= 3 || near(place.rank) {
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
                format::interval(&measured.worst),
            ));
        }
        lines
    }
}

impl Place {
    /// What belongs to a measured place.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.origin {
            Origin::Measured(measured) => Some(measured),
            Origin::Published { .. } => None,
        }
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
                self.rank.to_string(),
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
mod tests {
    use super::*;
    use crate::record::AttackRow;
    use crate::report::fixture::{Fixture, attack, attack_row};
    use crate::report::{Csv, Exporter, Html, Markdown, Terminal};

    fn rows(correct: usize, robust: usize) -> Vec<AttackRow> {
        (0..100).map(|i| attack_row(i as u64, i < correct, (i >= robust).then_some(0.02))).collect()
    }

    /// Three networks on a hundred images: one that its run calls an entry, one that is an entry by its
    /// name and was attacked at 0.031, one that is none.
    fn board() -> Leaderboard {
        let eps = 8.0 / 255.0;
        let run = Fixture::new("suite", 100)
            .model("ours", "aa", "")
            .model("Huang2020Self", "bb", "")
            .model("new", "cc", "")
            .attack("ours", attack("autoattack-linf", "Linf", &[eps]), &rows(90, 60))
            .attack("ours", attack("pgd-linf", "Linf", &[eps]), &rows(90, 59))
            .attack("Huang2020Self", attack("autoattack-linf", "Linf", &[0.031]), &rows(83, 53))
            .attack("new", attack("pgd-linf", "Linf", &[eps]), &rows(99, 80))
            .change(|record| {
                record.data[0].name = "cifar10-first-100".into();
                record.models[0].published = Some("cifar10-linf/Carmon2019Unlabeled".into());
                record.jobs.iter_mut().for_each(|job| job.data = "cifar10-first-100".into());
            });
        let folder = tempfile::tempdir().unwrap();
        run.write(folder.path());
        Leaderboard::from_runs(&[folder.path().into()]).unwrap()
    }

    fn place<'a>(ranking: &'a Ranking, name: &str) -> &'a Place {
        ranking.places.iter().find(|p| p.name == name && p.measured().is_some()).unwrap()
    }

    #[test]
    fn measured_networks_stand_among_the_published() {
        let mut board = board();
        board.rank_among_published(None).unwrap();
        let [ranking] = &board.published[..] else { panic!("{:?}", board.published) };
        assert_eq!((ranking.table.as_str(), ranking.places.len()), ("cifar10-linf", 102));
        let new = place(ranking, "new");
        assert_eq!((new.rank, new.autoattack, new.robust), (1, None, 0.8));
        assert_eq!(new.measured().unwrap().entry, None);

        let ours = place(ranking, "ours");
        assert_eq!((ours.clean, ours.autoattack, ours.robust), (0.9, Some(0.6), 0.59));
        let measured = ours.measured().unwrap();
        assert_eq!(measured.entry.as_deref(), Some("Carmon2019Unlabeled"));
        assert!((measured.clean_difference.unwrap() - 0.0031).abs() < 1e-12);
        assert!((measured.autoattack_difference.unwrap() - 0.0047).abs() < 1e-12);
        // 36 published entries have at least 59.53 %, and `new` stands before them.
        assert_eq!(ours.rank, 38);

        let named = place(ranking, "Huang2020Self");
        assert_eq!(named.eps, 0.031);
        assert!((named.measured().unwrap().autoattack_difference.unwrap() + 0.0034).abs() < 1e-12);
        let ranks: Vec<usize> = ranking.places.iter().map(|p| p.rank).collect();
        assert_eq!(ranks, (1..=102).collect::<Vec<_>>());
        assert!(ranking.places.is_sorted_by(|a, b| a.robust >= b.robust));
    }

    #[test]
    fn only_tables_that_fit() {
        let mut board = board();
        let error = board.rank_among_published(Some("cifar10-l2")).unwrap_err().to_string();
        assert!(error.contains("as those of cifar10-l2"), "{error}");
        assert!(board.rank_among_published(Some("cifar10")).is_err());
        // Another table of the same norm has another radius or other entries only if the user asks.
        board.rank_among_published(Some("cifar100-linf")).unwrap();
        assert!(board.published[0].places.iter().all(|p| p.name != "ours"));
        for standing in &mut board.boards[0].standings {
            standing.model.published = None;
        }
        board.boards[0].data.name = "street-signs".into();
        let error = board.rank_among_published(None).unwrap_err();
        assert!(error.to_string().contains("belongs to a published table"), "{error}");
        assert!(error.hint().unwrap().contains("--published=TABLE"));
    }

    #[test]
    fn every_format_marks_what_it_did_not_measure() {
        let mut board = board();
        let before = Csv.export(&board).unwrap();
        assert!(!before.contains("published"));
        board.rank_among_published(None).unwrap();
        let csv = Csv.export(&board).unwrap();
        assert!(csv.starts_with(before.lines().next().unwrap()), "{csv}");
        let count = |text: &str, word: &str| text.matches(word).count();
        assert_eq!(count(&csv, ",published,"), 99);
        assert_eq!(count(&csv, ",measured,"), 3);
        let markdown = Markdown.export(&board).unwrap();
        assert_eq!(count(&markdown, "| published "), 99);
        assert!(markdown.contains("**ours**"), "{markdown}");
        let html = Html.export(&board).unwrap();
        assert_eq!(count(&html, "<td>published</td>"), 99);
        let text = Terminal { width: 100, colour: false }.export(&board).unwrap();
        let text = &text[text.find("cifar10-linf among").unwrap()..];
        insta::assert_snapshot!(text, @r"
        cifar10-linf among published numbers (Linf)
        ──────────────────────────────────────────────────────────────────────────────────────────────────
          #  model                         numbers      eps  clean  AutoAttack  lowest      Δ           Δ
                                                                                        clean  AutoAttack
        ──────────────────────────────────────────────────────────────────────────────────────────────────
          1  new                           measured   8/255  99.00           –   80.00
          2  Bartoldson2024Adversarial_W…  published  8/255  93.68       73.71   73.71
          3  Amini2024MeanSparse_S-WRN-9…  published  8/255  93.60       75.28   73.10
          …  …                             …              …      …           …       …      …           …
         36  Zhang2020Geometry             published  8/255  89.36       59.64   59.64
         37  Carmon2019Unlabeled           published  8/255  89.69       59.53   59.53
         38  ours                          measured   8/255  90.00       60.00   59.00  +0.31       +0.47
         39  Gowal2021Improving_R18_ddpm…  published  8/255  87.35       58.63   58.50
         40  Chen2024Data_WRN_34_20        published  8/255  86.10       58.09   58.09
          …  …                             …              …      …           …       …      …           …
         68  Huang2020Self                 published  0.031  83.48       53.34   53.34
         69  Zhang2019Theoretically        published  0.031  84.92       53.08   53.08
         70  Huang2020Self                 measured   0.031  83.00       53.00   53.00  -0.48       -0.34
         71  Cui2020Learnable_34_10        published  0.031  88.22       52.86   52.86
         72  Qin2019Adversarial            published  8/255  86.28       52.84   52.84
          …  …                             …              …      …           …       …      …           …
        ──────────────────────────────────────────────────────────────────────────────────────────────────
        Rows marked published are from RobustBench, https://robustbench.github.io, commit 78fcc9e4; epsball
        did not measure them. Ranked by the lowest robust accuracy: the lowest published, or the worst case
        over the attacks of this threat that were run.
        Δ: measured minus published, in percentage points, for networks that are in both.
        ?: the source doubts this number of AutoAttack.
        new is none of the entries, measured on 100 images of cifar10-first-100: 71.1–86.7 % robust.
        ours is Carmon2019Unlabeled, measured on 100 images of cifar10-first-100: 49.2–68.1 % robust.
        Huang2020Self, measured on 100 images of cifar10-first-100: 43.3–62.5 % robust.
        ");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
