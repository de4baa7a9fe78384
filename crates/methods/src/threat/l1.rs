//! The L1 ball, with the true projection on it (Duchi et al., ICML 2008, figure 1), not a rescaling,
//! and the sparse step of SLIDE (Tramèr and Boneh, NeurIPS 2019, section 3.2).

use super::{Geometry, clip_to_box};
use crate::rng::Draw;

pub(super) struct L1;

/// A step moves the coordinates whose gradient is among the largest 1 %, at least one.
const MOVED_SHARE: f64 = 0.01;

/// What is left of a step below this part of a share is rounding.
const REST: f64 = 1e-6;

impl Geometry for L1 {
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64 {
        x.iter().zip(x0).map(|(x, x0)| (f64::from(*x) - f64::from(*x0)).abs()).sum()
    }

    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32) {
        // A coordinate outside the box is clipped first: it can only come closer to x0.
        clip_to_box(x);
        let eps = f64::from(eps);
        if self.distance(x, x0) <= eps {
            return;
        }
        let mut sizes: Vec<f64> =
            x.iter().zip(x0).map(|(x, x0)| (f64::from(*x) - f64::from(*x0)).abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut threshold) = (0.0, 0.0);
        for (i, size) in sizes.iter().enumerate() {
            sum += size;
            let candidate = (sum - eps) / (i + 1) as f64;
            if *size <= candidate {
                break;
            }
            threshold = candidate;
        }
        for (x, x0) in x.iter_mut().zip(x0) {
            let change = f64::from(*x) - f64::from(*x0);
            let kept = (change.abs() - threshold).max(0.0).copysign(change);
            *x = if kept == 0.0 { *x0 } else { (f64::from(*x0) + kept) as f32 };
        }
        clip_to_box(x);
    }

    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32) {
        // A coordinate that the box stops cannot use its share of the step.
        let useful =
            |x: f32, g: f32| if (g > 0.0 && x < 1.0) || (g < 0.0 && x > 0.0) { g } else { 0.0 };
        let mut order: Vec<usize> = (0..x.len()).filter(|i| useful(x[*i], g[*i]) != 0.0).collect();
        order.sort_by(|a, b| g[*b].abs().total_cmp(&g[*a].abs()));
        let moved = ((x.len() as f64 * MOVED_SHARE).ceil() as usize).clamp(1, order.len().max(1));
        // What the box takes off the share of a coordinate goes to the next ones.
        let share = f64::from(alpha) / moved as f64;
        let mut left = f64::from(alpha);
        for i in order {
            if left <= REST * share {
                break;
            }
            let room = f64::from(if g[i] > 0.0 { 1.0 - x[i] } else { x[i] });
            let by = share.min(room).min(left);
            left -= by;
            x[i] += (by as f32).copysign(g[i]);
        }
    }

    /// Uniform in the ball: d exponential variables over the sum of d + 1 of them, with random signs
    /// (Barthe et al., Annals of Probability 2005, theorem 1).
    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]) {
        let len = x.len();
        let uniform = |element: usize| draw.uniform_f64(element as u32);
        let sizes: Vec<f64> = (0..=len).map(|i| -libm::log(uniform(i))).collect();
        let scale = f64::from(eps) / sizes.iter().sum::<f64>();
        for (i, (x, x0)) in x.iter_mut().zip(x0).enumerate() {
            let sign = if uniform(len + 1 + i) < 0.5 { -1.0 } else { 1.0 };
            *x = (f64::from(*x0) + sign * scale * sizes[i]) as f32;
        }
    }
}
