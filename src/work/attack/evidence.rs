//! Everything that is known of one network image by image: its clean predictions, and every adversarial
//! image at hand, whoever found it in whichever run. A column asks whether one of them lies in its region.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Adversarial, Seen};
use crate::results::{ImageKey, Region};
use crate::work::job::Job;

/// The evidence about one network on one data set.
#[derive(Debug, Default)]
pub(crate) struct Evidence<'a> {
    images: BTreeMap<&'a ImageKey, Known<'a>>,
}

/// What is known of one image.
#[derive(Debug, Default)]
struct Known<'a> {
    /// Smallest index that any run gives it.
    idx: Option<u64>,
    labels: BTreeSet<u32>,
    /// Clean predictions: one, unless jobs disagree.
    clean: BTreeSet<u32>,
    /// Adversarial images of attacks that are no controls, and the threat models of these.
    adversarial: Vec<(Adversarial, &'a str)>,
}

/// The classes that a targeted attack aims at, by image.
pub(crate) type Targets<'a> = BTreeMap<&'a ImageKey, BTreeSet<u32>>;

impl<'a> Evidence<'a> {
    /// What `jobs` found out, which are of one network on one data set.
    pub(crate) fn new(jobs: &[&'a Job]) -> Self {
        let mut all = Self::default();
        for job in jobs {
            let control = job.work.is("control");
            for (key, idx, label, Seen { clean, adversarial }) in job.rows.seen() {
                let known = all.images.entry(key).or_default();
                known.idx = Some(known.idx.map_or(idx, |other| other.min(idx)));
                known.labels.insert(label);
                known.clean.insert(clean);
                let found = adversarial.filter(|_| !control);
                known.adversarial.extend(found.map(|found| (found, job.work.threat.as_str())));
            }
        }
        all
    }

    /// Every job classifies the clean image correctly.
    pub(crate) fn correct(&self, key: &ImageKey) -> bool {
        self.images.get(key).is_some_and(|seen| seen.clean == seen.labels && seen.clean.len() == 1)
    }

    /// The label of the image, if all jobs agree on it.
    pub(crate) fn label(&self, key: &ImageKey) -> Option<u32> {
        let labels = &self.images.get(key)?.labels;
        labels.first().copied().filter(|_| labels.len() == 1)
    }

    /// The clean image is classified correctly, and no adversarial image lies in `region`; of those for
    /// which `targets` are given only the ones that are taken for a target count.
    pub(crate) fn robust(
        &self,
        key: &ImageKey,
        region: &Region,
        targets: Option<&Targets<'_>>,
    ) -> bool {
        let wanted = |found: &Adversarial| match targets {
            None => true,
            Some(targets) => targets.get(key).is_some_and(|of| of.contains(&found.prediction)),
        };
        let found = self.images.get(key).into_iter().flat_map(|seen| &seen.adversarial);
        let holds =
            |(one, under): &(Adversarial, &str)| wanted(one) && region.holds(&one.change, under);
        self.correct(key) && !found.into_iter().any(holds)
    }

    /// The images whose clean prediction is not the same in all jobs, by their indices.
    pub(crate) fn disagreements(&self) -> Vec<u64> {
        let disagree = self.images.values().filter(|seen| seen.clean.len() > 1);
        let mut images: Vec<u64> = disagree.filter_map(|seen| seen.idx).collect();
        images.sort_unstable();
        images
    }

    /// The class that the network answers for every clean image, if it is one while the labels are several.
    pub(crate) fn only_answer(&self) -> Option<u32> {
        let labels: BTreeSet<&u32> = self.images.values().flat_map(|seen| &seen.labels).collect();
        let answers: BTreeSet<&u32> = self.images.values().flat_map(|seen| &seen.clean).collect();
        let only = answers.first().filter(|_| answers.len() == 1 && labels.len() > 1)?;
        Some(**only)
    }

    /// Images that anything is known of.
    pub(crate) fn count(&self) -> usize {
        self.images.len()
    }

    /// Those of them that are classified correctly.
    pub(crate) fn count_correct(&self) -> usize {
        self.images.keys().filter(|key| self.correct(key)).count()
    }
}
