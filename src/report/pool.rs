//! The rows of several jobs that did the same to one network. An image is covered if a finished job
//! covered it; rows of unfinished jobs are kept beside.

use std::collections::BTreeMap;

use super::coverage::{ImageSet, Images};
use super::gather::Job;
use super::image_key::{ImageKey, Rows};
use super::table::Table;
use crate::record::{AttackRow, BoundRow, CertificateRow, PatchRow};

/// Rows by image.
#[derive(Debug)]
pub(super) struct Pool<'a, R> {
    /// In an order that does not depend on that of the jobs.
    pub(super) rows: BTreeMap<&'a ImageKey, Vec<&'a R>>,
    /// The images that numbers are over: those of the finished jobs, or of all if none has finished.
    pub(super) covered: Images<'a>,
    /// Images done, and images of the job: the covered ones if a job has finished, otherwise of the job
    /// that is furthest.
    pub(super) progress: (usize, usize),
}

/// A row whose claims can be compared.
pub(super) trait Claim: std::fmt::Debug {
    /// Both say the same; how long it took does not count.
    fn same(&self, other: &Self) -> bool;

    /// How much the row proves, correct predictions first; 0 for attacks.
    fn strength(&self) -> (u8, f64);
}

impl<'a, R: Claim> Pool<'a, R> {
    /// The rows of these jobs.
    fn new(jobs: &[(&'a Job, &'a Rows<R>)]) -> Self {
        let mut all: BTreeMap<&ImageKey, Vec<(&str, &R)>> = BTreeMap::new();
        for (job, rows) in jobs {
            for (key, row) in *rows {
                all.entry(key).or_default().push((&job.key, row));
            }
        }
        for rows in all.values_mut().filter(|rows| rows.len() > 1) {
            rows.sort_by_cached_key(|(key, row)| (key.to_string(), format!("{row:?}")));
            rows.dedup_by(|(key, row), (other, first)| key == other && row.same(first));
        }
        let finished = || jobs.iter().filter(|(job, _)| job.finished());
        let furthest = jobs.iter().map(|(job, rows)| (rows.len(), job.images)).max();
        let (covered, progress): (Images<'_>, _) = match finished().next() {
            Some(_) => {
                let covered: Images<'_> = finished().flat_map(|(_, rows)| rows.keys()).collect();
                let count = covered.len();
                (covered, (count, count))
            }
            None => (all.keys().copied().collect(), furthest.unwrap_or_default()),
        };
        let rows = all.into_iter();
        let rows = rows.map(|(key, rows)| (key, rows.into_iter().map(|(_, row)| row).collect()));
        Self { rows: rows.collect(), covered, progress }
    }

    /// The rows of those of `jobs` that are of the network `model`, as `rows` finds them in their tables;
    /// `None` if there is no such job.
    pub(super) fn of(
        jobs: &[&'a Job],
        model: usize,
        rows: impl Fn(&'a Table) -> Option<&'a Rows<R>>,
    ) -> Option<Self> {
        let own = jobs.iter().copied().filter(|job| job.model == model);
        let own: Vec<_> = own.filter_map(|job| Some((job, rows(&job.table)?))).collect();
        (!own.is_empty()).then(|| Self::new(&own))
    }

    /// A job has finished.
    pub(super) fn finished(&self) -> bool {
        self.progress.0 >= self.progress.1
    }

    /// The covered images as a set.
    pub(super) fn images(&self) -> Option<ImageSet> {
        ImageSet::of(&self.covered)
    }

    /// For each covered image the row that claims least.
    pub(super) fn weakest(&self) -> Vec<&'a R> {
        let least = |key: &&ImageKey| {
            let rows = self.rows.get(*key)?.iter().copied();
            rows.min_by(|a, b| {
                let (a, b) = (a.strength(), b.strength());
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            })
        };
        self.covered.iter().filter_map(least).collect()
    }
}

impl Claim for AttackRow {
    fn same(&self, other: &Self) -> bool {
        Self { seconds: 0.0, ..self.clone() } == Self { seconds: 0.0, ..other.clone() }
    }

    fn strength(&self) -> (u8, f64) {
        (0, 0.0)
    }
}

impl Claim for CertificateRow {
    fn same(&self, other: &Self) -> bool {
        Self { time: String::new(), ..self.clone() }
            == Self { time: String::new(), ..other.clone() }
    }

    fn strength(&self) -> (u8, f64) {
        (self.correct, self.radius)
    }
}

impl Claim for PatchRow {
    fn same(&self, other: &Self) -> bool {
        Self { time: String::new(), ..self.clone() }
            == Self { time: String::new(), ..other.clone() }
    }

    fn strength(&self) -> (u8, f64) {
        (self.correct, f64::from(self.certified))
    }
}

impl Claim for BoundRow {
    fn same(&self, other: &Self) -> bool {
        Self { time: String::new(), ..self.clone() }
            == Self { time: String::new(), ..other.clone() }
    }

    fn strength(&self) -> (u8, f64) {
        (self.correct, self.radius)
    }
}
