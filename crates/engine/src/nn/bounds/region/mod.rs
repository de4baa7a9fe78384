//! Sets of images whose smallest value of a linear function can be computed: one file per set.

mod l2;
mod linf;

pub use l2::L2Ball;
pub use linf::LinfBall;

/// A set of inputs: one image and what an attacker may make of it. Pixels are in NHWC order.
pub trait Region: Sync {
    /// Smallest and largest value of each pixel over the set, rounded outwards.
    fn hull(&self) -> (&[f64], &[f64]);

    /// A number that is at most the minimum of `sum a_i x_i` over the set, but for rounding errors
    /// of up to `2^-31 sum |a_i| max |x_i|`.
    fn minimum(&self, a: &[f64]) -> f64;

    /// Whether the set is its hull, so that intervals lose nothing before the first relu.
    fn is_box(&self) -> bool;
}

/// The box of pixels in [0, 1] within `eps` of `image`, rounded outwards.
fn clipped_cube(image: &[f32], eps: f64) -> (Vec<f64>, Vec<f64>) {
    let lower = image.iter().map(|x| (f64::from(*x) - eps).next_down().max(0.0)).collect();
    let upper = image.iter().map(|x| (f64::from(*x) + eps).next_up().min(1.0)).collect();
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const IMAGE: [f32; 6] = [0.0, 1.0, 0.03, 0.5, 0.98, 0.4];

    /// The smallest value that many random directions, scaled to the ball and clipped, reach.
    fn sampled(a: &[f64], length: impl Fn(&[f64]) -> f64, eps: f64) -> f64 {
        let value = |x: &[f64]| x.iter().zip(a).map(|(x, a)| x * a).sum::<f64>();
        let mut best = f64::INFINITY;
        for draw in 0..4000 {
            let mut z = [0.0_f32; 6];
            Stream::new(3, "region test").draw(0, draw).normal(&mut z);
            // Around the direction of steepest descent, where the minimum is.
            let d: Vec<f64> = z.iter().zip(a).map(|(z, a)| f64::from(*z) * 0.5 - 2.0 * a).collect();
            let scale = eps / length(&d);
            let x: Vec<f64> = IMAGE
                .iter()
                .zip(&d)
                .map(|(x, d)| (f64::from(*x) + scale * d).clamp(0.0, 1.0))
                .collect();
            best = best.min(value(&x));
        }
        best
    }

    #[test]
    fn minima_are_below_every_point() {
        let l2 = |d: &[f64]| d.iter().map(|d| d * d).sum::<f64>().sqrt();
        let linf = |d: &[f64]| d.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        for (number, eps) in [0.05, 0.3, 0.9, 4.0].into_iter().enumerate() {
            let mut a = [0.0_f32; 6];
            Stream::new(4, "region test").draw(0, number as u32).normal(&mut a);
            let a = a.map(f64::from);
            let least = L2Ball::new(&IMAGE, eps).minimum(&a);
            let found = sampled(&a, l2, eps);
            assert!(least <= found + 1e-12, "L2 {eps}: {least} above {found}");
            let least = LinfBall::new(&IMAGE, eps).minimum(&a);
            assert!(least <= sampled(&a, linf, eps) + 1e-12, "Linf {eps}");
        }
    }

    #[test]
    fn closed_forms() {
        let inner = [0.5_f32; 4];
        let a = [3.0, 0.0, -4.0, 0.0];
        let l2 = L2Ball::new(&inner, 0.25).minimum(&a);
        assert!((l2 - (-0.5 - 0.25 * 5.0)).abs() < 1e-12, "{l2}");
        let linf = LinfBall::new(&inner, 0.25).minimum(&a);
        assert!((linf - (-0.5 - 0.25 * 7.0)).abs() < 1e-12, "{linf}");
        // The box takes the first direction away.
        let cornered = [0.0_f32, 0.5, 0.5, 0.5];
        let l2 = L2Ball::new(&cornered, 0.25).minimum(&a);
        assert!((l2 - (-2.0 - 0.25 * 4.0)).abs() < 1e-12, "{l2}");
        // A ball that covers the box.
        let l2 = L2Ball::new(&inner, 10.0).minimum(&a);
        assert!((l2 - -4.0).abs() < 1e-12, "{l2}");
        // No radius at all.
        assert!((L2Ball::new(&inner, 0.0).minimum(&a) + 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_dual_meets_the_primal() {
        // Minimum over ball and box by a fine bisection of the multiplier.
        for draw in 0..50 {
            let mut a = [0.0_f32; 6];
            Stream::new(5, "region test").draw(0, draw).normal(&mut a);
            let a = a.map(f64::from);
            let eps = 0.1 + 0.03 * f64::from(draw);
            let room = |i: usize| {
                let x = f64::from(IMAGE[i]);
                if a[i] >= 0.0 { x } else { 1.0 - x }
            };
            let moved =
                |s: f64| -> Vec<f64> { (0..6).map(|i| (a[i].abs() * s).min(room(i))).collect() };
            let length = |t: &[f64]| t.iter().map(|t| t * t).sum::<f64>().sqrt();
            let (mut low, mut high) = (0.0, 1e6);
            for _ in 0..200 {
                let mid = f64::midpoint(low, high);
                if length(&moved(mid)) <= eps { low = mid } else { high = mid }
            }
            let best: f64 = (0..6).map(|i| a[i] * f64::from(IMAGE[i])).sum::<f64>()
                - moved(low).iter().zip(&a).map(|(t, a)| t * a.abs()).sum::<f64>();
            let least = L2Ball::new(&IMAGE, eps).minimum(&a);
            assert!((least - best).abs() < 1e-9, "{least} instead of {best}");
        }
    }
}
