//! What can be set of an attack, for lists and manuals: the parameters that it takes, with the defaults that it would
//! have and the doc comments of its fields.

use std::collections::BTreeMap;

use super::{ALL, Entry, Threats};
use crate::error::{Error, Result};
use crate::parameters::{Parameters, parse_number};
use crate::threat::{Patch, Threat};

/// A hyper-parameter of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name in suites and on the command line.
    pub name: String,
    /// The value of a parameter that is not given: `40`, `0.25 eps`, or by norm `Linf: 40; L2: 100`.
    pub default: String,
    /// What it means, and what it can be.
    pub meaning: String,
}

/// The hyper-parameters of the attack `name`, in the order of its fields.
///
/// # Errors
/// If there is no such attack.
pub fn describe(name: &str) -> Result<Vec<Described>> {
    let known = || ALL.iter().map(|entry| entry.name);
    let entry = ALL.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
    let entry = entry.ok_or_else(|| Error::unknown("attack", name, known()))?;
    let mut defaults: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut choices = BTreeMap::new();
    let mut build = |threat: Threat| -> Result<BTreeMap<String, String>> {
        let mut parameters = Parameters::new(entry.name, &BTreeMap::new());
        (entry.build)(&mut parameters, &threat)?;
        for (field, _) in fields(entry) {
            choices.insert(field, parameters.choices(field).map(str::to_owned));
        }
        parameters.finish()
    };
    match entry.threats {
        Threats::Balls(norms) => {
            for norm in norms {
                let [half, whole] = [0.5, 1.0].map(|eps| Threat::ball(*norm, eps));
                let (half, whole) = (build(half)?, build(whole)?);
                let by_eps = whole.into_iter().map(|(name, value)| {
                    let value = by_eps(&half[&name], value);
                    (name, value)
                });
                defaults.push((norm.to_string(), by_eps.collect()));
            }
        }
        Threats::Patch => {
            let patch = Patch::rectangle(2, 2);
            defaults.push(("patch".into(), build(Threat::Patch(patch))?));
        }
    }
    let described = |(field, doc): (&str, &[&str])| {
        let of = |(norm, values): &(String, BTreeMap<String, String>)| {
            Some((norm.clone(), values.get(field)?.clone()))
        };
        let values: Vec<(String, String)> = defaults.iter().filter_map(of).collect();
        let (_, first) = values.first()?;
        let same = values.len() == defaults.len() && values.iter().all(|(_, value)| value == first);
        let default = match same {
            true => first.clone(),
            false => {
                let values = values.iter().map(|(norm, value)| format!("{norm}: {value}"));
                values.collect::<Vec<_>>().join("; ")
            }
        };
        let mut meaning = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        if let Some(Some(choices)) = choices.get(field) {
            meaning = format!("{} ({choices})", meaning.trim_end_matches('.'));
        }
        Some(Described { name: field.into(), default, meaning })
    };
    Ok(fields(entry).filter_map(described).collect())
}

fn fields(entry: &Entry) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    entry.fields.iter().copied().flatten().copied()
}

/// The default at eps 1, given the one at half of that: a share of eps if it is one.
fn by_eps(half: &str, whole: String) -> String {
    match (parse_number(half), parse_number(&whole)) {
        (Some(a), Some(b)) if a != 0.0 && (b - 2.0 * a).abs() <= 1e-6 * b.abs() => {
            format!("{} eps", (b * 1e4).round() / 1e4)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::configure;
    use super::*;

    /// A parameter that is taken and is no field, or has no meaning, would be missing from the list.
    #[test]
    fn every_parameter_of_every_attack_is_described() {
        for entry in ALL {
            let described = describe(entry.name).unwrap();
            let threats: Vec<Threat> = match entry.threats {
                Threats::Balls(norms) => norms.iter().map(|n| Threat::ball(*n, 1.0)).collect(),
                Threats::Patch => vec![Threat::Patch(Patch::rectangle(2, 2))],
            };
            let taken =
                |threat| configure(entry.name, threat, &BTreeMap::new()).unwrap().parameters;
            let taken: BTreeSet<String> =
                threats.iter().flat_map(|t| taken(t).into_keys()).collect();
            let names: BTreeSet<String> = described.iter().map(|one| one.name.clone()).collect();
            assert_eq!(names, taken, "{}", entry.name);
            for Described { name, default, meaning } in described {
                let is_plain = !meaning.contains('[') && meaning.len() > 10;
                assert!(is_plain && !default.is_empty(), "{} {name}: {meaning}", entry.name);
            }
        }
    }

    #[test]
    fn defaults_and_choices_are_told() {
        let of = |attack: &str, name: &str| {
            let all = describe(attack).unwrap();
            all.into_iter().find(|one| one.name == name).unwrap()
        };
        assert_eq!(of("pgd", "alpha").default, "Linf: 0.0333 eps; L2: 0.025 eps; L1: 0.025 eps");
        assert_eq!(of("pgd", "steps").default, "Linf: 40; L2: 100; L1: 100");
        let iterate = of("pgd", "iterate");
        assert_eq!(iterate.meaning, "Which iterates are judged (one of any, last)");
        assert_eq!(of("apgd-t", "n_target_classes").default, "Linf: 9; L2: 9; L1: 5");
        assert!(of("square", "p_init").default.contains("0.8"));
        assert!(of("pgd", "random_start").meaning.ends_with("(true or false)"));
        assert!(describe("pdg").unwrap_err().hint().unwrap().contains("`pgd`"));
    }
}
