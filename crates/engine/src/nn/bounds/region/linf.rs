//! The Linf ball inside the box [0, 1]: a box itself, over which minima are exact.

use super::{Region, clipped_cube};

/// Images in [0, 1] every pixel of which is within `eps` of the clean one.
#[derive(Debug, Clone)]
pub struct LinfBall {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl LinfBall {
    /// Around `image`, pixels in [0, 1].
    pub fn new(image: &[f32], eps: f64) -> Self {
        let (lower, upper) = clipped_cube(image, eps);
        Self { lower, upper }
    }
}

impl Region for LinfBall {
    fn hull(&self) -> (&[f64], &[f64]) {
        (&self.lower, &self.upper)
    }

    fn minimum(&self, a: &[f64]) -> f64 {
        let ends = self.lower.iter().zip(&self.upper);
        a.iter().zip(ends).map(|(a, (l, u))| if *a >= 0.0 { a * l } else { a * u }).sum()
    }

    fn is_box(&self) -> bool {
        true
    }
}
