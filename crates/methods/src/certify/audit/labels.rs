//! The labels of a table are those of the data set that it is said to be about.

use std::collections::{BTreeMap, BTreeSet};

use super::subject::Subject;
use super::{Check, Seen, some};
use crate::data::Dataset;
use crate::error::Result;

pub(super) const CHECK: Check =
    Check { name: "labels", about: "labels are those of the data set", run: check };

/// Images that are read at a time.
const BATCH: usize = 256;

/// True classes by image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    pub(super) name: String,
    pub(super) labels: BTreeMap<u64, u32>,
    pub(super) classes: Option<usize>,
    /// The largest index of the data set.
    pub(super) last: Option<u64>,
}

impl Labels {
    /// The labels of `images` in `data`; those that it does not have are left out.
    ///
    /// # Errors
    /// If the data set cannot be read.
    pub fn of(data: &dyn Dataset, images: impl Iterator<Item = u64>) -> Result<Self> {
        let (info, wanted) = (data.info(), images.collect::<BTreeSet<u64>>());
        let ids: Vec<u64> = (0..info.len).map(|index| data.id(index)).collect();
        let indices: Vec<usize> = (0..info.len).filter(|i| wanted.contains(&ids[*i])).collect();
        let mut labels = BTreeMap::new();
        for part in indices.chunks(BATCH) {
            let batch = data.read(part)?;
            labels.extend(batch.ids.iter().copied().zip(batch.labels));
        }
        let last = ids.into_iter().max();
        Ok(Self { name: info.name.clone(), labels, classes: info.classes, last })
    }
}

fn check(subject: &Subject) -> Vec<Seen> {
    let Some(labels) = &subject.labels else { return vec![] };
    let mut seen = Vec::new();
    let rows = || subject.table.rows.iter();
    let absent: Vec<u64> =
        rows().map(|row| row.idx).filter(|idx| !labels.labels.contains_key(idx)).collect();
    if !absent.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} of {} images are not in {} ({})",
            absent.len(),
            subject.table.rows.len(),
            labels.name,
            some(&absent)
        )));
    }
    let other = |row: &&super::table::AuditRow| {
        labels.labels.get(&row.idx).is_some_and(|label| *label != row.label)
    };
    let wrong: Vec<u64> = rows().filter(other).map(|row| row.idx).collect();
    if let Some(first) = rows().find(other) {
        seen.push(Seen::contradiction(format!(
            "{} of {} labels are not those of {}: image {} is {} there and {} here ({})",
            wrong.len(),
            subject.table.rows.len(),
            labels.name,
            first.idx,
            labels.labels[&first.idx],
            first.label,
            some(&wrong)
        )));
    }
    if let Some(classes) = labels.classes {
        let beyond: Vec<u64> =
            rows().filter(|row| row.predict >= classes as i64).map(|row| row.idx).collect();
        if !beyond.is_empty() {
            seen.push(Seen::contradiction(format!(
                "{} predictions are of none of the {classes} classes of {} ({})",
                beyond.len(),
                labels.name,
                some(&beyond)
            )));
        }
    }
    seen
}
