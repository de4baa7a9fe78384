//! What an attack sees of the images it works on: the network (every pass counted per image), the
//! clean images, the threat model, per-image randomness, and [`Search::propose`], which judges
//! candidates. Rows of the active set are images that are not yet broken; an attack keeps its own
//! state in step with them by [`Kept`].

mod judge;

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
pub use judge::Kept;

pub(super) use self::judge::Found;
use super::noise::Noise;
use super::{Configured, Objective};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::model::{Classifier, Pullback};
use crate::ops::{rows, with_slice};
use crate::threat::Threat;

/// The images of one batch under attack.
pub struct Search<'a> {
    model: &'a dyn Classifier,
    stop: &'a (dyn Fn() -> bool + Sync),
    threat: Threat,
    objective: Objective,
    pub(super) noise: Noise,
    shape: [usize; 3],
    /// Clean images of the active rows.
    clean: Tensor,
    labels: Vec<u32>,
    targets: Option<Vec<u32>>,
    /// Index in the data set of each active row.
    pub(super) ids: Vec<u64>,
    /// Place in the batch of each active row.
    places: Vec<usize>,
    pub(super) found: Vec<Option<Found>>,
    pub(super) forwards: Vec<u64>,
    pub(super) backwards: Vec<u64>,
    /// Candidates of each image that only the search's own precision took for successes.
    pub(super) unconfirmed: Vec<u64>,
}

/// Logits, losses and the gradient of a batch of candidates.
pub struct Evaluation {
    /// `[N, K]`.
    pub logits: Tensor,
    /// The loss of each image.
    pub losses: Vec<f32>,
    /// Gradient of each image's loss with respect to the image, `[N, C, H, W]`.
    pub gradient: Tensor,
}

/// The network around a batch of candidates, for attacks that need more than one gradient of the
/// same forward pass; [`Search::pull`] takes them.
pub struct Linearisation<'a> {
    /// `[N, K]`.
    pub logits: Tensor,
    pullback: Pullback<'a>,
}

