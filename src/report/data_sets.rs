//! Which data records of several runs are about one data set: those whose tables have an image in common,
//! and those of one file as long as no index of it is two images.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::record::DataRecord;
use crate::work::Job;

/// Merges the data records, to which [`Job::data`] of `jobs` points, and lets it point to what they became.
pub(super) fn merge(records: Vec<DataRecord>, jobs: &mut [Job]) -> Vec<DataRecord> {
    let mut groups = Groups((0..records.len()).collect());
    // Only of records of one file the indices are looked at.
    let same_file =
        |record: &DataRecord| records.iter().filter(|r| r.sha256 == record.sha256).count();
    let doubtful: Vec<bool> = records.iter().map(|record| same_file(record) > 1).collect();
    let mut images: Vec<BTreeMap<u64, BTreeSet<&str>>> = vec![BTreeMap::new(); records.len()];
    let mut owner: HashMap<&str, usize> = HashMap::new();
    for job in jobs.iter().filter(|job| job.by_image) {
        for (key, idx) in job.rows.keys() {
            let known = *owner.entry(key.digest()).or_insert(job.data);
            groups.join(known, job.data);
            if doubtful[job.data] {
                images[job.data].entry(idx).or_default().insert(key.digest());
            }
        }
    }
    for a in 0..records.len() {
        for b in 0..a {
            if records[a].sha256 == records[b].sha256 && consistent(&images[a], &images[b]) {
                groups.join(a, b);
            }
        }
    }
    // A group is named after its first record, and stands in its place.
    let first: Vec<usize> = (0..records.len()).map(|record| groups.first(record)).collect();
    let mut merged: Vec<DataRecord> = Vec::new();
    let mut place: HashMap<usize, usize> = HashMap::new();
    for (record, first) in records.into_iter().zip(&first) {
        match place.get(first) {
            Some(at) => merged[*at].images = merged[*at].images.max(record.images),
            None => {
                place.insert(*first, merged.len());
                merged.push(record);
            }
        }
    }
    jobs.iter_mut().for_each(|job| job.data = place[&first[job.data]]);
    merged
}

/// No index has two digests.
fn consistent(a: &BTreeMap<u64, BTreeSet<&str>>, b: &BTreeMap<u64, BTreeSet<&str>>) -> bool {
    a.iter().all(|(idx, here)| b.get(idx).is_none_or(|there| here.len() == 1 && here == there))
}

/// For each record an earlier one of its group, or itself.
struct Groups(Vec<usize>);

impl Groups {
    fn first(&self, mut record: usize) -> usize {
        while self.0[record] != record {
            record = self.0[record];
        }
        record
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}
