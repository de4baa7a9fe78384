//! What an attacker may do: a ball around the clean image in some norm, or a patch, always inside
//! the box [0, 1]. A norm is one file with a [`Geometry`] and one line in [`Norm::geometry`].

mod change;
mod l0;
mod l0_pixels;
mod l1;
mod l1_box;
mod l2;
mod linf;
mod mask;
mod patch;
mod patch_place;
mod patch_size;
mod radius;

pub use change::Change;
pub(crate) use l0::differs;
pub use l1_box::project_on_l1_ball_and_box;
pub use mask::Mask;
pub use patch::{Form, Patch, Window};
pub use patch_place::Place;
pub use patch_size::PatchSize;

use crate::error::{Error, Result};
use crate::rng::Draw;

/// Slack for the rounding of f32 pixels when a candidate is checked, relative to max(eps, 1).
pub const TOLERANCE: f64 = 1e-6;

/// A norm for perturbations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Norm {
    /// Largest absolute value.
    Linf,
    /// Euclidean length.
    L2,
    /// Sum of absolute values.
    L1,
    /// Number of values that are not 0. A pixel of C channels has C values.
    L0,
    /// Number of pixels with a value that is not 0, the L0 of most papers about images.
    #[serde(rename = "L0-pixels")]
    L0Pixels,
}

/// What an attack needs to know about a norm, for one image as a row of numbers.
pub trait Geometry: Sync {
    /// Distance of `x` from `x0`.
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64;

    /// Moves `x` to the closest point (in the Euclidean sense) of the ball of radius `eps` around
    /// `x0`, then into the box [0, 1]. `x0` is in the box, so the second step never leaves the ball.
    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32);

    /// Moves `x` by `alpha` in the direction in which a loss with gradient `g` grows fastest per
    /// unit of this norm, or for L0 inside the box.
    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32);

    /// A random point of the ball of radius `eps` around `x0`, not yet clipped to the box.
    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]);
}

impl Norm {
    /// The geometry of this norm; of pixels that of images with one channel, whose ball is the smaller one in any other.
    pub fn geometry(self) -> &'static dyn Geometry {
        match self {
            Self::Linf => &linf::Linf,
            Self::L2 => &l2::L2,
            Self::L1 => &l1::L1,
            Self::L0 | Self::L0Pixels => &l0::L0,
        }
    }

    /// The geometry of this norm for images with so many channels, C of `[C, H, W]`.
    pub fn geometry_of(self, channels: usize) -> Box<dyn Geometry> {
        match self {
            Self::Linf => Box::new(linf::Linf),
            Self::L2 => Box::new(l2::L2),
            Self::L1 => Box::new(l1::L1),
            Self::L0 => Box::new(l0::L0),
            Self::L0Pixels => Box::new(l0_pixels::L0Pixels { channels }),
        }
    }

    /// Distances are numbers of values or pixels that changed, and so whole.
    pub fn counts(self) -> bool {
        matches!(self, Self::L0 | Self::L0Pixels)
    }
}

impl Norm {
    /// Its number in kernels.
    pub(crate) fn number(self) -> usize {
        self as usize
    }
}

impl std::str::FromStr for Norm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        // Papers and libraries write it in every way.
        match &*name.to_lowercase().replace('_', "") {
            "linf" | "inf" | "l∞" => Ok(Self::Linf),
            "l2" => Ok(Self::L2),
            "l1" => Ok(Self::L1),
            "l0" => Ok(Self::L0),
            "l0-pixels" | "l0pixels" => Ok(Self::L0Pixels),
            _ => Err(Error::unknown("norm", name, ["Linf", "L2", "L1", "L0", "L0-pixels"])),
        }
    }
}

impl std::fmt::Display for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::L0Pixels => f.write_str("L0-pixels"),
            _ => write!(f, "{self:?}"),
        }
    }
}

/// A threat model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threat {
    /// Any image within `eps` of the clean one.
    Ball {
        /// The norm.
        norm: Norm,
        /// The radius; infinite for an attack that looks for the smallest perturbation.
        eps: f32,
    },
    /// Any content in one patch anywhere in the image.
    Patch(Patch),
}

impl Threat {
    /// A ball.
    pub fn ball(norm: Norm, eps: f32) -> Self {
        Self::Ball { norm, eps }
    }

    /// Distance of `x` from `x0`: in the norm of the ball, or the number of changed pixels for a
    /// patch. `channels` is C of an image `[C, H, W]`.
    pub fn distance(&self, x: &[f32], x0: &[f32], channels: usize) -> f64 {
        match self {
            Self::Ball { norm, .. } => norm.geometry_of(channels).distance(x, x0),
            Self::Patch(_) => patch::changed_pixels(x, x0, channels).count() as f64,
        }
    }

    /// Whether images at this distance are inside the ball, up to the rounding of f32 pixels. A patch has no radius.
    pub(crate) fn reaches(&self, distance: f64) -> bool {
        match self {
            Self::Ball { norm, eps } => distance <= norm.farthest(f64::from(*eps)),
            Self::Patch(_) => true,
        }
    }

    /// Whether an attacker under this threat model may turn `x0` into `x`, both `[C, H, W]`. NaN is
    /// never allowed.
    pub fn allows(&self, x: &[f32], x0: &[f32], shape: [usize; 3]) -> bool {
        let in_box = x.iter().all(|v| (0.0..=1.0).contains(v));
        in_box
            && match self {
                Self::Ball { norm, .. } => self.reaches(norm.geometry_of(shape[0]).distance(x, x0)),
                Self::Patch(patch) => patch.covers_change(x, x0, shape),
            }
    }
}

impl std::fmt::Display for Threat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ball { norm, .. } => write!(f, "{norm}"),
            Self::Patch(patch) => write!(f, "patch {patch}"),
        }
    }
}

fn clip_to_box(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
}

#[cfg(test)]
mod tests;