impl<'a> Search<'a> {
    /// A search over `clean` `[N, C, H, W]`, all correctly classified.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        (model, stop): (&'a dyn Classifier, &'a (dyn Fn() -> bool + Sync)),
        threat: Threat,
        objective: Objective,
        noise: Noise,
        clean: Tensor,
        labels: Vec<u32>,
        targets: Option<Vec<u32>>,
        ids: Vec<u64>,
    ) -> Result<Self> {
        let (n, c, h, w) = clean.dims4()?;
        Ok(Self {
            model,
            stop,
            threat,
            objective,
            noise,
            shape: [c, h, w],
            clean,
            labels,
            targets,
            ids,
            places: (0..n).collect(),
            found: (0..n).map(|_| None).collect(),
            forwards: vec![0; n],
            backwards: vec![0; n],
            unconfirmed: vec![0; n],
        })
    }

    /// Number of active rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The clean images of the active rows, `[N, C, H, W]`.
    pub fn clean(&self) -> &Tensor {
        &self.clean
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

    /// Place in the batch of each active row: the one name of an image that does not change when
    /// others leave.
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// True classes of the active rows.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Target classes of the active rows, in a targeted search.
    pub fn targets(&self) -> Option<&[u32]> {
        self.targets.as_deref()
    }

    /// Logits `[N, K]` of one candidate per active row.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn logits(&mut self, x: &Tensor) -> Result<Tensor> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.logits_of(&all, x)
    }

    /// Logits of candidates for some rows: row i of `x` belongs to active row `of[i]`, which may
    /// occur several times.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn logits_of(&mut self, of: &[usize], x: &Tensor) -> Result<Tensor> {
        self.heed()?;
        for row in of {
            self.forwards[self.places[*row]] += 1;
        }
        let logits = self.model.logits(x)?;
        self.refuse_nan(of, &logits)?;
        Ok(logits)
    }

    /// Logits, losses and gradients of one candidate per active row, from one forward and one
    /// backward pass.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient(&mut self, x: &Tensor, loss: Loss) -> Result<Evaluation> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.gradient_of(&all, x, loss)
    }

    /// [`Search::gradient`] for some rows, as in [`Search::logits_of`].
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient_of(&mut self, of: &[usize], x: &Tensor, loss: Loss) -> Result<Evaluation> {
        let targets: Option<Vec<u32>> =
            self.targets.as_ref().map(|t| of.iter().map(|row| t[*row]).collect());
        self.gradient_toward(of, x, loss, targets.as_deref())
    }

    /// [`Search::gradient_of`] with target classes for the loss, one per row of `x`, that the attack
    /// has chosen itself. What counts as a success is still the goal of the search.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn gradient_toward(
        &mut self,
        of: &[usize],
        x: &Tensor,
        loss: Loss,
        targets: Option<&[u32]>,
    ) -> Result<Evaluation> {
        self.heed()?;
        for row in of {
            self.forwards[self.places[*row]] += 1;
            self.backwards[self.places[*row]] += 1;
        }
        let labels: Vec<u32> = of.iter().map(|row| self.labels[*row]).collect();
        let losses = Mutex::new(vec![0.0; of.len()]);
        let (logits, gradient) = self.model.gradient(x, &|first, logits| {
            let rows = first..first + logits.dim(0)?;
            let targets = targets.map(|t| &t[rows.clone()]);
            let evaluated = loss.evaluate(logits, &labels[rows.clone()], targets)?;
            let mut losses = losses.lock().unwrap_or_else(PoisonError::into_inner);
            losses[rows].copy_from_slice(&evaluated.values);
            Ok(evaluated.cotangent)
        })?;
        self.refuse_nan(of, &logits)?;
        let losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Evaluation { logits, losses, gradient })
    }

    /// The network around one candidate per active row, from one forward pass.
    ///
    /// # Errors
    /// If the network fails or returns NaN.
    pub fn linearise(&mut self, x: &Tensor) -> Result<Linearisation<'a>> {
        self.heed()?;
        for place in &self.places {
            self.forwards[*place] += 1;
        }
        let (logits, pullback) = self.model.vjp(x)?;
        let all: Vec<usize> = (0..self.len()).collect();
        self.refuse_nan(&all, &logits)?;
        Ok(Linearisation { logits, pullback })
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)`, `cotangent` `[N, K]`, at the candidates
    /// of a linearisation that was made since the last proposal; one backward pass.
    ///
    /// # Errors
    /// If the network fails.
    pub fn pull(&mut self, at: &Linearisation<'_>, cotangent: &Tensor) -> Result<Tensor> {
        for place in &self.places {
            self.backwards[*place] += 1;
        }
        at.pullback.apply(cotangent)
    }

    /// Runs `attack` on the active images, `size` at a time, as a search of its own with its own
    /// random numbers; what it breaks leaves this search too.
    ///
    /// # Errors
    /// If the attack fails.
    pub(super) fn part(&mut self, attack: &Configured, size: usize) -> Result<()> {
        let rows: Vec<usize> = (0..self.len()).collect();
        let mut broken = vec![false; self.len()];
        tracing::debug!(attack = attack.name, images = self.len(), "begins");
        for chunk in rows.chunks(size.max(1)) {
            let pick = |values: &[u32]| chunk.iter().map(|row| values[*row]).collect::<Vec<u32>>();
            let mut part = Search::new(
                (self.model, self.stop),
                self.threat,
                self.objective,
                self.noise.part(attack.name),
                rows::select(&self.clean, chunk)?,
                pick(&self.labels),
                self.targets.as_deref().map(pick),
                chunk.iter().map(|row| self.ids[*row]).collect(),
            )?;
            attack.search.run(&mut part)?;
            for (i, found) in part.found.into_iter().enumerate() {
                let place = self.places[chunk[i]];
                self.forwards[place] += part.forwards[i];
                self.backwards[place] += part.backwards[i];
                self.unconfirmed[place] += part.unconfirmed[i];
                if let Some(found) = found {
                    broken[chunk[i]] = true;
                    self.found[place] = Some(Found { by: Some(attack.name), ..found });
                }
            }
        }
        let keep: Vec<usize> = (0..self.len()).filter(|row| !broken[*row]).collect();
        tracing::debug!(attack = attack.name, left = keep.len(), "ends");
        let _ = self.keep(keep)?;
        Ok(())
    }

    /// Ends the search if the caller wants to stop.
    fn heed(&self) -> Result<()> {
        if (self.stop)() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn refuse_nan(&self, of: &[usize], logits: &Tensor) -> Result<()> {
        let classes = logits.dim(1)?.max(1);
        let bad = with_slice::<f32, _>(logits, |z| Ok(z.iter().position(|v| v.is_nan())))?;
        match bad {
            None => Ok(()),
            Some(i) => Err(Error::setting(
                format!("model {}", self.model.info().name),
                format!(
                    "returned NaN for an image derived from image {}",
                    self.ids[of[i / classes]]
                ),
                "check the weights and the normalisation of the network",
            )),
        }
    }
}
