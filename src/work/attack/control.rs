//! What becomes of the images that an attack leaves which stands in for a dearer one: some of them, drawn by
//! the seed and their indices, are given to the attack that it stands in for (the control), and all of them if
//! that breaks one, or if a safety check says that gradients mislead. Which are drawn depends on all images of
//! the job, so their rows wait in a journal of their own, `JOB.pending.csv`, until every image was searched.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::row::AttackRow;
use crate::attack::{Outcome, Reference, Request};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::record::Finding;
use crate::rng::Stream;
use crate::work::journal::Journal;

/// The rows of images that were left and are not settled yet.
pub(super) struct Pending {
    path: PathBuf,
    journal: Journal,
    pub(super) rows: Vec<AttackRow>,
}

impl Pending {
    /// Opens the journal beside the table at `table` of the job `key`. What the table has is settled.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub(super) fn open(table: &Path, key: &str, settled: &[AttackRow]) -> Result<Self> {
        let path = table.with_extension("pending.csv");
        let (journal, mut rows) = Journal::open::<AttackRow>(&path, key)?;
        let settled: HashSet<u64> = settled.iter().map(|row| row.idx).collect();
        rows.retain(|row| !settled.contains(&row.idx));
        Ok(Self { path, journal, rows })
    }

    /// The images that wait, by index.
    pub(super) fn indices(&self) -> HashSet<u64> {
        self.rows.iter().map(|row| row.idx).collect()
    }

    /// Lets rows wait.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn append(&mut self, rows: Vec<AttackRow>) -> Result<()> {
        self.journal.append(&rows)?;
        self.rows.extend(rows);
        Ok(())
    }

    /// Every image is settled: the journal goes.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(super) fn end(self) -> Result<()> {
        drop(self.journal);
        std::fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

/// The attack had to work on the image and did not break it: a row without an adversarial image that is not of
/// the class that a targeted attack aims at.
pub(super) fn left(row: &AttackRow) -> bool {
    row.found == 0 && row.target != Some(row.label)
}

/// The reference attack was asked about the image.
pub(super) fn asked(row: &AttackRow) -> bool {
    row.reference.is_some_and(|passes| passes > 0)
}

/// The reference attack got the image in place of the attack that stands in for it, which never saw it. What it
/// breaks then says nothing about that one.
pub(super) fn given_away(row: &AttackRow) -> bool {
    asked(row) && row.reference == Some(row.forwards + row.backwards)
}

/// The images that wait and are drawn for the control, in the order of their indices: of all that the search
/// left, those with the smallest numbers of their own.
pub(super) fn drawn(
    reference: &Reference,
    request: &Request,
    settled: &[AttackRow],
    pending: &[AttackRow],
) -> Vec<u64> {
    let stream = Stream::new(request.seed, "control");
    let waiting: HashSet<u64> = pending.iter().map(|row| row.idx).collect();
    let settled = settled.iter().filter(|row| (left(row) || asked(row)) && !given_away(row));
    let mut all: Vec<u64> = settled.chain(pending).map(|row| row.idx).collect();
    let number = |idx: &u64| stream.draw(*idx, 0).block(0);
    all.sort_by_cached_key(number);
    all.truncate(reference.images(all.len()));
    all.retain(|idx| waiting.contains(idx));
    all.sort_unstable();
    all
}

/// What an attack that found nothing says of the images of `batch`, whose rows are `rows`.
///
/// # Errors
/// If the pixels cannot be read.
pub(super) fn as_left<'a>(
    batch: &Batch,
    rows: impl Iterator<Item = &'a AttackRow>,
) -> Result<Vec<Outcome>> {
    let images = batch.rows()?;
    let pixels = images.values()?;
    let of = |(image, row): (&[f32], &AttackRow)| {
        let mut outcome = Outcome::untouched(row.idx, row.label, row.clean, image.to_vec());
        (outcome.target, outcome.prediction) = (row.target, row.prediction);
        (outcome.found, outcome.found_8bit) = (false, false);
        (outcome.by, outcome.distance) = (String::new(), f64::INFINITY);
        outcome.unconfirmed = row.unconfirmed.map(|_| 0);
        outcome
    };
    Ok(pixels.chunks_exact(images.width().max(1)).zip(rows).map(of).collect())
}

