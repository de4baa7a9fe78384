//! Everything that is known of one network image by image: its clean predictions, and every adversarial
//! image at hand, whoever found it in whichever run. A column asks whether one of them lies in its region.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Job;
use super::image_key::ImageKey;
use super::region::Region;
use super::table::Table;
use crate::record::{AttackRow, Work};

/// The evidence about one network on one data set.
#[derive(Debug, Default)]
pub(super) struct Evidence<'a> {
    images: BTreeMap<&'a ImageKey, Seen<'a>>,
}

/// What was seen at one image.
#[derive(Debug, Default)]
struct Seen<'a> {
    /// Smallest index that any run gives it.
    idx: Option<u64>,
    labels: BTreeSet<u32>,
    /// Clean predictions: one, unless jobs disagree.
    clean: BTreeSet<u32>,
    /// Adversarial images of attacks that are no controls.
    adversarial: Vec<&'a AttackRow>,
}

/// The classes that a targeted attack aims at, by image.
pub(super) type Targets<'a> = BTreeMap<&'a ImageKey, BTreeSet<u32>>;

impl<'a> Evidence<'a> {
    /// What `jobs` found out, which are of one network on one data set.
    pub(super) fn new(jobs: &[&'a Job]) -> Self {
        let mut all = Self::default();
        for job in jobs {
            match (&job.table, &job.work) {
                (Table::Attack(rows), Work::Attack { control, .. }) => {
                    for (key, row) in rows {
                        let seen = all.see(key, row.idx, row.label, row.clean);
                        if !control && row.adversarial() {
                            seen.adversarial.push(row);
                        }
                    }
                }
                // Bounds are of the network that was attacked; certificates are of a defended one.
                (Table::Bound(rows), _) => {
                    for (key, row) in rows {
                        all.see(key, row.idx, row.label, row.predict);
                    }
                }
                _ => {}
            }
        }
        all
    }

    fn see(&mut self, key: &'a ImageKey, idx: u64, label: u32, clean: u32) -> &mut Seen<'a> {
        let seen = self.images.entry(key).or_default();
        seen.idx = Some(seen.idx.map_or(idx, |known| known.min(idx)));
        seen.labels.insert(label);
        seen.clean.insert(clean);
        seen
    }

    /// Every job classifies the clean image correctly.
    pub(super) fn correct(&self, key: &ImageKey) -> bool {
        self.images.get(key).is_some_and(|seen| seen.clean == seen.labels && seen.clean.len() == 1)
    }

    /// The clean image is classified correctly, and no adversarial image lies in `region`; of those for
    /// which `targets` are given only the ones that are taken for a target count.
    pub(super) fn robust(
        &self,
        key: &ImageKey,
        region: &Region,
        targets: Option<&Targets<'_>>,
    ) -> bool {
        let wanted = |row: &AttackRow| match targets {
            None => true,
            Some(targets) => targets.get(key).is_some_and(|of| of.contains(&row.prediction)),
        };
        let found = self.images.get(key).into_iter().flat_map(|seen| &seen.adversarial);
        self.correct(key) && !found.into_iter().any(|row| wanted(row) && region.holds(row))
    }

    /// The images whose clean prediction is not the same in all jobs, by their indices.
    pub(super) fn disagreements(&self) -> Vec<u64> {
        let disagree = self.images.values().filter(|seen| seen.clean.len() > 1);
        let mut images: Vec<u64> = disagree.filter_map(|seen| seen.idx).collect();
        images.sort_unstable();
        images
    }

    /// The class that the network answers for every clean image, if it is one while the labels are several.
    pub(super) fn only_answer(&self) -> Option<u32> {
        let labels: BTreeSet<&u32> = self.images.values().flat_map(|seen| &seen.labels).collect();
        let answers: BTreeSet<&u32> = self.images.values().flat_map(|seen| &seen.clean).collect();
        let only = answers.first().filter(|_| answers.len() == 1 && labels.len() > 1)?;
        Some(**only)
    }

    /// Images that anything is known of.
    pub(super) fn count(&self) -> usize {
        self.images.len()
    }

    /// Those of them that are classified correctly.
    pub(super) fn count_correct(&self) -> usize {
        self.images.keys().filter(|key| self.correct(key)).count()
    }
}
