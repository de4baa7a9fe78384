//! What every row of a table says, whatever its kind: which image it is about, what it claims, and what
//! it says of the network itself.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::threat::Change;

/// What a line of a table holds.
pub trait Line: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Line for T {}

/// A row of a job's table: what the job found out about one image.
pub trait Row: Line + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// Index of the image in its data set.
    fn idx(&self) -> u64;

    /// Digest of the image with its label ([`Batch::digests`](crate::data::Batch::digests)).
    fn image(&self) -> &str;

    /// True class.
    fn label(&self) -> u32;

    /// How many images it is about. A row that is about a list of images is taken up by a later one of its
    /// index that is about more images of the same list.
    fn images(&self) -> usize {
        1
    }

    /// What cannot be in this row, in a few words; `None` if it makes sense.
    fn problem(&self) -> Option<String>;

    /// The row without the time that it took, which no other computation repeats.
    #[must_use]
    fn untimed(&self) -> Self;

    /// Start of the identity of the network, if the row states it.
    fn model(&self) -> Option<&str> {
        None
    }

    /// How much the row proves, correct predictions first; of several rows about one image the weakest
    /// is believed.
    fn strength(&self) -> (u8, f64) {
        (0, 0.0)
    }

    /// What the row says of the network itself; `None` if it is about a network behind a defence.
    fn seen(&self) -> Option<Seen> {
        None
    }

    /// Radius of the ball around the image, in the threat's norm, in which the prediction of the network
    /// itself was proven correct.
    fn proven(&self) -> Option<f64> {
        None
    }
}

/// What a row says of the network itself at one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Predicted class of the clean image.
    pub clean: u32,
    /// The adversarial image that was found, if any.
    pub adversarial: Option<Adversarial>,
}

/// An adversarial image: the clean one is classified correctly, it is not. It counts under every threat
/// model that it lies inside, whatever it was searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adversarial {
    /// Its predicted class.
    pub prediction: u32,
    /// How it differs from the clean image.
    pub change: Change,
}
