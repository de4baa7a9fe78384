//! The L0 ball of pixels: all channels of any eps pixels may become anything in the box, and all other pixels stay as they
//! are. It is the L0 of most papers about images (Croce and Hein, ICCV 2019, section 2; Croce et al., AAAI 2022), where
//! [`super::l0`] counts the values themselves. In an image of one channel both are the same.

use super::l0::{differs, largest, whole};
use super::{Geometry, clip_to_box};
use crate::rng::Draw;

/// Images `[C, H, W]` as rows of numbers: the values of a pixel are H * W numbers apart.
pub(super) struct L0Pixels {
    /// C.
    pub(super) channels: usize,
}

impl L0Pixels {
    /// Number of pixels of an image of so many values.
    fn pixels(&self, values: usize) -> usize {
        values / self.channels.max(1)
    }

    /// What `of` says of the values of each pixel, summed.
    fn sums(&self, values: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let pixels = self.pixels(values);
        (0..pixels).map(|pixel| (pixel..values).step_by(pixels.max(1)).map(&of).sum()).collect()
    }

    /// The values of these pixels.
    fn values(&self, values: usize, pixels: Vec<usize>) -> impl Iterator<Item = usize> {
        let apart = self.pixels(values).max(1);
        pixels.into_iter().flat_map(move |pixel| (pixel..values).step_by(apart))
    }
}

impl Geometry for L0Pixels {
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64 {
        let changed = self.sums(x.len(), |i| f64::from(u8::from(differs(x[i], x0[i]))));
        changed.iter().filter(|changed| **changed > 0.0).count() as f64
    }

    /// The closest point of ball and box together, as for values: a pixel gains what its values gain. A value that the box
    /// sends back gets the clean value itself.
    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32) {
        let gain = |i: usize| {
            let [kept, x, x0] = [x[i].clamp(0.0, 1.0), x[i], x0[i]].map(f64::from);
            (kept - x0) * (2.0 * x - kept - x0)
        };
        let chosen = largest(&self.sums(x.len(), gain), whole(eps));
        let mut projected = x0.to_vec();
        for i in self.values(x.len(), chosen).filter(|i| gain(*i) > 0.0) {
            projected[i] = x[i];
        }
        x.copy_from_slice(&projected);
        clip_to_box(x);
    }

    /// The values of the `alpha` pixels that gain most go to the ends of the box.
    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32) {
        let gain = |i: usize| {
            let room = if g[i] > 0.0 { 1.0 - x[i] } else { x[i] };
            f64::from(room) * f64::from(g[i].abs())
        };
        let chosen = largest(&self.sums(x.len(), gain), whole(alpha));
        let moved: Vec<usize> = self.values(x.len(), chosen).filter(|i| gain(*i) > 0.0).collect();
        for i in moved {
            x[i] = if g[i] > 0.0 { 1.0 } else { 0.0 };
        }
    }

    /// `eps` pixels at random places, each value uniform in the box.
    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]) {
        let mut uniform = vec![0.0_f32; x0.len()];
        draw.uniform(&mut uniform);
        let places = |pixel: usize| draw.uniform_f64((x0.len() + pixel) as u32);
        let places: Vec<f64> = (0..self.pixels(x0.len())).map(places).collect();
        x.copy_from_slice(x0);
        for i in self.values(x0.len(), largest(&places, whole(eps))) {
            x[i] = uniform[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::threat::Norm;

    /// Two channels of 1 x 3 pixels.
    const X0: [f32; 6] = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5];

    #[test]
    fn a_pixel_counts_once_in_however_many_channels_it_changed() {
        let pixels = L0Pixels { channels: 2 };
        assert_eq!(pixels.distance(&X0, &X0), 0.0);
        assert_eq!(pixels.distance(&[0.0, 0.5, 0.5, 1.0, 0.5, 0.5], &X0), 1.0);
        assert_eq!(pixels.distance(&[0.0, 0.5, 0.5, 0.5, 1.0, 0.5], &X0), 2.0);
    }

    #[test]
    fn a_projection_keeps_the_pixels_whose_channels_together_changed_most() {
        let mut x = [0.9, 0.2, 0.5, 0.5, 0.2, 0.5];
        L0Pixels { channels: 2 }.project(&mut x, &X0, 1.0);
        // 0.3^2 + 0.3^2 is more than 0.4^2.
        assert_eq!(x, [0.5, 0.2, 0.5, 0.5, 0.2, 0.5]);
        let mut x = X0;
        L0Pixels { channels: 2 }.ascend(&mut x, &[4.0, 3.0, 0.0, 0.0, -3.0, 0.0], 1.0);
        assert_eq!(x, [0.5, 1.0, 0.5, 0.5, 0.0, 0.5]);
    }

    proptest! {
        /// No other image with at most two other pixels, out of all in the box, is closer.
        #[test]
        fn the_projection_is_the_closest_image(
            x0 in proptest::collection::vec(0.0_f32..=1.0, 12),
            x in proptest::collection::vec(-1.0_f32..2.0, 12),
            member in proptest::collection::vec(0.0_f32..=1.0, 12),
            chosen in proptest::collection::vec(0_usize..4, 2),
        ) {
            let pixels = Norm::L0Pixels.geometry_of(3);
            let l2 = Norm::L2.geometry();
            let mut projected = x.clone();
            pixels.project(&mut projected, &x0, 2.0);
            prop_assert!(pixels.distance(&projected, &x0) <= 2.0);
            let (mut other, mut best) = (x0.clone(), x0.clone());
            for i in chosen.iter().flat_map(|pixel| (*pixel..12).step_by(4)) {
                other[i] = member[i];
                best[i] = x[i].clamp(0.0, 1.0);
            }
            for other in [other, best] {
                prop_assert!(l2.distance(&projected, &x) <= l2.distance(&other, &x) + 1e-6);
            }
        }

        /// With one channel it is the geometry of values.
        #[test]
        fn of_one_channel_pixels_are_values(
            x0 in proptest::collection::vec(0.0_f32..=1.0, 8),
            x in proptest::collection::vec(-1.0_f32..2.0, 8),
            most in 0_usize..9,
        ) {
            let all = [Norm::L0.geometry_of(1), Norm::L0Pixels.geometry_of(1)];
            let results = all.map(|geometry| {
                let (mut projected, mut ascended) = (x.clone(), x0.clone());
                geometry.project(&mut projected, &x0, most as f32);
                geometry.ascend(&mut ascended, &x, most as f32);
                (geometry.distance(&projected, &x0), projected, ascended)
            });
            prop_assert_eq!(&results[0], &results[1]);
        }
    }
}
