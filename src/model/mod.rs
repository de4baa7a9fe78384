//! The network under test as the rest of the house sees it: images in, logits out, and on request
//! the gradient with respect to the images. Attacks and certificates know this trait only, never a
//! concrete network.

mod candle;
mod card;
pub mod checkpoint;
mod ensemble;
pub mod file;
mod frozen;
mod prediction;

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;

pub use candle::CandleClassifier;
pub use card::{CARD_VERSION, ModelCard};
pub use ensemble::{Average, ensemble};
pub use frozen::FrozenNetwork;
pub(crate) use prediction::{VOTES, predicted, predictions};

pub use crate::cuda::{Noisy, PixelNoise};
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{Place, Rows};

/// What a result file has to say about the network it is about.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ModelInfo {
    /// Short name for tables.
    pub name: String,
    /// Architecture name, as in the zoo; `custom` for a user's own module.
    pub architecture: String,
    /// Shape of one input image, `[C, H, W]`.
    pub input_shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Number of weights.
    pub parameters: usize,
    /// Lower-case hex SHA-256 of the weight file; empty if there is none.
    pub sha256: String,
    /// SHA-256 of what the network computes with: weights, architecture, parameters, normalisation.
    /// Files that differ in their names or notes alone share it; empty if nothing is known about it.
    pub identity: String,
    /// The forward pass draws random numbers, by the author's declaration. Predictions are then the
    /// most frequent of several.
    pub randomised: bool,
    /// The forward pass runs an optimisation (purification, adaptation), by the author's declaration:
    /// nothing finds it out from outside.
    pub optimises_in_forward: bool,
}

/// A frozen image classifier: a fixed function from images to logits.
pub trait Classifier: Send + Sync {
    /// Name, shapes and identity.
    fn info(&self) -> &ModelInfo;

    /// Logits `[N, K]` of `images` `[N, C, H, W]` in [0, 1]. An image's logits do not depend on the
    /// other images of the batch.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn logits(&self, images: &Tensor) -> Result<Tensor>;

    /// Logits `[N, K]` and the means to pull cotangents back to the images, from one forward.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn vjp(&self, images: &Tensor) -> Result<(Tensor, Pullback<'_>)>;

    /// Logits `[N, K]` and the gradient `[N, C, H, W]` for a cotangent that follows from the logits,
    /// from one forward and one backward pass. A network that works through the batch in parts needs
    /// no more memory than for the parts at hand.
    ///
    /// # Errors
    /// If the shapes do not fit, the device fails or `cotangent` does.
    fn gradient(&self, images: &Tensor, cotangent: &Cotangent<'_>) -> Result<(Tensor, Tensor)> {
        let (logits, pullback) = self.vjp(images)?;
        let gradient = pullback.apply(&cotangent(0, &logits)?)?;
        Ok((logits, gradient))
    }

    /// Batches that it can work on side by side: the threads of this process, or the GPUs.
    fn lanes(&self) -> usize {
        rayon::current_num_threads()
    }

    /// Images at a time that suit its device, if it has one of its own.
    fn batch(&self) -> Option<usize> {
        None
    }

    /// Where it wants the batches of the functions on [`Rows`]: in the memory of its device, if it has
    /// one of its own.
    fn home(&self) -> Place {
        Place::default()
    }

    /// [`Classifier::logits`] of a batch at [`Classifier::home`].
    ///
    /// # Errors
    /// As there.
    fn logits_of(&self, images: &Rows) -> Result<Rows> {
        Rows::from_tensor(&images.place(), &self.logits(&images.tensor()?)?)
    }

