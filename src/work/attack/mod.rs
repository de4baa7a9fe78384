//! Attacks as work: an entry of a suite, the task that it becomes, the rows of its table and what lies
//! beside the table, what the rows of all attacks together say of an image, and the worst case over it.

mod adversarial;
mod attacked;
mod checks;
mod columns;
mod control;
mod curves;
mod distances;
mod entry;
mod evidence;
pub(crate) mod goal;
mod keep;
mod outcomes;
mod result;
mod row;
mod spared;
mod stored;
mod tables;
mod task;
mod worst_case;

use std::path::Path;

pub(crate) use attacked::{Attacked, counts};
pub use checks::seen_after;
pub use columns::{AttackColumn, ThreatColumn};
pub(crate) use columns::{attack_columns, threat_columns};
pub use distances::Distances;
pub use entry::AttackEntry;
pub(crate) use entry::attack_jobs;
pub(crate) use evidence::Evidence;
pub use keep::AttackedImages;
pub(crate) use keep::keep;
pub use outcomes::attack_rows;
pub use result::{AttackResult, Budget};
pub use row::AttackRow;
pub use spared::Spared;
pub use worst_case::{Beyond, Unfinished, WorstCase};
pub(crate) use worst_case::{ClassShare, Trial, worst_case};

use super::entrant::Entrant;
use super::entry::Entry;
use super::kind::{Chance, Kind, Listed, Settings};
use super::method::Method;
use super::outcome::{KindColumn, KindResult as _, Outcome};
use super::per_image::{PerImage, Value};
use super::rows::{Keyed, Rows};
use crate::attack::{self, Threats};
use crate::error::Result;
use crate::record::{Row as _, Work};
use crate::results::{Figure, Region, Sheet, format};

/// Name of the kind.
const NAME: &str = "attack";

/// Attacks as a kind of work.
#[derive(Debug)]
pub(crate) struct Attack;

impl Kind for Attack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn section(&self) -> &'static str {
        "attack"
    }

    fn methods(&self) -> Vec<Listed> {
        let threats = |threats: Threats| match threats {
            Threats::Balls(norms) => {
                norms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Threats::Patch => "patch".into(),
        };
        let listed = |entry: &attack::Entry| Listed {
            name: entry.name,
            threats: threats(entry.threats),
            about: entry.about,
            fields: &[],
        };
        let suite = Listed {
            name: "patch-suite",
            threats: "patch".into(),
            about: "the three patch attacks and their two controls",
            fields: &[],
        };
        attack::ALL.iter().map(listed).chain([suite]).collect()
    }

    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>> {
        let subject = format!("attack {}", entry.text("attack").unwrap_or_default());
        Ok(Box::new(entry.read::<AttackEntry>(&subject)?))
    }

    fn extension(&self) -> &'static str {
        "csv"
    }

    fn chance(&self) -> Chance {
        Chance::Search
    }

    fn essence(&self, work: &Work) -> Work {
        let mut work = work.clone().labelled("");
        // The words of the threat model say which mask it is, wherever its file lies.
        work.facts.remove(entry::MASK);
        if work.is("minimal") {
            work.eps.clear();
        }
        work
    }

    fn place(&self, work: &Work) -> Vec<String> {
        let budgets = if work.is("minimal") { &[][..] } else { &work.eps };
        budgets.iter().map(|eps| format::eps(*eps)).collect()
    }

    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>> {
        Keyed::<AttackRow>::read(path, key)
    }

    fn sum_up(&self, method: &Method<'_>, all: &[Method<'_>], model: usize) -> Option<Outcome> {
        let attacked = Attacked::new(method, model)?;
        let stood_for = all.iter().filter(|other| spared::stands_for(&method.work, &other.work));
        let stood_for: Vec<_> = stood_for.filter_map(|other| Attacked::new(other, model)).collect();
        Some(Outcome::new(NAME, AttackResult::of(&attacked, &stood_for, all, model)))
    }

    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        [tables::robust(entrants), distances::sheet(entrants), tables::parameters(entrants)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn figures(&self, entrants: &[&Entrant], most: usize) -> Vec<Figure> {
        curves::figures(entrants, most)
    }

    fn reading(&self, _: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        spared::reading(entrants)
    }

    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let budgets = || {
            let finished = entrant.results::<AttackResult>().filter(|attack| attack.finished());
            finished.flat_map(|attack| &attack.budgets)
        };
        let robust = budgets().map(|b| (b.title.clone(), format::share(b.robust)));
        let success = budgets().map(|b| (format!("{} success", b.title), format::share(b.success)));
        robust.chain(success).collect()
    }

    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)> {
        let all: Vec<_> = entrant.results::<AttackResult>().collect();
        vec![("attacks", serde_json::to_value(all).unwrap_or_default())]
    }

    fn per_image(&self, work: &Work, rows: &dyn Rows, _: &[f64]) -> Vec<PerImage> {
        let Some(rows) = Keyed::<AttackRow>::of(rows).filter(|_| !work.is("control")) else {
            // A control is no method.
            return Vec::new();
        };
        let at = |eps: Option<f64>| {
            let region = Region::new(&work.threat, eps);
            let robust = |row: &AttackRow| row.clean_correct() && !row.breaks(&region);
            let aimed = rows.iter().filter(|(_, row)| row.target != Some(row.label));
            let value = |row: &AttackRow| Value::yes(row.idx(), row.label, robust(row));
            PerImage {
                column: format!("robust {}", goal::title(&work.threat, eps, work.fact("goal"))),
                share: true,
                lists: false,
                values: aimed.map(|(key, row)| (key.clone(), value(row))).collect(),
            }
        };
        attacked::budgets(work).into_iter().map(at).collect()
    }
}
