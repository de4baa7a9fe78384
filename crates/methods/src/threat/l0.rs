//! The L0 ball: any eps values of the image may become anything in the box, and all others stay as they are. A value is
//! one number of the image, so a pixel of a colour image has three; [`super::l0_pixels`] counts pixels. L0 is called a norm as in the literature, which it is
//! not; its ball is not convex, and distances in it are whole numbers.

use super::{Geometry, clip_to_box};
use crate::rng::Draw;

pub(super) struct L0;

/// Whether a value is another one than the clean one, by whatever little.
pub(crate) fn differs(x: f32, x0: f32) -> bool {
    x.to_bits() != x0.to_bits()
}

/// How many values, or pixels, an image of the ball of radius `eps` may change.
pub(super) fn whole(eps: f32) -> usize {
    f64::from(eps).floor() as usize
}

/// Indices of the `most` largest values above 0, in no order; of equals the first ones.
pub(super) fn largest(values: &[f64], most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| values[*i] > 0.0).collect();
    if most < order.len() {
        order.select_nth_unstable_by(most, |a, b| {
            values[*b].total_cmp(&values[*a]).then_with(|| a.cmp(b))
        });
        order.truncate(most);
    }
    order
}

impl Geometry for L0 {
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64 {
        x.iter().zip(x0).filter(|(x, x0)| differs(**x, **x0)).count() as f64
    }

    /// The closest point of ball and box together: by how much the square of the distance to `x` falls where a value
    /// may change says which values do. The others, and those that the box sends back, get the clean value itself.
    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32) {
        let gain = |(x, x0): (&f32, &f32)| {
            let [kept, x, x0] = [x.clamp(0.0, 1.0), *x, *x0].map(f64::from);
            (kept - x0) * (2.0 * x - kept - x0)
        };
        let gains: Vec<f64> = x.iter().zip(x0).map(gain).collect();
        let mut projected = x0.to_vec();
        for i in largest(&gains, whole(eps)) {
            projected[i] = x[i];
        }
        x.copy_from_slice(&projected);
        clip_to_box(x);
    }

    /// The `alpha` values that gain most go to the end of the box.
    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32) {
        let gain = |(x, g): (&f32, &f32)| {
            let room = if *g > 0.0 { 1.0 - *x } else { *x };
            f64::from(room) * f64::from(g.abs())
        };
        let gains: Vec<f64> = x.iter().zip(g).map(gain).collect();
        for i in largest(&gains, whole(alpha)) {
            x[i] = if g[i] > 0.0 { 1.0 } else { 0.0 };
        }
    }

    /// `eps` values at random places, each uniform in the box.
    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]) {
        let mut uniform = vec![0.0_f32; x0.len()];
        draw.uniform(&mut uniform);
        // The places of the largest of independent numbers are every set of places alike.
        let places: Vec<f64> =
            (0..x0.len()).map(|i| draw.uniform_f64((x0.len() + i) as u32)).collect();
        x.copy_from_slice(x0);
        for i in largest(&places, whole(eps)) {
            x[i] = uniform[i];
        }
    }
}
