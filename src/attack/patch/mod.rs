//! Patch attacks: any content in one rectangle anywhere. The suite is three searches with different
//! weaknesses (gradients at random places, gradients at a searched place, random search without
//! gradients) and two controls; its number is the worst case of the searches per image.

mod controls;
mod pgd;
mod random_search;
mod roa;

use candle_core::Tensor;

use super::Search;
use crate::error::Result;
use crate::ops::rows;
use crate::threat::{Patch, Threat, Window};

pub(super) use controls::{GREY, RANDOM_NOISE};
pub(super) use pgd::PATCH_PGD;
pub(super) use random_search::PATCH_RS;
pub(super) use roa::ROA;

/// The attacks of the suite, in order, controls last.
pub const SUITE: [&str; 5] = ["patch-pgd", "roa", "patch-rs", "random-noise", "grey"];

/// Value of the occlusion that places are compared with: the middle of the box.
const GREY_VALUE: f32 = 0.5;

fn patch_of(threat: &Threat) -> Patch {
    match threat {
        Threat::Patch(patch) => *patch,
        // `configure` lets only patches through to these attacks.
        Threat::Ball { .. } => Patch { height: 1, width: 1 },
    }
}

/// The clean images with `fill(row, content)` pasted at each row's window; the content is
/// `[C, height, width]`.
fn paste(
    search: &Search<'_>,
    patch: Patch,
    windows: &[Window],
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<Tensor> {
    let shape = search.shape();
    let area = shape[0] * patch.height * patch.width;
    rows::map([search.clean()], |row, [clean], x| {
        x.copy_from_slice(clean);
        let mut content = vec![0.0; area];
        fill(row, &mut content);
        for (i, value) in patch.elements(windows[row], shape).zip(content) {
            x[i] = value;
        }
    })
}

/// Signed gradient steps inside each row's window, every iterate judged. Returns early when every
/// image is broken; `windows` follows the active set.
fn descend_inside(
    search: &mut Search<'_>,
    patch: Patch,
    windows: &mut Vec<Window>,
    mut x: Tensor,
    steps: usize,
    alpha: f32,
) -> Result<()> {
    let shape = search.shape();
    for _ in 0..steps {
        let mut at = search.gradient(&x, crate::loss::Loss::CrossEntropy)?;
        let kept = search.propose(&x, &at.logits)?;
        kept.shrink(&mut x)?;
        kept.shrink(&mut at.gradient)?;
        kept.shrink_values(windows);
        if search.is_empty() {
            return Ok(());
        }
        let places = &*windows;
        x = rows::map([&x, &at.gradient], |row, [x, g], next| {
            next.copy_from_slice(x);
            for i in patch.elements(places[row], shape) {
                let direction = if g[i] > 0.0 {
                    1.0
                } else if g[i] < 0.0 {
                    -1.0
                } else {
                    0.0
                };
                next[i] = (x[i] + alpha * direction).clamp(0.0, 1.0);
            }
        })?;
    }
    let logits = search.logits(&x)?;
    search.propose(&x, &logits)?.shrink_values(windows);
    Ok(())
}
