//! What the broken images of an attack are taken for, class by class.

use std::collections::BTreeSet;

use crate::results::Region;
use crate::work::AttackRow;

/// The most classes of a table: a larger one cannot be read.
const MOST: usize = 20;

/// Counts of broken images by true class and by the class that the network sees in the adversarial image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// The classes, ascending: of the rows, and of the first columns.
    pub classes: Vec<u32>,
    /// Per true class how many of its broken images are taken for each of the classes.
    pub counts: Vec<Vec<usize>>,
    /// Per true class its images that were classified correctly.
    pub attacked: Vec<usize>,
}

impl Confusion {
    /// Of the images with an adversarial image in `region`; `None` if there are none, or too many classes.
    pub(super) fn of(region: &Region, rows: &[AttackRow]) -> Option<Self> {
        let correct = || rows.iter().filter(|row| row.clean_correct());
        let broken: Vec<&AttackRow> = correct().filter(|row| row.breaks(region)).collect();
        let seen = broken.iter().map(|row| row.prediction);
        let classes: BTreeSet<u32> = correct().map(|row| row.label).chain(seen).collect();
        if broken.is_empty() || classes.len() > MOST {
            return None;
        }
        let classes: Vec<u32> = classes.into_iter().collect();
        let count = |label: u32, class: u32| {
            broken.iter().filter(|row| row.label == label && row.prediction == class).count()
        };
        let counts = classes.iter().map(|l| classes.iter().map(|c| count(*l, *c)).collect());
        let attacked = classes.iter().map(|l| correct().filter(|row| row.label == *l).count());
        Some(Self { counts: counts.collect(), attacked: attacked.collect(), classes })
    }

    /// Class, images, broken images, and what they are taken for; an empty text for 0.
    pub(super) fn lines(&self) -> Vec<(u32, usize, usize, Vec<String>)> {
        let text = |count: &usize| if *count == 0 { String::new() } else { count.to_string() };
        let line = |(at, label): (usize, &u32)| {
            let counts = &self.counts[at];
            let broken = counts.iter().sum();
            (*label, self.attacked[at], broken, counts.iter().map(text).collect())
        };
        self.classes.iter().enumerate().map(line).collect()
    }
}