    /// Logits, losses and their gradients at a batch at [`Classifier::home`], from one forward and one
    /// backward pass; `labels` and `targets` are those of [`Loss::evaluate`], `[N]`, the targets
    /// [`Rows::none`] for an untargeted loss.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn losses_of(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        losses_by_tensors(self, images, loss, labels, targets)
    }

    /// [`Classifier::vjp`] around a batch at [`Classifier::home`].
    ///
    /// # Errors
    /// As there.
    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        linearise_by_tensors(self, images)
    }

    /// Whether logits and gradients are in a lower precision than [`Classifier::judged`]: good for a
    /// search, and not for its result.
    fn approximates(&self) -> bool {
        false
    }

    /// The logits `[N, K]` that results are judged by.
    ///
    /// # Errors
    /// As [`Classifier::logits`].
    fn judged(&self, images: &Tensor) -> Result<Tensor> {
        self.logits(images)
    }

    /// The class of every noisy copy (`None` where a logit is NaN) without the copies leaving the device
    /// of the network; `None` if it has no device of its own.
    ///
    /// # Errors
    /// As [`Classifier::logits`].
    fn noisy_classes(&self, noisy: &Noisy<'_>) -> Result<Option<Vec<Option<u32>>>> {
        let _ = noisy;
        Ok(None)
    }
}

/// Logits, losses and the gradient of a batch of images.
#[derive(Debug)]
pub struct Evaluation {
    /// `[N, K]`.
    pub logits: Rows,
    /// The loss of each image, `[N]`.
    pub losses: Rows,
    /// Gradient of each image's loss with respect to the image, `[N, C, H, W]`.
    pub gradient: Rows,
}

/// Gives the cotangent `[n, K]` for the logits `[n, K]` of the images `first..first + n` of a batch,
/// from `(first, logits)`.
pub type Cotangent<'a> = dyn Fn(usize, &Tensor) -> Result<Tensor> + Sync + 'a;

/// Maps a cotangent of the logits, `[N, K]`, to the gradient of the images, `[N, C, H, W]`; as often
/// as wanted.
pub struct Pullback<'a>(Box<PullTensor<'a>>);

type PullTensor<'a> = dyn Fn(&Tensor) -> Result<Tensor> + Send + 'a;

/// A [`Pullback`] on rows.
pub type Pull<'a> = Box<dyn Fn(&Rows) -> Result<Rows> + Send + 'a>;

impl<'a> Pullback<'a> {
    /// Wraps the function.
    pub fn new(pull: impl Fn(&Tensor) -> Result<Tensor> + Send + 'a) -> Self {
        Self(Box::new(pull))
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)` with respect to the images.
    ///
    /// # Errors
    /// If the cotangent's shape is not that of the logits or the device fails.
    pub fn apply(&self, cotangent: &Tensor) -> Result<Tensor> {
        (self.0)(cotangent)
    }
}

/// [`Classifier::losses_of`] for a network that works on tensors.
fn losses_by_tensors<C: Classifier + ?Sized>(
    model: &C,
    images: &Rows,
    loss: Loss,
    labels: &Rows,
    targets: &Rows,
) -> Result<Evaluation> {
    let (labels, place) = (labels.to_classes()?, images.place());
    let targets = targets.given().map(Rows::to_classes).transpose()?;
    let losses = Mutex::new(vec![0.0; labels.len()]);
    let (logits, gradient) = model.gradient(&images.tensor()?, &|first, logits| {
        let rows = first..first + logits.dim(0)?;
        let targets = targets.as_ref().map(|targets| &targets[rows.clone()]);
        let evaluated = loss.evaluate(logits, &labels[rows.clone()], targets)?;
        let mut losses = losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses[rows].copy_from_slice(&evaluated.values);
        Ok(evaluated.cotangent)
    })?;
    let losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Evaluation {
        logits: Rows::from_tensor(&place, &logits)?,
        losses: Rows::numbers(&place, losses)?,
        gradient: Rows::from_tensor(&place, &gradient)?,
    })
}

/// [`Classifier::linearise`] for a network that works on tensors.
fn linearise_by_tensors<'a, C: Classifier + ?Sized>(
    model: &'a C,
    images: &Rows,
) -> Result<(Rows, Pull<'a>)> {
    let (logits, pullback) = model.vjp(&images.tensor()?)?;
    let place = images.place();
    let logits = Rows::from_tensor(&place, &logits)?;
    let pull =
        move |cotangent: &Rows| Rows::from_tensor(&place, &pullback.apply(&cotangent.tensor()?)?);
    Ok((logits, Box::new(pull)))
}
