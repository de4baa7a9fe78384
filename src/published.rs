//! Numbers that others have published, as facts to compare with: RobustBench's tables, compiled in from
//! `results/published/`. Suites name their entries, reports rank measured networks among them; nothing
//! here was measured by epsball.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::parameters::parse_number;

/// Where the tables are from.
pub const SOURCE: &str = "RobustBench, https://robustbench.github.io, commit 78fcc9e4";

/// What a table's robust accuracy is robust against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A ball in this norm, by the name that threat models have: `Linf`, `L2`.
    Ball(&'static str),
    /// Fifteen common corruptions at five severities.
    Corruptions,
}

/// One published table.
#[derive(Debug, Clone)]
pub struct Table {
    /// `cifar10-linf`.
    pub name: &'static str,
    /// Data set: `cifar10`, `cifar100`, `imagenet`.
    pub data: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// Networks, best first.
    pub entries: Vec<Entry>,
}

/// One published network. Accuracies are in percent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Identifier, unique in its table.
    pub name: String,
    /// Architecture, as the source words it.
    pub architecture: String,
    /// Radius of the ball as the source writes it: `8/255`, `0.031`; `None` for corruptions.
    #[serde(default)]
    pub eps: Option<String>,
    /// Clean accuracy.
    pub clean: f64,
    /// Robust accuracy under AutoAttack; `None` for corruptions.
    #[serde(default)]
    pub autoattack: Option<f64>,
    /// Lowest published robust accuracy; `None` for corruptions.
    #[serde(default)]
    pub best_known: Option<f64>,
    /// Mean accuracy over corruptions and severities; `None` for a ball.
    #[serde(default)]
    pub corruptions: Option<f64>,
    /// Mean corruption error relative to AlexNet, where it is stated.
    #[serde(default)]
    pub mce: Option<f64>,
    /// `yes` if it was trained with more than the training set, `no` if not, empty if not stated.
    #[serde(default)]
    pub extra_data: String,
    /// `yes` if the source doubts AutoAttack's number, `no` if not, empty if not stated.
    #[serde(default)]
    pub unreliable: String,
    /// `yes` if the source offers weights.
    pub weights: String,
    /// File names of the weights, separated by spaces.
    pub checkpoint: String,
    /// How images of ImageNet are resized and cropped; empty if not stated.
    #[serde(default)]
    pub preprocessing: String,
    /// Address of the paper.
    pub paper: String,
}

impl Entry {
    /// Radius of the ball in pixel units.
    pub fn radius(&self) -> Option<f64> {
        self.eps.as_deref().and_then(parse_number)
    }

    /// The number that the source ranks by, in percent.
    pub fn ranked_by(&self) -> f64 {
        self.best_known.or(self.corruptions).unwrap_or(0.0)
    }
}

impl Table {
    /// Published robust accuracies of a ball have this radius unless the entry says another.
    pub fn usual_radius(&self) -> Option<f64> {
        let radii: Vec<f64> = self.entries.iter().filter_map(Entry::radius).collect();
        let count = |radius: f64| radii.iter().filter(|r| **r == radius).count();
        radii.iter().copied().max_by_key(|radius| count(*radius))
    }

    /// The entry of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn entry(&self, name: &str) -> Result<&Entry> {
        let names = || self.entries.iter().map(|entry| entry.name.as_str());
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| Error::unknown("published entry", name, names()))
    }

    /// Whether a data set of this name is the table's: its first word is, as in `cifar10-test`, or the
    /// first two, as in `cifar-10`.
    pub fn is_on(&self, data: &str) -> bool {
        let words: Vec<String> = data
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(str::to_ascii_lowercase)
            .filter(|word| !word.is_empty())
            .collect();
        match words.as_slice() {
            [first, ..] if first == self.data => true,
            [first, second, ..] => format!("{first}{second}") == self.data,
            _ => false,
        }
    }
}

macro_rules! tables {
    ($($name:literal: $data:literal, $subject:expr;)*) => {
        &[$((
            $name,
            $data,
            $subject,
            include_str!(concat!("../results/published/", $name, ".csv")),
        )),*]
    };
}

const FILES: &[(&str, &str, Subject, &str)] = tables! {
    "cifar10-linf": "cifar10", Subject::Ball("Linf");
    "cifar10-l2": "cifar10", Subject::Ball("L2");
    "cifar100-linf": "cifar100", Subject::Ball("Linf");
    "imagenet-linf": "imagenet", Subject::Ball("Linf");
    "cifar10-corruptions": "cifar10", Subject::Corruptions;
    "cifar100-corruptions": "cifar100", Subject::Corruptions;
    "imagenet-corruptions": "imagenet", Subject::Corruptions;
};

/// Names of the tables.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, ..)| *name)
}

