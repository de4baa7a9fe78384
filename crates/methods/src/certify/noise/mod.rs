//! The noise that smooths a classifier: one file per family. A family says how it changes an image and
//! what it proves of a class that is common under it: the norm and the radius. Radii are for the
//! probabilities of exact arithmetic; only [`Lattice`] accounts for the rounding of f32 pixels.

mod ablation;
mod family;
mod gaussian;
mod laplace;
mod lattice;
mod uniform;

pub use ablation::RandomAblation;
pub use family::Family;
pub use gaussian::Gaussian;
pub use laplace::Laplace;
pub use lattice::Lattice;
pub use uniform::Uniform;

use crate::model::PixelNoise;
use crate::rng::Draw;

/// What a radius is measured in. L0 counts pixels, all channels of a pixel together; the others sum
/// over all values of the image in pixel units of [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertifiedNorm {
    /// Number of changed pixels.
    L0,
    /// Sum of absolute values.
    L1,
    /// Euclidean length.
    L2,
    /// Largest absolute value.
    Linf,
}

impl CertifiedNorm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::L0, Self::L1, Self::L2, Self::Linf];
}

impl std::fmt::Display for CertifiedNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A random change of an image.
pub trait Noise: Sync {
    /// Writes the changed `image` to `out`, which is as long: both are `C * H * W` pixels, `image`
    /// in [0, 1]. Nothing is clamped: the certificate is about the noise as it is. Every random
    /// number comes from `draw`.
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]);

    /// The noise as networks on GPUs draw it themselves, if they can.
    fn of_pixels(&self) -> Option<PixelNoise> {
        None
    }

    /// Norms in which [`radius`](Self::radius) knows a radius, the family's own first.
    fn norms(&self) -> &'static [CertifiedNorm];

    /// R, the radius in `norm` inside which a class whose probability is at least `p_low`, in [1/2, 1),
    /// remains the most probable one, for images of `dimension` values; rounded down. `None` if
    /// nothing is proved: in a norm that the family knows nothing about, or for a probability that
    /// is not above 1/2 after all that has to be taken off.
    fn radius(&self, norm: CertifiedNorm, p_low: f64, dimension: usize) -> Option<f64>;

    /// Why an image cannot be smoothed by this noise, if it cannot.
    fn refuses(&self, _image: &[f32]) -> Option<String> {
        None
    }
}

/// Takes off what a few correctly rounded operations and functions that are right to two units of the
/// last place may have added. A zero has no sign.
fn down(radius: f64) -> f64 {
    (radius * (1.0 - 16.0 * f64::EPSILON)).max(0.0) + 0.0
}
