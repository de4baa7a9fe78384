//! Running what is left of an attack job: batch by batch, each with its rows and, if they are wanted, its
//! adversarial images; safety checks before the first and after the last.

use std::time::Instant;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::outcomes::attack_rows;
use super::row::AttackRow;
use crate::attack::check::wanted;
use crate::attack::{Configured, Request, attack_until};
use crate::data::ahead;
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::rng::Randomness;
use crate::work::remaining::{BATCH, Remaining};
use crate::work::task::{Place, Progress, Task};

/// Images at a time of an ensemble: enough to fill two threads' caches, few enough that little work
/// is lost when a run is killed in the middle of one.
const ENSEMBLE_BATCH: usize = 48;

/// An attack under its threat model, and what is asked of it.
pub(super) struct AttackTask {
    pub(super) attack: Configured,
    pub(super) request: Request,
}

impl Task for AttackTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        Remaining::open(place)?.run((&self.attack, &self.request), place, progress)
    }

    fn checked(&self) -> bool {
        wanted(&self.attack)
    }
}

impl Remaining<'_, AttackRow> {
    /// How many images an attack gets at a time.
    fn images_at_once(
        &self,
        model: &dyn Classifier,
        configured: &Configured,
        request: &Request,
    ) -> usize {
        let given = self.batch.or(model.usage().batch);
        let ensemble = !configured.search.parts().is_empty();
        match (ensemble, request.randomness) {
            // The published AutoAttack packs into batches what an attack left of the whole set.
            (true, Randomness::Torch) => self.record.images.max(1),
            (true, Randomness::PerImage) => given.unwrap_or(ENSEMBLE_BATCH),
            _ => given.unwrap_or(BATCH),
        }
    }

    fn run(
        mut self,
        (configured, request): (&Configured, &Request),
        place: &Place<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let (model, stop): (&dyn Classifier, _) = (place.network, place.stop);
        progress.job(self.record, self.rows.len());
        let (path, data) = (self.path.clone(), self.data);
        let batch = self.images_at_once(model, configured, request);
        let mut checks = JobChecks::before(
            (&path, &self.record.key),
            (configured, request),
            model,
            data,
            &self.rows,
            batch,
        )?;
        checks.findings().iter().for_each(|finding| progress.finding(self.record, finding));
        let mut images = match place.save_adversarial {
            true => AdversarialImages::open(&path, self.record, data.info().shape, &self.rows)?,
            false => None,
        };
        if let Some(images) = &mut images {
            // Rows that were computed before their images were wanted.
            let missing = self.missing(images.len())?;
            ahead(data, &missing, batch, |batches| {
                for batch in batches {
                    let outcomes = attack_until(configured, model, &batch?, request, stop)?;
                    images.append(&outcomes, &self.rows)?;
                }
                Ok::<(), Error>(())
            })?;
        }
        let left = self.images();
        ahead(data, &left, batch, |batches| {
            let mut started = Instant::now();
            for batch in batches {
                let batch = batch?;
                let outcomes = attack_until(configured, model, &batch, request, stop)?;
                let seconds = started.elapsed().as_secs_f64() / batch.len() as f64;
                let new = attack_rows(&batch, &outcomes, seconds)?;
                self.rows.extend(new.iter().cloned());
                if let Some(images) = &mut images {
                    images.append(&outcomes, &self.rows)?;
                }
                self.journal.append(&new)?;
                progress.images(new.len());
                started = Instant::now();
            }
            Ok::<(), Error>(())
        })?;
        self.journal.sync()?;
        if let Some(images) = images {
            images.finish(&self.rows)?;
        }
        checks.after(&self.rows)?.iter().for_each(|finding| progress.finding(self.record, finding));
        Ok(())
    }

    /// Positions of the images of the rows from number `first` on.
    fn missing(&self, first: usize) -> Result<Vec<usize>> {
        let position = |row: &AttackRow| {
            self.positions.get(&row.idx).copied().ok_or_else(|| {
                Error::setting(
                    "save_adversarial",
                    format!(
                        "image {} of {} is not among the images given",
                        row.idx, self.record.id
                    ),
                    "give all images of the job again: their adversarial images were not kept",
                )
            })
        };
        self.rows[first..].iter().map(position).collect()
    }
}
