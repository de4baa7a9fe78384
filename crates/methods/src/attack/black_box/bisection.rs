//! What searches that see classes only begin with, and go back to the boundary with.

use crate::rng::Draw;

/// Images of noise that are tried as a start.
pub(super) const STARTS: u32 = 100;

/// An image of uniform noise.
pub(super) fn noise(draw: Draw, elements: usize) -> Vec<f32> {
    let mut noise = vec![0.0; elements];
    draw.uniform(&mut noise);
    noise
}

/// The image at `length` times `direction` from `x0`, inside the box.
pub(super) fn along(x0: &[f32], direction: &[f32], length: f64) -> Vec<f32> {
    let pixels = x0.iter().zip(direction);
    pixels.map(|(x0, v)| (f64::from(*x0) + length * f64::from(*v)) as f32).map(in_box).collect()
}

/// A pixel inside the box.
pub(super) fn in_box(pixel: f32) -> f32 {
    pixel.clamp(0.0, 1.0)
}

/// The search for the shortest length along a direction at which an image is adversarial, between one at which it is
/// not and one at which it is. Every step is a query.
#[derive(Clone)]
pub(super) struct Bisection {
    pub(super) direction: Vec<f32>,
    low: f64,
    /// The shortest adversarial length so far.
    pub(super) high: f64,
    until: f64,
}

impl Bisection {
    /// Between these lengths, until they are so near to each other or f32 does not tell them apart.
    pub(super) fn new(direction: Vec<f32>, [low, high]: [f64; 2], until: f64) -> Self {
        Self { direction, low, high, until: until.max(1e-7 * high) }
    }

    /// The image to ask about next; none at the end.
    pub(super) fn question(&self, x0: &[f32]) -> Option<Vec<f32>> {
        let middle = f64::midpoint(self.low, self.high);
        (self.high - self.low > self.until).then(|| along(x0, &self.direction, middle))
    }

    /// Whether that image was adversarial.
    pub(super) fn answered(&mut self, success: bool) {
        let middle = f64::midpoint(self.low, self.high);
        *(if success { &mut self.high } else { &mut self.low }) = middle;
    }

    /// The adversarial image that it ends at.
    pub(super) fn end(&self, x0: &[f32]) -> Vec<f32> {
        along(x0, &self.direction, self.high)
    }
}
