//! Running what is left of an attack job: batch by batch, each with its rows and, if they are wanted, its
//! adversarial images; safety checks before the first and after the last.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::adversarial::AdversarialImages;
use super::checks::JobChecks;
use super::control::{self, Pending};
use super::outcomes::attack_rows;
use super::row::AttackRow;
use crate::attack::{Asks, Configured, Goal, Outcome, Reference, Request, Targets, attack_until};
use crate::data::{Batch, ahead};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::record::Finding;
use crate::rng::Randomness;
use crate::work::remaining::{BATCH, Remaining};
use crate::work::task::{JobContext, JobRequest, Part, Progress, Task};

/// Images at a time of an ensemble: enough to fill two threads' caches, few enough that little work
/// is lost when a run is killed in the middle of one.
const ENSEMBLE_BATCH: usize = 48;

/// Images at a time of an ensemble that stands in for a dearer one: most of them take little, a few take long, and all
/// threads have work as long as there are others.
const STAND_IN_BATCH: usize = 256;

/// An attack under its threat model, and what is asked of it.
pub(super) struct AttackTask {
    pub(super) attack: Configured,
    pub(super) request: Request,
}

impl Task for AttackTask {
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()> {
        Remaining::open(context)?.run((&self.attack, &self.request), context, progress)
    }

    fn checked(&self) -> bool {
        true
    }

    fn asks(&self) -> Asks {
        self.attack.search.asks().max(match self.request.goal {
            // Their class is read off the logits of the clean image.
            Goal::Targeted(Targets::LeastLikely | Targets::Second) => Asks::Logits,
            _ => Asks::Classes,
        })
    }

    fn most_passes(&self, shape: [usize; 3], classes: usize) -> Option<f64> {
        self.attack.search.most_passes(shape, classes)
    }

    /// A control is drawn from all images, PyTorch's numbers are for whole batches, and adversarial images are
    /// in the order of the rows.
    fn portion(&self, job: &JobRequest<'_>) -> Option<usize> {
        let together = self.attack.search.reference().is_some()
            || self.request.randomness == Randomness::Torch
            || job.save_adversarial
            || AdversarialImages::are_kept(&job.folder.join(&job.record.file));
        let given = job.batch.or(job.usual);
        let alone = if self.attack.search.parts().is_empty() { BATCH } else { ENSEMBLE_BATCH };
        (!together).then(|| given.unwrap_or(alone))
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
        let stands_in = configured.search.reference().is_some();
        match (ensemble, request.randomness) {
            // The published AutoAttack packs into batches what an attack left of the whole set.
            (true, Randomness::Torch) => self.record.images.max(1),
            (true, Randomness::PerImage) if stands_in => given.unwrap_or(STAND_IN_BATCH),
            (true, Randomness::PerImage) => given.unwrap_or(ENSEMBLE_BATCH),
            _ => given.unwrap_or(BATCH),
        }
    }

    fn run(
        mut self,
        (configured, request): (&Configured, &Request),
        context: &JobContext<'_>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let (model, stop): (&dyn Classifier, _) = (context.network, context.stop);
        let reference = configured.search.reference();
        let (path, data) = (self.path.clone(), self.data);
        let mut pending = match reference {
            Some(_) => Some(Pending::open(&path, &self.record.key, &self.rows)?),
            None => None,
        };
        let waiting = pending.as_ref().map_or_else(HashSet::new, Pending::indices);
        progress.job(self.record, self.rows.len() + waiting.len());
        let batch = self.images_at_once(model, configured, request);
        let job = (path.as_path(), self.record.key.as_str());
        let mut checks = match self.part {
            // They are about the job, and made by who has its table.
            Some(part) if part.apart => None,
            _ => {
                Some(JobChecks::before(job, (configured, request), model, data, &self.rows, batch)?)
            }
        };
        let known = checks.iter().flat_map(JobChecks::findings);
        known.for_each(|finding| progress.finding(self.record, finding));
        let mut images = match context.job.save_adversarial {
            true => AdversarialImages::open(&path, self.record, data.info().shape, &self.rows)?,
            false => None,
        };
        if let Some(images) = &mut images {
            self.compute_again((configured, request), context, batch, images)?;
        }
        let mut left = self.images();
        left.retain(|at| !waiting.contains(&data.id(*at)));
        // Where gradients mislead, the attack that follows them makes room for the one that it stands in for.
        let dearer = reference.filter(|dearer| {
            dearer.escalate && checks.as_ref().is_some_and(JobChecks::gradients_mislead)
        });
        let asked = dearer.map_or(configured, |dearer| &dearer.attack);
        self.attack_all(&left, batch, &mut |job, batch| {
            let started = Instant::now();
            let outcomes = attack_until(asked, model, batch, request, stop)?;
            let seconds = started.elapsed().as_secs_f64() / batch.len() as f64;
            let mut rows = attack_rows(&asked.threat, batch, &outcomes, seconds)?;
            if let Some(pending) = &mut pending {
                for row in &mut rows {
                    let passes = if dearer.is_some() { row.forwards + row.backwards } else { 0 };
                    row.reference = Some(passes);
                }
                let waits = |row: &AttackRow| dearer.is_none() && control::left(row);
                let (wait, settled): (Vec<_>, Vec<_>) =
                    outcomes.into_iter().zip(rows).partition(|(_, row)| waits(row));
                pending.append(wait.into_iter().map(|(_, row)| row).collect())?;
                let (outcomes, rows): (Vec<_>, Vec<_>) = settled.into_iter().unzip();
                job.write(&outcomes, rows, images.as_mut())?;
            } else {
                job.write(&outcomes, rows, images.as_mut())?;
            }
            progress.images(batch.len());
            Ok(())
        })?;
        if let (Some(reference), Some(pending)) = (reference, pending) {
            let findings =
                self.end_pending((reference, request), context, pending, images.as_mut())?;
            let new = checks.as_mut().map_or_else(|| Ok(Vec::new()), |checks| checks.add(findings));
            new?.iter().for_each(|finding| progress.finding(self.record, finding));
        }
        if Part::is_to_last(self.part) {
            self.journal.sync()?;
        }
        if let Some(images) = images {
            images.finish(&self.rows)?;
        }
        if let (Some(checks), None) = (&mut checks, self.part) {
            let new = checks.after(&self.rows)?;
            new.iter().for_each(|finding| progress.finding(self.record, finding));
        }
        Ok(())
    }

