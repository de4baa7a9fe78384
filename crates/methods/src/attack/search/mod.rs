//! What an attack sees of the images it works on: the network (every pass counted per image), the
//! clean images, the threat model, per-image randomness, and [`Search::propose`], which judges
//! candidates. Rows of the active set are images that are not yet broken; the search drops the others,
//! from its own columns and from those of the attack ([`ImageState`]).

mod active;
mod image_state;
mod judge;
mod passes;
mod propose;

pub(super) use self::image_state::image_state;
pub use self::image_state::{ImageState, Misfit};
pub use self::passes::passes_made;

use self::active::{Active, Known};
pub(super) use self::judge::Found;
use self::judge::{Judge, Rules};
use super::Objective;
use super::criterion::Criterion;
use super::noise::Noise;
use crate::error::{Error, Result};
use crate::loss::Loss;
pub use crate::model::Evaluation;
use crate::model::{Classifier, Pull};
use crate::rows::{Location, Rows, kernel, map_to};
use crate::threat::Threat;

/// The images of one batch under attack.
pub struct Search<'a> {
    model: &'a dyn Classifier,
    stop: &'a (dyn Fn() -> bool + Sync),
    threat: Threat,
    objective: Objective,
    pub(super) noise: Noise,
    shape: [usize; 3],
    /// Where the rows of this search are.
    location: Location,
    /// What succeeds in the precision of the search is judged again. Asked once: the answer may wait for a GPU.
    approximates: bool,
    pub(super) active: Active,
    judge: Box<dyn Judge>,
    /// What was found, by place in the batch; what the judge has found is here when the search is settled.
    pub(super) found: Vec<Option<Found>>,
    pub(super) forwards: Vec<u64>,
    pub(super) backwards: Vec<u64>,
    /// Candidates of each image that only the search's own precision took for successes.
    pub(super) unconfirmed: Vec<u64>,
}

/// The network around a batch of candidates, for attacks that need more than one gradient of the
/// same forward pass; [`Search::pull`] takes them.
pub struct Linearisation<'a> {
    /// `[N, K]`.
    pub logits: Rows,
    pull: Pull<'a>,
}