/// The table of this name.
///
/// # Errors
/// If there is none.
pub fn table(name: &str) -> Result<Table> {
    let (name, data, subject, text) = FILES
        .iter()
        .find(|(known, ..)| *known == name)
        .ok_or_else(|| Error::unknown("published table", name, names()))?;
    let entries = csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<Vec<Entry>, _>>()
        .map_err(|e| {
            let file = format!("results/published/{name}.csv");
            Error::file(file, "row", e.to_string(), "correct the table and build again")
        })?;
    Ok(Table { name, data, subject: *subject, entries })
}

/// Every table.
///
/// # Errors
/// If one of them is not what it has to be.
pub fn tables() -> Result<Vec<Table>> {
    names().map(table).collect()
}

/// The table and the entry that `TABLE/NAME` means, as a suite writes it.
///
/// # Errors
/// If there is no such table or entry.
pub fn find(reference: &str) -> Result<(Table, Entry)> {
    let Some((table_name, name)) = reference.split_once('/') else {
        return Err(Error::setting(
            "published",
            format!("`{reference}` does not say which table"),
            format!("write TABLE/NAME; tables: {}", names().collect::<Vec<_>>().join(", ")),
        ));
    };
    let table = table(table_name)?;
    let entry = table.entry(name)?.clone();
    Ok((table, entry))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_table_is_whole() {
        let sizes: Vec<_> = tables().unwrap().iter().map(|t| (t.name, t.entries.len())).collect();
        assert_eq!(
            sizes,
            [
                ("cifar10-linf", 99),
                ("cifar10-l2", 21),
                ("cifar100-linf", 38),
                ("imagenet-linf", 30),
                ("cifar10-corruptions", 23),
                ("cifar100-corruptions", 12),
                ("imagenet-corruptions", 12),
            ]
        );
        for table in tables().unwrap() {
            let names: BTreeSet<&str> = table.entries.iter().map(|e| e.name.as_str()).collect();
            assert_eq!(names.len(), table.entries.len(), "{}: a name twice", table.name);
            let ball = matches!(table.subject, Subject::Ball(_));
            for entry in &table.entries {
                let at = format!("{}/{}", table.name, entry.name);
                assert!((0.0..=100.0).contains(&entry.clean), "{at}");
                assert_eq!(entry.radius().is_some(), ball, "{at}");
                assert_eq!(entry.autoattack.is_some(), ball, "{at}");
                assert_eq!(entry.corruptions.is_some(), !ball, "{at}");
                // An external attack lowers AutoAttack's number or leaves it.
                assert!(entry.best_known <= entry.autoattack, "{at}");
                assert!(entry.ranked_by() <= entry.clean, "{at}");
                assert!(entry.paper.starts_with("http"), "{at}");
                assert!(entry.checkpoint.is_empty() || entry.weights == "yes", "{at}");
                assert!(["yes", "no", ""].contains(&entry.unreliable.as_str()), "{at}");
            }
            let ranked: Vec<f64> = table.entries.iter().map(Entry::ranked_by).collect();
            assert!(ranked.is_sorted_by(|a, b| a >= b), "{} is not sorted", table.name);
        }
    }

    /// Counts and numbers that the source's own pages show.
    #[test]
    fn known_entries() {
        let (table, entry) = find("cifar10-linf/Carmon2019Unlabeled").unwrap();
        assert_eq!((entry.clean, entry.autoattack), (89.69, Some(59.53)));
        assert_eq!(entry.radius(), Some(8.0 / 255.0));
        assert_eq!(table.usual_radius(), Some(8.0 / 255.0));
        let other: Vec<_> =
            table.entries.iter().filter(|e| e.eps.as_deref() == Some("0.031")).collect();
        assert_eq!(other.len(), 6);
        assert_eq!(table.entries.iter().filter(|e| e.weights == "yes").count(), 76);
        assert_eq!(table.entries.iter().filter(|e| e.unreliable == "yes").count(), 2);
        let (_, ensemble) = find("cifar10-linf/Chen2020Adversarial").unwrap();
        assert_eq!(ensemble.checkpoint.split(' ').count(), 3);
        let (_, alexnet) = find("imagenet-corruptions/AlexNet").unwrap();
        assert_eq!(alexnet.mce, Some(100.0));
    }

    #[test]
    fn references_that_lead_nowhere() {
        for (reference, problem) in [
            ("Carmon2019Unlabeled", "does not say which table"),
            ("cifar10/Carmon2019Unlabeled", "unknown published table `cifar10`"),
            ("cifar10-linf/Carmon2019", "unknown published entry `Carmon2019`"),
        ] {
            let error = find(reference).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn data_sets_are_known_by_their_first_words() {
        let table = table("cifar10-linf").unwrap();
        for (name, is) in [
            ("cifar10", true),
            ("CIFAR-10 test", true),
            ("cifar10-first-1000", true),
            ("cifar100", false),
            ("test_batch", false),
            ("", false),
        ] {
            assert_eq!(table.is_on(name), is, "{name}");
        }
    }
}
