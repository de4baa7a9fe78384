//! Minimum-norm attacks. Each looks for the closest adversarial image of every image, at whatever distance, so one run
//! serves every budget ([`Objective::Minimal`](super::Objective)). Nothing in the course of an image depends on the
//! others: what published code decides for a whole batch (when to stop, which rate to take) is decided per image here.

mod alma;
mod boundary;
mod boundary_step;
mod brendel_bethge;
mod ddn;
mod deepfool;
mod ead;
mod ensemble;
mod fmn;
mod pdgd;
mod pdpgd;
mod pgd_sweep;
mod primal_dual;
mod sigma_zero;
mod superdeepfool;
#[cfg(test)]
mod tests;
mod trust_region;
mod vfga;

pub(super) use self::alma::ALMA;
pub use self::alma::Alma;
pub(super) use self::brendel_bethge::BRENDEL_BETHGE;
pub use self::brendel_bethge::BrendelBethge;
pub(super) use self::ddn::DDN;
pub use self::ddn::Ddn;
pub(super) use self::deepfool::DEEPFOOL;
pub use self::deepfool::DeepFool;
pub(super) use self::ead::EAD;
pub use self::ead::Ead;
pub(super) use self::ensemble::MIN_NORM;
pub use self::ensemble::MinNorm;
pub(super) use self::fmn::FMN;
pub use self::fmn::Fmn;
pub(super) use self::pdgd::PDGD;
pub use self::pdgd::Pdgd;
pub(super) use self::pdpgd::PDPGD;
pub use self::pdpgd::Pdpgd;
pub(super) use self::pgd_sweep::PGD_SWEEP;
pub use self::pgd_sweep::PgdSweep;
pub(super) use self::sigma_zero::SIGMA_ZERO;
pub use self::sigma_zero::SigmaZero;
pub(super) use self::superdeepfool::SUPERDEEPFOOL;
pub use self::superdeepfool::SuperDeepFool;
pub(super) use self::trust_region::TRUST_REGION;
pub use self::trust_region::TrustRegion;
pub(super) use self::vfga::VFGA;
pub use self::vfga::Vfga;

use super::fab::length;
use super::gradient::ball;
use super::{Search, Threats};
use crate::error::Result;
use crate::rng::Draw;
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

/// The norms of attacks that have a form for each.
const ALL_NORMS: Threats =
    Threats::Balls(&[Norm::Linf, Norm::L2, Norm::L1, Norm::L0, Norm::L0Pixels]);

/// The norms of attacks that change few values, or few pixels.
const COUNTS: Threats = Threats::Balls(&[Norm::L0, Norm::L0Pixels]);

/// The norm of the ball that an attack was asked for; its radius is not used.
fn norm_of(threat: &Threat) -> Norm {
    ball(threat).0
}

/// Length of the longest change of every clean image inside the box, `[N]`: no adversarial image is further away.
fn reach(norm: Norm, search: &Search<'_>) -> Result<Rows> {
    let apart = counted_together(norm, search.shape());
    rows::map_to(Kernel::NONE, &[], [search.clean()], |_, [x0], reach| {
        let farthest: Vec<f32> = x0.iter().map(|x| x.max(1.0 - x)).collect();
        reach[0] = (length(norm, &farthest) / apart as f64) as f32;
    })
}

/// How many values of an image `[C, H, W]` count as one change: those of a pixel under L0-pixels. Of n values of an image,
/// n / k units are counted, of which unit u has the values u, u + n / k, u + 2 n / k, and so on.
fn counted_together(norm: Norm, [channels, ..]: [usize; 3]) -> usize {
    if norm == Norm::L0Pixels { channels.max(1) } else { 1 }
}

/// The value of step `step` of `steps` on half a cosine from `first` down to `last`.
fn cosine(first: f64, last: f64, step: usize, steps: usize) -> f64 {
    let turn = std::f64::consts::PI * step as f64 / steps as f64;
    last + 0.5 * (first - last) * (1.0 + libm::cos(turn))
}

/// The direction of the gradient `g`, of Euclidean length 1. A gradient that is zero, or not finite, has none: then it
/// is a random one, so that an image on a plateau of the loss is not given up (Rony et al., CVPR 2019, in the code).
fn direction(g: &[f32], draw: Draw) -> Vec<f64> {
    let unit = |v: &[f32]| {
        let length = length(Norm::L2, v);
        let usable = length > 0.0 && length.is_finite();
        usable.then(|| v.iter().map(|v| f64::from(*v) / length).collect())
    };
    unit(g).unwrap_or_else(|| {
        let mut random = vec![0.0_f32; g.len()];
        draw.normal(&mut random);
        unit(&random).unwrap_or_else(|| vec![0.0; g.len()])
    })
}
