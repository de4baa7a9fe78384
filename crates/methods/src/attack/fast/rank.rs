//! Which classes are near: MALT's order (Melamed, Yehudai and Vardi, 2024, arXiv 2407.02240). A class that is
//! behind by a small margin may be far, because the margin changes slowly; what counts is the margin over the
//! length of its gradient, the distance to the class in the linearised network.

use crate::attack::Search;
use crate::attack::fab::{dual, length};
use crate::error::Result;
use crate::loss::{Loss, descending};
use crate::rows::{self, Kernel, Rows};
use crate::threat::Norm;

/// What the clean image says.
pub(super) struct Ranked {
    /// Its margin: positive, because the image is classified correctly.
    pub(super) margin: f32,
    /// The other classes, the nearest first.
    pub(super) nearest: Vec<u32>,
}

/// For every active image its margin and those `most` other classes with the largest logits, all of them if there
/// are not more, the nearest in `norm` first. One forward pass, and a backward pass for each class.
///
/// # Errors
/// If the network fails.
pub(super) fn classes(search: &mut Search<'_>, norm: Norm, most: usize) -> Result<Vec<Ranked>> {
    let clean = search.clean().clone();
    let at = search.linearise(&clean)?;
    let (classes, labels) = (search.classes(), search.labels().to_vec());
    let logits = at.logits.values()?;
    let logits: Vec<&[f32]> = logits.chunks_exact(classes).collect();
    let largest = |(z, label): (&&[f32], &u32)| -> Vec<usize> {
        let others = descending(z).into_iter().filter(|class| *class != *label as usize);
        others.take(most).collect()
    };
    let others: Vec<Vec<usize>> = logits.iter().zip(&labels).map(largest).collect();
    let mut distances = vec![Vec::new(); search.len()];
    for rank in 0..others.first().map_or(0, Vec::len) {
        let mut cotangent = vec![0.0_f32; search.len() * classes];
        for ((w, others), label) in cotangent.chunks_exact_mut(classes).zip(&others).zip(&labels) {
            w[others[rank]] = 1.0;
            w[*label as usize] = -1.0;
        }
        let cotangent = Rows::new(search.location(), [search.len(), classes], cotangent)?;
        let gradient = search.pull(&at, &cotangent)?;
        let slopes = rows::map_to(Kernel::NONE, &[], [&gradient], |_, [g], slope| {
            slope[0] = length(dual(norm), g) as f32;
        })?;
        for (row, slope) in slopes.values()?.iter().enumerate() {
            let (z, class) = (logits[row], others[row][rank]);
            let margin = z[labels[row] as usize] - z[class];
            // No slope leads nowhere.
            distances[row]
                .push((if *slope > 0.0 { margin / slope } else { f32::INFINITY }, class as u32));
        }
    }
    let margins = search.losses(&at.logits, Loss::Margin)?.values()?;
    let ranked = |(mut of, margin): (Vec<(f32, u32)>, &f32)| {
        of.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ranked { margin: -margin, nearest: of.into_iter().map(|(_, class)| class).collect() }
    };
    Ok(distances.into_iter().zip(margins.iter()).map(ranked).collect())
}
