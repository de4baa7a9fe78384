//! Patch attacks: any content in one patch anywhere. The suite is three searches with different
//! weaknesses (gradients at many places, of which the better ones are kept, gradients at the one place that a grey
//! rectangle names, random search without gradients) and two controls; its number is the worst case of the searches
//! per image.

mod controls;
mod pgd;
mod random_search;
mod roa;
mod search;

use super::Search;
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Kernel, Location, Rows, kernel};
use crate::threat::{Patch, Threat, Window};

pub(super) use controls::{GREY, RANDOM_NOISE};
pub use controls::{Grey, RandomNoise};
pub(super) use pgd::PATCH_PGD;
pub use pgd::PatchPgd;
pub(super) use random_search::PATCH_RS;
pub use random_search::PatchRs;
pub(super) use roa::ROA;
pub use roa::Roa;
pub(super) use search::PATCH_SEARCH;
pub use search::PatchSearch;

/// The attacks of the suite, in order, controls last.
pub const SUITE: [&str; 5] = ["patch-search", "roa", "patch-rs", "random-noise", "grey"];

/// Value of the occlusion that places are compared with: the middle of the box.
const GREY_VALUE: f32 = 0.5;

fn patch_of(threat: &Threat) -> Patch {
    match threat {
        Threat::Patch(patch) => *patch,
        // `configure` lets only patches through to these attacks.
        Threat::Ball { .. } => Patch::rectangle(1, 1),
    }
}

/// The kernel, where the patch is one rectangle: they know no others, and the host stands in.
fn of_rectangles(patch: Patch, kernel: Kernel) -> Kernel {
    if patch.is_rectangle() { kernel } else { Kernel::NONE }
}

/// The clean images with the content `[N, count * C, height, width]` pasted at each row's windows, `[N, 2 * count]`: top
/// and left of each. The content may be one for all.
fn paste(search: &Search<'_>, patch: Patch, windows: &Rows, content: &Rows) -> Result<Rows> {
    let shape @ [channels, height, width] = search.shape();
    let shared = content.is_for_all();
    let kernel = kernel!("paste", channels, height, width, patch.height, patch.width, shared);
    let kernel = of_rectangles(patch, kernel);
    let inputs = [search.clean(), windows, content];
    rows::map(kernel, inputs, |_, [clean, window, content], x| {
        x.copy_from_slice(clean);
        let of_each = content.chunks_exact(channels * patch.height * patch.width);
        for (window, content) in windows_in(window).zip(of_each) {
            for (i, inside) in patch.elements(window, shape) {
                x[i] = content[inside];
            }
        }
    })
}

/// The windows that a row names, one for each patch.
fn windows_in(row: &[f32]) -> impl Iterator<Item = Window> {
    row.chunks_exact(2).map(|at| Window { top: at[0] as usize, left: at[1] as usize })
}

/// `count` windows for each row, `[N, 2 * count]`, from those of the first row on.
fn windows_of(place: &Location, count: usize, windows: &[Window]) -> Result<Rows> {
    let numbers = windows.iter().flat_map(|window| [window.top as f32, window.left as f32]);
    Rows::new(place, [windows.len() / count.max(1), 2 * count], numbers.collect())
}

/// All patches of every row at the same window.
fn all_at(search: &Search<'_>, patch: Patch, window: Window) -> Result<Rows> {
    let windows = vec![window; search.len() * patch.count];
    windows_of(search.location(), patch.count, &windows)
}

/// The content of an occlusion.
fn grey(search: &Search<'_>, patch: Patch) -> Result<Rows> {
    let area = search.shape()[0] * patch.height * patch.width * patch.count;
    Rows::for_all(search.location(), vec![GREY_VALUE; area])
}

/// Steps on the content of a patch.
#[derive(Clone, Copy)]
struct Descent {
    /// What they climb.
    loss: Loss,
    steps: usize,
    /// Length of a step in every pixel.
    alpha: f32,
}

/// Signed gradient steps inside each row's windows, `[N, 2 * count]`, every iterate judged. Returns early when
/// every image is broken; `windows` follows the active set.
fn descend_inside(
    search: &mut Search<'_>,
    patch: Patch,
    windows: &mut Rows,
    mut x: Rows,
    descent: Descent,
) -> Result<()> {
    let Descent { loss, steps, alpha } = descent;
    let shape @ [_, height, width] = search.shape();
    for _ in 0..steps {
        let mut at = search.gradient(&x, loss)?;
        let columns = (&mut x, &mut at.gradient, &mut *windows);
        search.propose(&columns.0.clone(), &at.logits, columns)?;
        if search.is_empty() {
            return Ok(());
        }
        let kernel = kernel!("patch_step", height, width, patch.height, patch.width, alpha);
        let kernel = of_rectangles(patch, kernel);
        x = rows::map(kernel, [&x, &at.gradient, &*windows], |_, [x, g, window], next| {
            next.copy_from_slice(x);
            // Where patches overlap, they make the same step.
            for (i, _) in windows_in(window).flat_map(|at| patch.elements(at, shape)) {
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
    search.propose(&x, &logits, windows)
}

#[cfg(test)]
mod tests;