    /// Appends the images of rows that were computed before their images were wanted.
    fn compute_again(
        &mut self,
        (configured, request): (&Configured, &Request),
        context: &JobContext<'_>,
        batch: usize,
        images: &mut AdversarialImages,
    ) -> Result<()> {
        let missing = self.missing(images.len())?;
        let first = images.len();
        let asked: Vec<bool> = self.rows[first..].iter().map(control::asked).collect();
        let mut done = 0;
        for group in asked.chunk_by(|a, b| a == b) {
            let positions = &missing[done..done + group.len()];
            done += group.len();
            let asked = match configured.search.reference() {
                Some(reference) if group[0] => &reference.attack,
                _ => configured,
            };
            self.attack_all(positions, batch, &mut |job, batch| {
                let outcomes = attack_until(asked, context.network, batch, request, context.stop)?;
                images.append(&outcomes, &job.rows)
            })?;
        }
        Ok(())
    }

    /// Calls `each` with the images at these positions, `size` at a time.
    fn attack_all(
        &mut self,
        positions: &[usize],
        size: usize,
        each: &mut dyn FnMut(&mut Self, &Batch) -> Result<()>,
    ) -> Result<()> {
        ahead(self.data, positions, size, |batches| {
            for batch in batches {
                each(self, &batch?)?;
            }
            Ok::<(), Error>(())
        })
    }

    /// Puts rows into the table, and before them the images of their outcomes beside it.
    fn write(
        &mut self,
        outcomes: &[Outcome],
        rows: Vec<AttackRow>,
        images: Option<&mut AdversarialImages>,
    ) -> Result<()> {
        let rows: Vec<_> = rows.into_iter().map(|row| row.in_table_of(&self.rows)).collect();
        self.rows.extend(rows.iter().cloned());
        if let Some(images) = images {
            images.append(outcomes, &self.rows)?;
        }
        self.journal.append(&rows)
    }

    /// Settles the images that wait: the control by the reference attack, the others by it too if that is
    /// called for, as they are otherwise. Returns what is to be said of it.
    fn end_pending(
        &mut self,
        (reference, request): (&Reference, &Request),
        context: &JobContext<'_>,
        pending: Pending,
        mut images: Option<&mut AdversarialImages>,
    ) -> Result<Vec<Finding>> {
        let model: &dyn Classifier = context.network;
        let batch = self.images_at_once(model, &reference.attack, request);
        let waiting: HashMap<u64, &AttackRow> =
            pending.rows.iter().map(|row| (row.idx, row)).collect();
        let mut ask = |job: &mut Self, indices: &[u64], asked: bool| {
            let positions: Vec<usize> =
                indices.iter().filter_map(|idx| job.positions.get(idx).copied()).collect();
            job.attack_all(&positions, batch, &mut |job, batch| {
                let waited = batch.ids.iter().filter_map(|idx| waiting.get(idx).copied());
                let started = Instant::now();
                let outcomes = match asked {
                    true => attack_until(&reference.attack, model, batch, request, context.stop)?,
                    false => control::as_left(batch, waited.clone())?,
                };
                let seconds = started.elapsed().as_secs_f64() / batch.len() as f64;
                let threat = &reference.attack.threat;
                let rows = attack_rows(threat, batch, &outcomes, seconds)?;
                let rows = rows.into_iter().zip(waited).map(|(row, before)| row.after(before));
                job.write(&outcomes, rows.collect(), images.as_deref_mut())
            })
        };
        let mut others = control::drawn(reference, request, &self.rows, &pending.rows);
        ask(self, &others, true)?;
        let missed = control::missed(reference, &self.rows);
        let control: HashSet<u64> = others.drain(..).collect();
        others.extend(pending.rows.iter().map(|row| row.idx).filter(|idx| !control.contains(idx)));
        others.sort_unstable();
        ask(self, &others, reference.escalate && missed.is_some())?;
        self.journal.sync()?;
        // Images that were not given again wait on.
        if pending.rows.iter().all(|row| self.positions.contains_key(&row.idx)) {
            pending.end()?;
        }
        Ok(missed.into_iter().collect())
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
