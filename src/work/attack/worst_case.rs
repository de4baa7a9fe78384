//! The worst case over several attacks, image by image: an image is robust if no adversarial image at hand
//! lies inside the threat model. A single attack's robust accuracy is an upper bound; the worst case is the
//! tightest bound that the evidence gives, and what a board is ranked by.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attacked::Attacked;
use super::evidence::{Evidence, Targets};
use crate::results::{Cell, ImageKey, ImageSet, Images, Marks, Proportion, Region, common, union};

/// Robust accuracy under several attacks at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstCase {
    /// Columns of the attacks that have finished.
    pub attacks: Vec<String>,
    /// Columns that other models of the board have and this model lacks. If there are any, the worst
    /// case is not comparable with theirs and may be too high.
    pub missing: Vec<String>,
    /// Attacks that have not finished. What they have found counts; what they have not yet looked at may
    /// make the worst case too high.
    pub unfinished: Vec<Unfinished>,
    /// Images that are robust against all evidence, of those that every finished attack covers; `None` if
    /// there are none.
    pub robust: Option<Proportion>,
    /// These images.
    pub images: Option<ImageSet>,
    /// These images and those left out: what every finished attack covers.
    #[serde(skip)]
    pub covered: Option<ImageSet>,
    /// Images of the finished attacks that are not among them, because their label is the target.
    pub left_out: usize,
    /// Its images class by class, in the order of the labels.
    #[serde(skip)]
    pub(crate) classes: Vec<ClassShare>,
    /// What the finished attacks say of the images that only some of them cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
}

/// The images of one class in a worst case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClassShare {
    /// The class.
    pub(crate) label: u32,
    /// Images of the class that are classified correctly.
    pub(crate) clean: Proportion,
    /// Images of the class that are robust against all evidence.
    pub(crate) robust: Proportion,
}

/// An attack that is still running, or was stopped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unfinished {
    /// Its column.
    pub title: String,
    /// Images done.
    pub done: usize,
    /// Images of the job.
    pub images: usize,
}

/// A bound over more images than the worst case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beyond {
    /// The attacks that cover more images.
    pub attacks: Vec<String>,
    /// Images that are robust against all evidence, of those that any finished attack covers: an upper
    /// bound, as not all attacks have looked at them.
    pub robust: Proportion,
}

impl WorstCase {
    /// Finished, and over every attack of the board: comparable with other models on the same images.
    pub fn comparable(&self) -> bool {
        self.finished() && self.missing.is_empty() && self.robust.is_some()
    }

    /// Every attack has finished.
    pub fn finished(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// Its field, `elsewhere` if it is not over the images of its row.
    pub(crate) fn cell(&self, elsewhere: bool) -> Cell {
        let incomplete = !self.missing.is_empty() || !self.finished();
        let least = self.unfinished.iter().min_by_key(|attack| attack.done);
        match (self.robust, least) {
            (Some(share), _) => Cell::Value(share, Marks { incomplete, elsewhere }),
            (None, Some(attack)) => Cell::Unfinished(attack.done, attack.images),
            (None, None) => Cell::Absent,
        }
    }
}

/// An attack in a worst case, under the title of its column.
pub(crate) type Trial<'a, 'b> = (String, &'b Attacked<'a>);

/// Worst case over `trials`, where an adversarial image counts in any of `regions`; `None` without trials.
pub(crate) fn worst_case(
    evidence: &Evidence<'_>,
    trials: &[Trial<'_, '_>],
    regions: &[Region],
    missing: Vec<String>,
) -> Option<WorstCase> {
    trials.first()?;
    let targets = targets(trials);
    let finished = || trials.iter().filter(|(_, attack)| attack.pool.finished());
    let left_out = union(finished().map(|(_, a)| a.left_out()).collect::<Vec<_>>().iter());
    let common = common(finished().map(|(_, attack)| attack.covered()));
    let all = union(finished().map(|(_, attack)| attack.covered()));
    let aimed = |images: &Images<'_>| images.difference(&left_out).count();
    let robust = |key: &ImageKey| {
        regions.iter().all(|region| evidence.robust(key, region, targets.as_ref()))
    };
    let share =
        |images: &Images<'_>| Proportion::of(images.difference(&left_out).map(|key| robust(key)));
    let more = |(_, attack): &&Trial<'_, '_>| attack.covered().len() > common.len();
    let unfinished = trials.iter().filter(|(_, attack)| !attack.pool.finished());
    let beyond = (aimed(&all) > aimed(&common)).then(|| {
        let attacks = finished().filter(more).map(|(title, _)| title.clone()).collect();
        Some(Beyond { attacks, robust: share(&all)? })
    });
    Some(WorstCase {
        attacks: finished().map(|(title, _)| title.clone()).collect(),
        missing,
        unfinished: unfinished
            .map(|(title, attack)| {
                let (done, images) = attack.pool.progress;
                Unfinished { title: title.clone(), done, images }
            })
            .collect(),
        robust: share(&common),
        images: ImageSet::of(&common.difference(&left_out).copied().collect()),
        covered: ImageSet::of(&common),
        left_out: common.intersection(&left_out).count(),
        classes: classes(common.difference(&left_out).copied(), evidence, robust),
        beyond: beyond.flatten(),
    })
}

/// The shares of each class among `images`.
fn classes<'a>(
    images: impl Iterator<Item = &'a ImageKey>,
    evidence: &Evidence<'_>,
    robust: impl Fn(&ImageKey) -> bool,
) -> Vec<ClassShare> {
    let mut all: BTreeMap<u32, Vec<(bool, bool)>> = BTreeMap::new();
    for key in images {
        if let Some(label) = evidence.label(key) {
            all.entry(label).or_default().push((evidence.correct(key), robust(key)));
        }
    }
    let share = |(label, images): (u32, Vec<(bool, bool)>)| {
        Some(ClassShare {
            label,
            clean: Proportion::of(images.iter().map(|(clean, _)| *clean))?,
            robust: Proportion::of(images.iter().map(|(_, robust)| *robust))?,
        })
    };
    all.into_iter().filter_map(share).collect()
}

/// The classes that the attacks aim at; `None` if they are untargeted.
fn targets<'a>(trials: &[Trial<'a, '_>]) -> Option<Targets<'a>> {
    let all = trials.iter().filter_map(|(_, attack)| attack.targets());
    all.reduce(|mut all, more| {
        for (key, classes) in more {
            all.entry(key).or_default().extend(classes);
        }
        all
    })
}
