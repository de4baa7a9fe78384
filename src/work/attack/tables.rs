//! The tables of attacks in a report: what each left of every network, and every number that it was run
//! with.

use super::result::{AttackResult, Budget};
use super::{distances, goal};
use crate::results::format;
use crate::results::{Cell, Field, Head, Line, Sheet, mark_best};
use crate::work::entrant::Entrant;
use crate::work::outcome::{KindResult as _, Outcome};

/// The results of all networks, in the order of the methods.
fn results<'a>(entrants: &[&'a Entrant]) -> Vec<&'a AttackResult> {
    let all = entrants.iter().flat_map(|entrant| &entrant.outcomes);
    let mut all: Vec<(usize, &AttackResult)> =
        all.filter_map(|o: &Outcome| Some((o.order, o.as_result()?))).collect();
    all.sort_by_key(|(order, _)| *order);
    all.into_iter().map(|(_, result)| result).collect()
}

/// A row per attack and budget, a column per network; then the distances of minimal attacks.
pub(super) fn robust(entrants: &[&Entrant]) -> Option<Sheet> {
    let mut lines: Vec<Line> = Vec::new();
    let mut known: Vec<(&str, String)> = Vec::new();
    let all = results(entrants);
    for (attack, budget) in all.iter().flat_map(|a| a.budgets.iter().map(move |b| (*a, b))) {
        let aim = goal::title(&attack.threat, budget.eps, &attack.goal);
        let same = (&*budget.title, aim.clone());
        if known.contains(&same) {
            continue;
        }
        known.push(same);
        let field = |entrant: &&Entrant| {
            let here = |a: &&AttackResult| a.threat == attack.threat && a.goal == attack.goal;
            let found = entrant
                .results::<AttackResult>()
                .filter(here)
                .find_map(|a| Some((a, a.budgets.iter().find(|b| b.title == budget.title)?)));
            found.map_or(Cell::Absent.into(), |(attack, budget)| {
                share(attack, budget).of_job(&entrant.model.name, &attack.label)
            })
        };
        let mut fields: Vec<Field> = entrants.iter().map(field).collect();
        if !attack.control {
            mark_best(&mut fields.iter_mut().collect::<Vec<_>>());
        }
        let control = if attack.control { ", control" } else { "" };
        let head = [Field::text(&*budget.title), Field::text(format!("{aim}{control}"))];
        lines.push(Line {
            fields: head.into_iter().chain(fields).collect(),
            control: attack.control,
        });
    }
    lines.extend(distances(&all, entrants));
    let mut columns = vec![Head::text("attack"), Head::text("threat")];
    columns.extend(entrants.iter().map(|entrant| Head::number(&*entrant.model.name)));
    (!lines.is_empty()).then(|| Sheet {
        title: "Robust accuracy by attack".into(),
        columns,
        lines,
        note:
            "Large: robust accuracy, of all images. Small: attack success rate, of the correctly \
               classified images."
                .into(),
        short_note: "In brackets: attack success rate, of the correctly classified images.".into(),
        unit: " broken",
        ..Sheet::default()
    })
}

/// Robust accuracy with the success rate as its note.
fn share(attack: &AttackResult, budget: &Budget) -> Field {
    let cell = Cell::of(budget.robust, attack.done, attack.images);
    let success = budget.success.filter(|_| attack.finished());
    Field::from(cell).noted(success.map_or(String::new(), |p| format::percent(&p)))
}

/// A row for each attack that minimises the distance: its median.
fn distances(all: &[&AttackResult], entrants: &[&Entrant]) -> Vec<Line> {
    let mut known: Vec<(&str, &str)> = Vec::new();
    let mut lines = Vec::new();
    for attack in all.iter().filter(|attack| attack.minimal) {
        let same = (&*attack.label, &*attack.threat);
        if known.contains(&same) {
            continue;
        }
        known.push(same);
        let field = |entrant: &&Entrant| {
            let of = |a: &&AttackResult| a.label == attack.label && a.threat == attack.threat;
            Field::text(match entrant.results::<AttackResult>().find(of) {
                None => "–".into(),
                Some(a) if !a.finished() => format!("{}/{}", a.done, a.images),
                Some(a) => {
                    a.median_distance.map_or("∞".into(), |d| distances::text(&a.threat, d))
                }
            })
        };
        let about = format!("median {} distance", attack.threat);
        let head = [Field::text(&*attack.label), Field::text(about)];
        let fields = head.into_iter().chain(entrants.iter().map(field)).collect();
        lines.push(Line { fields, control: attack.control });
    }
    lines
}

/// Every hyper-parameter of the attacks, equal ones of several networks together.
pub(super) fn parameters(entrants: &[&Entrant]) -> Option<Sheet> {
    let mut all: Vec<(Vec<Field>, Vec<&str>)> = Vec::new();
    for entrant in entrants {
        for attack in entrant.results::<AttackResult>() {
            let budgets: Vec<String> =
                attack.budgets.iter().filter_map(|b| b.eps).map(format::eps).collect();
            let about = match (attack.control, attack.minimal) {
                (true, _) => "control".into(),
                (false, true) => format!("minimal distance{}", goal::words(&attack.goal)),
                (false, false) => format!("fixed budget{}", goal::words(&attack.goal)),
            };
            let fields = vec![
                Field::text(&*attack.label),
                Field::text(&*attack.attack),
                Field::text(&*attack.threat),
                Field::text(budgets.join(", ")),
                Field::text(about),
                Field {
                    pairs: attack.parameters.clone().into_iter().collect(),
                    ..Field::default()
                },
            ];
            match all.iter_mut().find(|(known, _)| *known == fields) {
                Some((_, models)) => models.push(&entrant.model.name),
                None => all.push((fields, vec![&*entrant.model.name])),
            }
        }
    }
    let line = |(mut fields, models): (Vec<Field>, Vec<&str>)| {
        if models.len() != entrants.len() {
            fields[0].about = models.join(", ");
        }
        Line::of(fields)
    };
    let titles = ["label", "attack", "threat", "eps", "kind", "parameters"];
    (!all.is_empty()).then(|| Sheet {
        title: "Hyper-parameters".into(),
        below: true,
        page_only: true,
        columns: titles.map(Head::text).into(),
        lines: all.into_iter().map(line).collect(),
        ..Sheet::default()
    })
}
