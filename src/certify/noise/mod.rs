//! The noise that smooths a classifier: one file per family. A family says how it changes an image;
//! what its counts certify is the business of the certificate that uses it.

mod gaussian;

pub use gaussian::Gaussian;

use crate::rng::Draw;

/// A random change of an image.
pub trait Noise: Sync {
    /// Writes the changed `image` to `out`, which is as long: both are `C * H * W` pixels, `image`
    /// in [0, 1]. Nothing is clamped: the certificate is about the noise as it is. Every random
    /// number comes from `draw`.
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]);
}
