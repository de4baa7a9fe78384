//! Patch attacks: any content in one rectangle anywhere. The suite is three searches with different
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
use crate::rows::{self, Location, Rows, kernel};
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
        Threat::Ball { .. } => Patch { height: 1, width: 1 },
    }
}

/// The clean images with the content `[N, C, height, width]` pasted at each row's window, `[N, 2]`: top
/// and left. The content may be one for all.
fn paste(search: &Search<'_>, patch: Patch, windows: &Rows, content: &Rows) -> Result<Rows> {
    let shape @ [channels, height, width] = search.shape();
    let shared = content.is_for_all();
    let kernel = kernel!("paste", channels, height, width, patch.height, patch.width, shared);
    let inputs = [search.clean(), windows, content];
    rows::map(kernel, inputs, |_, [clean, window, content], x| {
        x.copy_from_slice(clean);
        for (i, value) in patch.elements(window_of(window), shape).zip(content) {
            x[i] = *value;
        }
    })
}

/// The window that a row names.
fn window_of(row: &[f32]) -> Window {
    Window { top: row[0] as usize, left: row[1] as usize }
}

/// A window for each row, `[N, 2]`.
fn windows_of(place: &Location, windows: &[Window]) -> Result<Rows> {
    let numbers = windows.iter().flat_map(|window| [window.top as f32, window.left as f32]);
    Rows::new(place, [windows.len(), 2], numbers.collect())
}

/// The content of an occlusion.
fn grey(search: &Search<'_>, patch: Patch) -> Result<Rows> {
    let area = search.shape()[0] * patch.height * patch.width;
    Rows::for_all(search.location(), vec![GREY_VALUE; area])
}

/// Signed gradient steps inside each row's window, `[N, 2]`, every iterate judged. Returns early when
/// every image is broken; `windows` follows the active set.
fn descend_inside(
    search: &mut Search<'_>,
    patch: Patch,
    windows: &mut Rows,
    mut x: Rows,
    steps: usize,
    alpha: f32,
) -> Result<()> {
    let shape @ [_, height, width] = search.shape();
    for _ in 0..steps {
        let mut at = search.gradient(&x, crate::loss::Loss::CrossEntropy)?;
        let columns = (&mut x, &mut at.gradient, &mut *windows);
        search.propose(&columns.0.clone(), &at.logits, columns)?;
        if search.is_empty() {
            return Ok(());
        }
        let kernel = kernel!("patch_step", height, width, patch.height, patch.width, alpha);
        x = rows::map(kernel, [&x, &at.gradient, &*windows], |_, [x, g, window], next| {
            next.copy_from_slice(x);
            for i in patch.elements(window_of(window), shape) {
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
