//! The rows of several jobs that did the same to one network. An image is covered if a finished job
//! covered it; rows of unfinished jobs are kept beside.

use std::collections::BTreeMap;

use super::job::Job;
use super::rows::{Keyed, Rows as _};
use crate::record::Row;
use crate::results::{ImageKey, ImageSet, Images};

/// Rows by image.
#[derive(Debug)]
pub(crate) struct Pool<'a, R> {
    /// In an order that does not depend on that of the jobs.
    pub(crate) rows: BTreeMap<&'a ImageKey, Vec<&'a R>>,
    /// The images that numbers are over: those of the finished jobs, or of all if none has finished.
    pub(crate) covered: Images<'a>,
    /// Images done, and images of the job: the covered ones if a job has finished, otherwise of the job
    /// that is furthest.
    pub(crate) progress: (usize, usize),
}

impl<'a, R: Row> Pool<'a, R> {
    /// The rows of these jobs.
    fn new(jobs: &[(&'a Job, &'a Keyed<R>)]) -> Self {
        let mut all: BTreeMap<&ImageKey, Vec<(&str, &R)>> = BTreeMap::new();
        for (job, rows) in jobs {
            for (key, row) in rows.iter() {
                all.entry(key).or_default().push((&job.key, row));
            }
        }
        for rows in all.values_mut().filter(|rows| rows.len() > 1) {
            rows.sort_by_cached_key(|(key, row)| (key.to_string(), format!("{row:?}")));
            rows.dedup_by(|(key, row), (other, first)| {
                key == other && row.untimed() == first.untimed()
            });
        }
        let finished = || jobs.iter().filter(|(job, _)| job.finished());
        let furthest = jobs.iter().map(|(job, rows)| (rows.len(), job.images)).max();
        let (covered, progress): (Images<'_>, _) = match finished().next() {
            Some(_) => {
                let covered: Images<'_> =
                    finished().flat_map(|(_, rows)| rows.iter().map(|(key, _)| key)).collect();
                let count = covered.len();
                (covered, (count, count))
            }
            None => (all.keys().copied().collect(), furthest.unwrap_or_default()),
        };
        let rows = all.into_iter();
        let rows = rows.map(|(key, rows)| (key, rows.into_iter().map(|(_, row)| row).collect()));
        Self { rows: rows.collect(), covered, progress }
    }

    /// The rows of those of `jobs` that are of the network `model` and of this type; `None` if there is no
    /// such job.
    pub(crate) fn of(jobs: &[&'a Job], model: usize) -> Option<Self> {
        let own = jobs.iter().copied().filter(|job| job.model == model);
        let own: Vec<_> =
            own.filter_map(|job| Some((job, Keyed::of(job.rows.as_ref())?))).collect();
        (!own.is_empty()).then(|| Self::new(&own))
    }

    /// A job has finished.
    pub(crate) fn finished(&self) -> bool {
        self.progress.0 >= self.progress.1
    }

    /// The covered images as a set.
    pub(crate) fn images(&self) -> Option<ImageSet> {
        ImageSet::of(&self.covered)
    }

    /// For each covered image the row that claims least.
    pub(crate) fn weakest(&self) -> Vec<&'a R> {
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
