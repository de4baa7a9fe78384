//! The network under test as the rest of the house sees it: images in, logits out, and on request
//! the gradient with respect to the images. Attacks and certificates know this trait only, never a
//! concrete network.

mod candle;
mod card;
pub mod checkpoint;
mod ensemble;
pub mod file;
mod frozen;
mod in_f64;
pub mod onnx;
mod placement;
mod prediction;
pub mod timm;

pub use candle::CandleClassifier;
pub use card::{CARD_VERSION, ModelCard};
pub use ensemble::{Average, ensemble};
pub use frozen::FrozenNetwork;
pub use prediction::{VOTES, predicted, predictions};

pub use crate::cuda::{Noisy, PixelNoise};
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{Location, Rows};

/// What a result file has to say about the network it is about.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
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

impl ModelInfo {
    /// Of a network from images of this shape, `[C, H, W]`, to this many classes, whose architecture is `custom` and
    /// whose weights are from no file; it draws no random numbers and optimises nothing. What is known besides is
    /// for the caller to set.
    pub fn new(name: impl Into<String>, input_shape: [usize; 3], classes: usize) -> Self {
        Self {
            name: name.into(),
            architecture: "custom".into(),
            input_shape,
            classes,
            parameters: 0,
            sha256: String::new(),
            identity: String::new(),
            randomised: false,
            optimises_in_forward: false,
        }
    }
}

/// A frozen image classifier: a fixed function from images to logits. Batches may be in the computer's memory
/// or at [`Classifier::location`]; what comes out is where the images are.
pub trait Classifier: Send + Sync {
    /// Name, shapes and identity.
    fn info(&self) -> &ModelInfo;

    /// Logits `[N, K]` of `images` `[N, C, H, W]` in [0, 1]. An image's logits do not depend on the
    /// other images of the batch.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn logits(&self, images: &Rows) -> Result<Rows>;

    /// Logits `[N, K]` and the means to pull cotangents back to the images, from one forward.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)>;

    /// Logits, losses and their gradients, from one forward and one backward pass; `labels` and `targets`
    /// are those of [`Loss::evaluate`], `[N]`, the targets [`Rows::none`] for an untargeted loss. A network
    /// that works through the batch in parts needs no more memory than for the parts at hand.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    fn evaluate(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        let (logits, pull) = self.linearise(images)?;
        let targets = targets.given().map(Rows::to_classes).transpose()?;
        let at = loss.evaluate(&logits.tensor()?, &labels.to_classes()?, targets.as_deref())?;
        let place = images.location();
        let gradient = pull(&Rows::of_tensor(&at.cotangent)?.at(&place)?)?;
        Ok(Evaluation { logits, losses: Rows::numbers(&place, at.values)?, gradient })
    }

    /// The logits `[N, K]` that results are judged by.
    ///
    /// # Errors
    /// As [`Classifier::logits`].
    fn exact_logits(&self, images: &Rows) -> Result<Rows> {
        self.logits(images)
    }

    /// Where it wants batches that it is asked about again and again: in the memory of its device, if it
    /// has one of its own.
    fn location(&self) -> Location {
        Location::default()
    }

    /// How it is to be used.
    fn usage(&self) -> Usage {
        Usage::default()
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

/// How a network is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Batches that it can work on side by side: the threads of this process, or the GPUs.
    pub lanes: usize,
    /// Images at a time that suit its device, if it has one of its own.
    pub batch: Option<usize>,
    /// Logits and gradients are in a lower precision than [`Classifier::exact_logits`]: good for a search,
    /// and not for its result.
    pub approximates: bool,
}

impl Default for Usage {
    /// On the threads of this process.
    fn default() -> Self {
        Self { lanes: rayon::current_num_threads(), batch: None, approximates: false }
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

/// Maps a cotangent of the logits, `[N, K]`, to the gradient `[N, C, H, W]` of `sum(logits * cotangent)`
/// with respect to the images; as often as wanted.
pub type Pull<'a> = Box<dyn Fn(&Rows) -> Result<Rows> + Send + 'a>;
