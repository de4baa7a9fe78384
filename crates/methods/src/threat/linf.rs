//! The Linf ball: every pixel may change by eps.

use super::{Geometry, clip_to_box};
use crate::rng::Draw;

pub(super) struct Linf;

impl Geometry for Linf {
    fn distance(&self, x: &[f32], x0: &[f32]) -> f64 {
        x.iter().zip(x0).map(|(x, x0)| (f64::from(*x) - f64::from(*x0)).abs()).fold(0.0, f64::max)
    }

    fn project(&self, x: &mut [f32], x0: &[f32], eps: f32) {
        for (x, x0) in x.iter_mut().zip(x0) {
            *x = x.clamp(*x0 - eps, *x0 + eps);
        }
        clip_to_box(x);
    }

    fn ascend(&self, x: &mut [f32], g: &[f32], alpha: f32) {
        for (x, g) in x.iter_mut().zip(g) {
            if *g > 0.0 {
                *x += alpha;
            } else if *g < 0.0 {
                *x -= alpha;
            }
        }
    }

    fn random(&self, draw: Draw, x0: &[f32], eps: f32, x: &mut [f32]) {
        draw.uniform(x);
        for (x, x0) in x.iter_mut().zip(x0) {
            *x = *x0 + eps * (2.0 * *x - 1.0);
        }
    }
}
