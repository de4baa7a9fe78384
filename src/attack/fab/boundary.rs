//! The hyperplane FAB moves to: where the network, linearised at a candidate, is as certain of
//! another class as of the right one (Croce and Hein, ICML 2020, section 3.2).

use candle_core::{Device, Tensor};

use super::projection::{dual, length};
use crate::attack::{Linearisation, Search};
use crate::error::Result;
use crate::ops::{rows, with_slice};
use crate::threat::Norm;

/// For every row, the hyperplane w . z = w . x - df.
pub(super) struct Boundary {
    /// `[N, C, H, W]`.
    pub(super) w: Tensor,
    /// Logit of the other class minus that of the right one, at x.
    pub(super) df: Vec<f32>,
}

/// The boundary of every row with its class, from one backward pass.
pub(super) fn with_class(
    search: &mut Search<'_>,
    at: &Linearisation<'_>,
    class: &[u32],
) -> Result<Boundary> {
    let (n, classes) = at.logits.dims2()?;
    let labels = search.labels();
    let mut cotangent = vec![0.0_f32; n * classes];
    for (row, g) in cotangent.chunks_exact_mut(classes).enumerate() {
        g[class[row] as usize] += 1.0;
        g[labels[row] as usize] -= 1.0;
    }
    let df = with_slice::<f32, Vec<f32>>(&at.logits, |z| {
        let difference =
            |(row, z): (usize, &[f32])| z[class[row] as usize] - z[labels[row] as usize];
        Ok(z.chunks_exact(classes).enumerate().map(difference).collect())
    })?;
    let w = search.pull(at, &Tensor::from_vec(cotangent, (n, classes), &Device::Cpu)?)?;
    Ok(Boundary { w, df })
}

/// The boundary of every row that is nearest to it in `norm`, of those with all other classes; one
/// backward pass for each. Of equally near ones, that with the first class.
pub(super) fn nearest(
    search: &mut Search<'_>,
    at: &Linearisation<'_>,
    norm: Norm,
) -> Result<Boundary> {
    let others = at.logits.dim(1)? as u32 - 1;
    let class = |search: &Search<'_>, k: u32| -> Vec<u32> {
        search.labels().iter().map(|label| k + u32::from(k >= *label)).collect()
    };
    let distances = |boundary: &Boundary| {
        rows::reduce([&boundary.w], |row, [w]| {
            f64::from(boundary.df[row].abs()) / (1e-12 + length(dual(norm), w))
        })
    };
    let first = class(search, 0);
    let mut best = with_class(search, at, &first)?;
    let mut least = distances(&best)?;
    for k in 1..others {
        let class = class(search, k);
        let next = with_class(search, at, &class)?;
        let distance = distances(&next)?;
        let nearer: Vec<bool> = distance.iter().zip(&least).map(|(d, least)| d < least).collect();
        best.w = rows::map([&best.w, &next.w], |row, [old, new], w| {
            w.copy_from_slice(if nearer[row] { new } else { old });
        })?;
        for row in (0..nearer.len()).filter(|row| nearer[*row]) {
            (best.df[row], least[row]) = (next.df[row], distance[row]);
        }
    }
    Ok(best)
}
