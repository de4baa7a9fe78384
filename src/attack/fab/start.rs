//! Where restarts begin: half way out, in a random direction (Croce and Hein, ICML 2020,
//! section 3.3).

use candle_core::Tensor;

use crate::attack::Search;
use crate::error::Result;
use crate::ops::rows;
use crate::threat::Norm;

/// A point in a random direction from every clean image, half of `radii[row]` away and clipped to
/// the box; the clean image itself where the radius is infinite.
pub(super) fn random(
    search: &mut Search<'_>,
    norm: Norm,
    run: u32,
    radii: &[f64],
) -> Result<Tensor> {
    let shape = search.shape();
    let directions = match norm {
        Norm::Linf => {
            let uniform = search.uniform_batch(run, 0, &shape)?;
            rows::map([&uniform], |_, [u], t| {
                t.iter_mut().zip(u).for_each(|(t, u)| *t = 2.0 * *u - 1.0);
            })?
        }
        Norm::L2 | Norm::L1 => search.normal_batch(run, 0, &shape)?,
    };
    let geometry = norm.geometry();
    let zeros = vec![0.0_f32; shape.iter().product()];
    rows::map([search.clean(), &directions], |row, [x0, t], x| {
        x.copy_from_slice(x0);
        if radii[row].is_finite() {
            let scale = (0.5 * radii[row] / geometry.distance(t, &zeros)) as f32;
            for (x, t) in x.iter_mut().zip(t) {
                *x = (*x + scale * *t).clamp(0.0, 1.0);
            }
        }
    })
}