impl<'a> Search<'a> {
    /// A search over `clean` `[N, C, H, W]`, all correctly classified, which are where
    /// [`location_of`] the network is.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        (model, stop): (&'a dyn Classifier, &'a (dyn Fn() -> bool + Sync)),
        threat: Threat,
        objective: Objective,
        noise: Noise,
        clean: Rows,
        labels: Vec<u32>,
        targets: Option<Vec<u32>>,
        ids: Vec<u64>,
    ) -> Result<Self> {
        let (n, location, shape) = (clean.len(), clean.location(), model.info().input_shape);
        Ok(Self {
            judge: judge::of(&clean, Rules { threat, objective, shape })?,
            active: Active::new(clean, labels, targets, ids)?,
            approximates: model.usage().approximates,
            model,
            stop,
            threat,
            objective,
            noise,
            shape,
            location,
            found: (0..n).map(|_| None).collect(),
            forwards: vec![0; n],
            backwards: vec![0; n],
            unconfirmed: vec![0; n],
        })
    }

    /// Number of active rows.
    pub fn len(&self) -> usize {
        self.active.len()
    }

    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clean images of the active rows, `[N, C, H, W]`.
    pub fn clean(&self) -> &Rows {
        &self.active.clean
    }

    /// The two words of every active row's index in the data set, `[N, 2]`.
    pub(super) fn id_words(&self) -> &Rows {
        &self.active.rows.ids
    }

    /// Where the rows of this search are: those that an attack makes have to be there too.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// `[C, H, W]` of an image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The threat model.
    pub fn threat(&self) -> &Threat {
        &self.threat
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.model.info().classes
    }

    /// Location in the batch of each active row: the one name of an image that does not change when
    /// others leave.
    pub fn places(&self) -> &[usize] {
        &self.active.places
    }

    /// True classes of the active rows.
    pub fn labels(&self) -> &[u32] {
        &self.active.labels
    }

    /// The same as rows, `[N]`.
    pub fn label_rows(&self) -> &Rows {
        &self.active.rows.labels
    }

    /// Target classes of the active rows, in a targeted search.
    pub fn targets(&self) -> Option<&[u32]> {
        self.active.targets.as_deref()
    }

    /// Logits `[N, K]` of one candidate per active row.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn logits(&mut self, x: &Rows) -> Result<Rows> {
        self.check_stop()?;
        self.refuse_misfit(None, [x])?;
        self.count_all([1, 0]);
        let logits = self.model.logits(x)?;
        self.refuse_nan(None, &logits)?;
        Ok(logits)
    }

    /// Logits of candidates for some rows: row i of `x` belongs to active row `of[i]`, which may
    /// occur several times.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn logits_of(&mut self, of: &[usize], x: &Rows) -> Result<Rows> {
        self.check_stop()?;
        self.refuse_misfit(Some(of), [x])?;
        passes::add(of.len(), 1);
        for row in of {
            self.forwards[self.active.places[*row]] += 1;
        }
        let logits = self.model.logits(x)?;
        self.refuse_nan(Some(of), &logits)?;
        Ok(logits)
    }

    /// Logits, losses and gradients of one candidate per active row, from one forward and one
    /// backward pass.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient(&mut self, x: &Rows, loss: Loss) -> Result<Evaluation> {
        self.gradient_toward(x, loss, None)
    }

    /// [`Search::gradient`] with target classes for the loss, `[N]`, that the attack has chosen itself;
    /// without, the search's own. What counts as a success is still the goal of the search.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient_toward(
        &mut self,
        x: &Rows,
        loss: Loss,
        targets: Option<&Rows>,
    ) -> Result<Evaluation> {
        self.check_stop()?;
        self.refuse_misfit(None, [Some(x), targets].into_iter().flatten())?;
        self.count_all([1, 1]);
        let targets = targets.unwrap_or(&self.active.rows.targets);
        let at = self.model.evaluate(x, loss, &self.active.rows.labels, targets)?;
        self.refuse_nan(None, &at.logits)?;
        Ok(at)
    }

    /// [`Search::gradient`] for some rows, as in [`Search::logits_of`].
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient_of(&mut self, of: &[usize], x: &Rows, loss: Loss) -> Result<Evaluation> {
        if self.active.are_all(of) {
            return self.gradient(x, loss);
        }
        self.check_stop()?;
        self.refuse_misfit(Some(of), [x])?;
        passes::add(of.len(), 2);
        for row in of {
            self.forwards[self.active.places[*row]] += 1;
            self.backwards[self.active.places[*row]] += 1;
        }
        let labels = self.active.rows.labels.select(of)?;
        let targets = self.active.rows.targets.select(of)?;
        let at = self.model.evaluate(x, loss, &labels, &targets)?;
        self.refuse_nan(Some(of), &at.logits)?;
        Ok(at)
    }

    /// Losses `[N]` of the logits `[N, K]` of one candidate per active row.
    ///
    /// # Errors
    /// If the device fails.
    pub fn losses(&self, logits: &Rows, loss: Loss) -> Result<Rows> {
        self.refuse_misfit(None, [logits])?;
        let Known { labels, targets, .. } = &self.active.rows;
        // Only a network's pass wants the cotangent.
        let cotangent = Rows::none(&self.location)?;
        let kernel = kernel!("loss", logits.width(), loss.number());
        map_to(
            kernel,
            &[],
            [&cotangent, logits, labels, targets],
            |_, [_, z, label, target], value| {
                let target = target.first().map(|target| *target as usize);
                value[0] = loss.of(z, label[0] as usize, target, &mut vec![0.0; z.len()]);
            },
        )
    }

    /// The network around one candidate per active row, from one forward pass.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn linearise(&mut self, x: &Rows) -> Result<Linearisation<'a>> {
        self.check_stop()?;
        self.refuse_misfit(None, [x])?;
        self.count_all([1, 0]);
        let (logits, pull) = self.model.linearise(x)?;
        self.refuse_nan(None, &logits)?;
        Ok(Linearisation { logits, pull })
    }

    /// [`Search::linearise`] for some rows, as in [`Search::logits_of`].
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn linearise_of(&mut self, of: &[usize], x: &Rows) -> Result<Linearisation<'a>> {
        self.check_stop()?;
        self.refuse_misfit(Some(of), [x])?;
        passes::add(of.len(), 1);
        for row in of {
            self.forwards[self.active.places[*row]] += 1;
        }
        let (logits, pull) = self.model.linearise(x)?;
        self.refuse_nan(Some(of), &logits)?;
        Ok(Linearisation { logits, pull })
    }

    /// [`Search::pull`] at a linearisation of some rows, of which the active rows `of` want the gradient and
    /// are counted: the cotangents of the others are 0.
    ///
    /// # Errors
    /// If the network fails.
    pub fn pull_for(
        &mut self,
        of: &[usize],
        at: &Linearisation<'_>,
        cotangent: &Rows,
    ) -> Result<Rows> {
        self.check_stop()?;
        self.refuse_misfit(Some(of), [])?;
        passes::add(of.len(), 1);
        for row in of {
            self.backwards[self.active.places[*row]] += 1;
        }
        (at.pull)(cotangent)
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)`, `cotangent` `[N, K]`, at the candidates
    /// of a linearisation that was made since the last proposal; one backward pass.
    ///
    /// # Errors
    /// If the network fails.
    pub fn pull(&mut self, at: &Linearisation<'_>, cotangent: &Rows) -> Result<Rows> {
        self.refuse_misfit(None, [&at.logits, cotangent])?;
        self.count_all([0, 1]);
        (at.pull)(cotangent)
    }

    /// Counts forward and backward passes of every active row.
    fn count_all(&mut self, passes: [u64; 2]) {
        passes::add(self.len(), passes[0] + passes[1]);
        for place in &self.active.places {
            self.forwards[*place] += passes[0];
            self.backwards[*place] += passes[1];
        }
        self.judge.count(passes);
    }

    /// Runs `run` on the active rows `rows`, in order and `size` at a time, as a search of its own with the
    /// random numbers that an attack `name` has, which has this objective; what it breaks leaves this search
    /// too, unless this one is for the closest image, and takes it from any part. `run` hears the places in
    /// this batch of the images that it got.
    ///
    /// # Errors
    /// If the attack fails.
    pub(super) fn part(
        &mut self,
        (name, objective, rows): (&'static str, Objective, &[usize]),
        size: usize,
        run: &mut dyn FnMut(&mut Search<'a>, &[usize]) -> Result<()>,
    ) -> Result<()> {
        let mut broken = vec![false; self.len()];
        tracing::debug!(attack = name, images = rows.len(), "begins");
        for chunk in rows.chunks(size.max(1)) {
            let pick = |values: &[u32]| chunk.iter().map(|row| values[*row]).collect::<Vec<u32>>();
            let mut part = Search::new(
                (self.model, self.stop),
                objective.threat(self.threat),
                objective,
                self.noise.part(name),
                self.active.clean.select(chunk)?,
                pick(&self.active.labels),
                self.active.targets.as_deref().map(pick),
                chunk.iter().map(|row| self.active.ids[*row]).collect(),
            )?;
            let places: Vec<usize> = chunk.iter().map(|row| self.active.places[*row]).collect();
            run(&mut part, &places)?;
            part.finish()?;
            for (i, found) in part.found.into_iter().enumerate() {
                let place = places[i];
                self.forwards[place] += part.forwards[i];
                self.backwards[place] += part.backwards[i];
                self.unconfirmed[place] += part.unconfirmed[i];
                let Some(found) = found.filter(|found| self.threat.reaches(found.distance)) else {
                    continue;
                };
                broken[chunk[i]] = self.objective == Objective::Budget;
                let before = self.found[place].as_ref();
                if before.is_none_or(|before| found.distance < before.distance) {
                    self.found[place] = Some(Found { by: Some(name), ..found });
                }
            }
        }
        let keep: Vec<usize> = (0..self.len()).filter(|row| !broken[*row]).collect();
        tracing::debug!(attack = name, left = keep.len(), "ends");
        if keep.len() < self.len() { self.active.keep(&keep) } else { Ok(()) }
    }

    /// Whether the logits of one candidate per active row are a success, as 1 or 0, `[N]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn succeeded(&self, logits: &Rows) -> Result<Rows> {
        self.refuse_misfit(None, [logits])?;
        let Known { labels, targets, .. } = &self.active.rows;
        Criterion::met_by_rows(logits, labels, targets)
    }

    /// Refuses batches that have not a row for each of the active rows `of`; without, for each active row.
    fn refuse_misfit<'r>(
        &self,
        of: Option<&[usize]>,
        batches: impl IntoIterator<Item = &'r Rows>,
    ) -> Result<()> {
        let (rows, active) = (of.map_or(self.len(), <[usize]>::len), self.len());
        let other = batches.into_iter().map(Rows::len).find(|len| *len != rows);
        let unknown = of.into_iter().flatten().find(|row| **row >= active);
        let problem = match (other, unknown) {
            (None, None) => return Ok(()),
            (Some(other), _) => format!("a batch has {other} rows, not {rows}"),
            (None, Some(row)) => format!("row {row} is named, and {active} images are active"),
        };
        Err(Error::setting(
            "candidates of an attack",
            problem,
            "hand every column of the attack to every proposal: it drops the rows of broken images",
        ))
    }

    /// Ends the search if the caller wants to stop.
    fn check_stop(&self) -> Result<()> {
        if (self.stop)() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// On a GPU it is the judge that sees to it.
    fn refuse_nan(&self, of: Option<&[usize]>, logits: &Rows) -> Result<()> {
        if self.location.is_gpu() {
            return Ok(());
        }
        let bad = logits.values()?.iter().position(|v| v.is_nan());
        match bad.map(|i| i / logits.width().max(1)) {
            None => Ok(()),
            Some(i) => Err(self.nan(self.active.ids[of.map_or(i, |of| of[i])])),
        }
    }

    fn nan(&self, id: u64) -> Error {
        Error::setting(
            format!("model {}", self.model.info().name),
            format!("returned NaN for an image derived from image {id}"),
            "check the weights and the normalisation of the network",
        )
    }
}

/// Where a search has its rows.
pub(super) fn location_of(model: &dyn Classifier) -> Location {
    // The votes of a randomised network are counted here.
    if model.info().randomised { Location::default() } else { model.location() }
}

#[cfg(test)]
mod tests;
