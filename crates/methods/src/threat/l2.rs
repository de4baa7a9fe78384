//! The L2 ball.

use super::{Geometry, clip_to_box};
use crate::rng::Draw;

pub(super) struct L2;

fn length(v: impl Iterator<Item = f64>) -> f64 {
    v.map(|v| v * v).sum::<f64>().sqrt()
}

impl Geometry for L2 {
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64 {
        length(x.iter().zip(x0).map(|(x, x0)| f64::from(*x) - f64::from(*x0)))
    }

    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32) {
        let distance = self.distance(x, x0);
        if distance > f64::from(eps) {
            let shrink = (f64::from(eps) / distance) as f32;
            for (x, x0) in x.iter_mut().zip(x0) {
                *x = *x0 + (*x - *x0) * shrink;
            }
        }
        clip_to_box(x);
    }

    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32) {
        let norm = length(g.iter().map(|g| f64::from(*g)));
        if norm == 0.0 {
            return;
        }
        // Nothing is added to the norm: a short gradient has a direction too. The factor may be larger than an
        // f32 can be.
        let step = f64::from(alpha) / norm;
        for (x, g) in x.iter_mut().zip(g) {
            *x += (step * f64::from(*g)) as f32;
        }
    }

    /// Uniform in the ball: the first d coordinates of a uniform point of the sphere in d + 2
    /// dimensions (Voelker et al. 2017).
    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]) {
        let mut normal = vec![0.0_f32; x.len() + 2];
        draw.normal(&mut normal);
        let norm = length(normal.iter().map(|v| f64::from(*v)));
        let scale = (f64::from(eps) / norm) as f32;
        for ((x, x0), v) in x.iter_mut().zip(x0).zip(&normal) {
            *x = *x0 + scale * *v;
        }
    }
}