impl AttackRow {
    /// This row of the reference attack, or of nothing, after the row `before` of the attack that stands in for
    /// it: what both have spent.
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            reference: Some(self.forwards + self.backwards),
            forwards: self.forwards + before.forwards,
            backwards: self.backwards + before.backwards,
            unconfirmed: self.unconfirmed.zip(before.unconfirmed).map(|(a, b)| a + b),
            seconds: self.seconds + before.seconds,
            ..self
        }
    }
}

/// What is to be said where the reference attack broke an image that was left; `None` if it broke none.
pub(super) fn missed(reference: &Reference, settled: &[AttackRow]) -> Option<Finding> {
    let missed = |row: &&AttackRow| asked(row) && row.found == 1 && !given_away(row);
    let broken = settled.iter().filter(missed).count();
    let name = reference.attack.name;
    let goes_over = match reference.escalate {
        true => format!("All images that it had left were given to {name}."),
        false => format!("{name} may break more of those that it was not asked about."),
    };
    (broken > 0).then(|| Finding {
        check: "control".into(),
        seen: format!("{name} broke an image of the control"),
        meaning: format!("The attack misses on this network what {name} finds. {goes_over}"),
        remedy: match reference.escalate {
            true => "Robust accuracy is that of both attacks; it needs no remedy.".into(),
            false => format!("Attack this network with {name}, or set escalate = true."),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::attack::configure;
    use crate::threat::{Norm, Threat};
    use crate::work::fixture::attack_row;

    fn reference(control: f64) -> Reference {
        let attack =
            configure("autoattack", &Threat::ball(Norm::Linf, 0.1), &BTreeMap::new()).unwrap();
        Reference { attack, control, escalate: true }
    }

    fn request(seed: u64) -> Request {
        Request { seed, ..Request::default() }
    }

    fn waiting(n: u64) -> Vec<AttackRow> {
        let row = |idx| AttackRow { reference: Some(0), ..attack_row(3 * idx, true, None) };
        (0..n).map(row).collect()
    }

    #[test]
    fn a_share_has_a_least_number() {
        for (control, left, images) in [
            (0.01, 1000, 10),
            (0.01, 1001, 11),
            (0.01, 100, 5),
            (0.01, 3, 3),
            (7.0, 100, 7),
            (0.0, 100, 0),
        ] {
            assert_eq!(reference(control).images(left), images, "{control} of {left}");
        }
    }

    #[test]
    fn the_draw_knows_the_seed_and_all_images_but_not_their_order() {
        let (reference, rows) = (reference(10.0), waiting(200));
        let first = drawn(&reference, &request(0), &[], &rows);
        assert_eq!(first.len(), 10);
        let turned: Vec<AttackRow> = rows.iter().rev().cloned().collect();
        assert_eq!(drawn(&reference, &request(0), &[], &turned), first);
        assert_ne!(drawn(&reference, &request(1), &[], &rows), first);
        // Those that were asked about already, broken or not, count as drawn.
        let settle = |row: &AttackRow| {
            let found = u8::from(!row.idx.is_multiple_of(2));
            AttackRow { reference: Some(9766), found, ..row.clone() }
        };
        let is_settled = |row: &&AttackRow| first[..4].contains(&row.idx);
        let settled: Vec<AttackRow> = rows.iter().filter(is_settled).map(settle).collect();
        let left: Vec<AttackRow> = rows.iter().filter(|row| !is_settled(row)).cloned().collect();
        assert_eq!(drawn(&reference, &request(0), &settled, &left), first[4..]);
    }

    #[test]
    fn a_broken_image_of_the_control_is_told() {
        let reference = reference(10.0);
        let row = |found| attack_row(3, true, found);
        let passes = |row: &AttackRow| row.forwards + row.backwards;
        let asked = |found| AttackRow {
            reference: Some(9766),
            forwards: row(found).forwards + 9766,
            ..row(found)
        };
        let missed_by = |rows: &[AttackRow]| missed(&reference, rows).is_some();
        // What was never searched by the attack itself was not missed by it.
        let given = |found| AttackRow { reference: Some(passes(&row(found))), ..row(found) };
        assert!(!missed_by(&[given(Some(0.1)), given(None)]));
        assert!(!missed_by(&[asked(None), attack_row(4, true, Some(0.1))]));
        assert!(missed_by(&[asked(None), asked(Some(0.1))]));
    }
}
