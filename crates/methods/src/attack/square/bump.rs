//! The shape of an L2 or L1 change inside a square: two opposite bumps side by side, each highest in
//! its middle (Andriushchenko et al. 2020, section 3.4 and figure 4).

use crate::threat::Norm;

/// A square of values whose length in the norm is 1.
pub(super) struct Bump {
    pub(super) side: usize,
    values: Vec<f32>,
}

impl Bump {
    pub(super) fn new(norm: Norm, side: usize) -> Self {
        let upper = side / 2;
        let mut values = half(norm, upper, side);
        values.extend(half(norm, side - upper, side).iter().map(|v| -v));
        scale_to_one(norm, &mut values);
        Self { side, values }
    }

    /// Its values, row by row, the halves above and below each other.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The value in row `i` and column `j`; `turned` puts the halves left and right instead of above
    /// and below.
    pub(super) fn at(&self, i: usize, j: usize, turned: bool) -> f32 {
        let (i, j) = if turned { (j, i) } else { (i, j) };
        self.values[i * self.side + j]
    }
}

/// One bump of `height` x `width`: squares around the middle, the k-th one `k^-2` high (`k^-4` for
/// L1), stacked.
fn half(norm: Norm, height: usize, width: usize) -> Vec<f32> {
    let power = if norm == Norm::L1 { 4 } else { 2 };
    let squares = (height / 2 + 1).max(width / 2 + 1);
    let value = |at: usize| {
        let (i, j) = (at / width, at % width);
        let innermost = i.abs_diff(height / 2).max(j.abs_diff(width / 2));
        (innermost..squares).fold(0.0_f32, |sum, k| sum + 1.0 / ((k + 1) as f32).powi(power))
    };
    let mut values: Vec<f32> = (0..height * width).map(value).collect();
    scale_to_one(norm, &mut values);
    values
}

fn scale_to_one(norm: Norm, values: &mut [f32]) {
    let length = length(norm, values.iter().copied());
    values.iter_mut().for_each(|v| *v /= length);
}

/// Length of a vector in L2 or L1, in f32.
pub(super) fn length(norm: Norm, values: impl Iterator<Item = f32>) -> f32 {
    let values = values.map(f64::from);
    match norm {
        Norm::L1 => values.map(f64::abs).sum::<f64>() as f32,
        _ => values.map(|v| v * v).sum::<f64>().sqrt() as f32,
    }
}
