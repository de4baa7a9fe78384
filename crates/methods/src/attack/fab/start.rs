//! Where restarts begin: half way out, in a random direction (Croce and Hein, ICML 2020,
//! section 3.3).

use crate::attack::Search;
use crate::error::Result;
use crate::rows::{self, Kernel, Rows};
use crate::threat::Norm;

/// A point in a random direction from every clean image, half of its radius away and clipped to the
/// box; the clean image itself where that is infinite. The radius is that of the closest adversarial image
/// so far, `[N]`, at most `eps`.
pub(super) fn random(
    search: &mut Search<'_>,
    norm: Norm,
    run: u32,
    closest: &Rows,
    eps: f32,
) -> Result<Rows> {
    let shape = search.shape();
    let noise = match norm {
        Norm::Linf => search.uniform_batch(run, 0, &shape)?,
        _ => search.normal_batch(run, 0, &shape)?,
    };
    let geometry = norm.geometry();
    let zeros = vec![0.0_f32; shape.iter().product()];
    let inputs = [search.clean(), &noise, closest];
    rows::map(Kernel::NONE, inputs, |_, [x0, noise, closest], x| {
        let radius = closest[0].min(eps);
        let direction = |t: &f32| if norm == Norm::Linf { 2.0 * t - 1.0 } else { *t };
        let t: Vec<f32> = noise.iter().map(direction).collect();
        x.copy_from_slice(x0);
        if radius.is_finite() {
            let scale = (0.5 * f64::from(radius) / geometry.distance(&t, &zeros)) as f32;
            for (x, t) in x.iter_mut().zip(&t) {
                *x = (*x + scale * *t).clamp(0.0, 1.0);
            }
        }
    })
}
