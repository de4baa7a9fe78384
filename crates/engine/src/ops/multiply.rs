//! Products of two matrices that both come from an image, as attention has them: [`super::product`]
//! in f32, whose right factor is packed anew for each image, and the definition in f64.

use candle_core::{Device, Tensor};

use super::product::{Finish, Rows, Weights, product};
use super::{Real, for_real, with_slice};
use crate::error::Result;

/// The left factor: row `r` is `values[starts[r]..][..depth]`.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a, T> {
    /// Where the numbers are.
    pub values: &'a [T],
    /// Where each row starts.
    pub starts: &'a [usize],
    /// Length of a row.
    pub depth: usize,
}

/// Numbers whose products the engine knows.
pub trait Multiply: Real {
    /// Writes row `r` of the product of `lines` and the factor with elements `right(k, column)` to
    /// `out[r * stride..][..columns]`. An element is one chain of additions in the order of `k`.
    ///
    /// # Panics
    /// If a row reaches beyond its slice (an error in this crate, not in its input).
    fn multiply(
        lines: Lines<'_, Self>,
        right: impl Fn(usize, usize) -> Self,
        columns: usize,
        out: &mut [Self],
        stride: usize,
    );
}

impl Multiply for f32 {
    fn multiply(
        lines: Lines<'_, Self>,
        right: impl Fn(usize, usize) -> Self,
        columns: usize,
        out: &mut [Self],
        stride: usize,
    ) {
        let weights = Weights::pack(lines.depth, columns, right);
        let Lines { values, starts, depth } = lines;
        let rows = Rows { values, starts, offsets: &[0], run: depth };
        product(rows, &weights, Finish::default(), out, stride);
    }
}

impl Multiply for f64 {
    fn multiply(
        lines: Lines<'_, Self>,
        right: impl Fn(usize, usize) -> Self,
        columns: usize,
        out: &mut [Self],
        stride: usize,
    ) {
        for (start, out) in lines.starts.iter().zip(out.chunks_mut(stride)) {
            let line = &lines.values[*start..][..lines.depth];
            for (column, out) in out[..columns].iter_mut().enumerate() {
                *out = line.iter().enumerate().map(|(k, value)| value * right(k, column)).sum();
            }
        }
    }
}

/// Matrices `[N, B, M, K]` times matrices `[N, B, K, P]`: `[N, B, M, P]`.
///
/// # Errors
/// If the shapes do not fit, there is nothing to multiply, or a tensor is not on the CPU.
pub fn matrices(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((n, batch, height, depth), (of_n, of_batch, of_depth, columns)) = (a.dims4()?, b.dims4()?);
    let lengths = [height, depth, columns];
    if [n, batch, depth] != [of_n, of_batch, of_depth] || lengths.contains(&0) {
        let problem = format!("matrices {:?} and {:?} have no product", a.dims(), b.dims());
        return Err(candle_core::Error::Msg(problem).into());
    }
    for_real!(a, matrices_cpu(a, b, lengths, &[n, batch, height, columns]))
}

fn matrices_cpu<T: Multiply>(
    a: &Tensor,
    b: &Tensor,
    [height, depth, columns]: [usize; 3],
    dims: &[usize],
) -> Result<Tensor> {
    let starts = rows(height, depth);
    let mut out = vec![T::zero(); dims.iter().product()];
    with_slice::<T, _>(a, |a| {
        with_slice::<T, _>(b, |b| {
            let factors = a.chunks_exact(height * depth).zip(b.chunks_exact(depth * columns));
            for (out, (a, b)) in out.chunks_exact_mut(height * columns).zip(factors) {
                let lines = Lines { values: a, starts: &starts, depth };
                T::multiply(lines, |k, o| b[k * columns + o], columns, out, columns);
            }
            Ok(())
        })
    })?;
    Ok(Tensor::from_vec(out, dims, &Device::Cpu)?)
}

/// The starts of `count` rows of length `depth`, one behind the other.
pub(super) fn rows(count: usize, depth: usize) -> Vec<usize> {
    (0..count).map(|row| row * depth).collect()
}

/// The matrix `from` of `columns` columns, transposed.
pub(super) fn transpose<T: Copy>(from: &[T], columns: usize, to: &mut Vec<T>) {
    to.clear();
    for column in 0..columns {
        to.extend(from[column..].iter().step_by(columns));
    }
}

/// Replaces a row by its exponentials divided by their sum.
pub(super) fn softmax<T: Real>(row: &mut [T]) {
    let most = row.iter().copied().fold(T::neg_infinity(), num_traits::Float::max);
    let mut total = 0.0;
    for value in &mut *row {
        *value = (*value - most).exp();
        total += (*value).to_f64();
    }
    let inverse = T::from_f64(total.recip());
    row.iter_mut().for_each(|value| *value *= inverse);
}

/// The pullback of [`softmax`]: turns the cotangent `g` of the probabilities `p` into that of what
/// they were made of.
pub(super) fn softmax_pullback<T: Real>(p: &[T], g: &mut [T]) {
    let mean: f64 = p.iter().zip(&*g).map(|(p, g)| (*p).to_f64() * (*g).to_f64()).sum();
    let mean = T::from_f64(mean);
    for (g, p) in g.iter_mut().zip(p) {
        *g = *p * (*g - mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn both_types_multiply_alike() {
        let mut values = vec![0.0_f32; 90];
        Stream::new(0, "multiply test").draw(0, 0).normal(&mut values);
        let wide: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let starts = [20, 3, 41];
        let (mut got, mut want) = ([7.0_f32; 23], [7.0_f64; 23]);
        let lines = Lines { values: &values, starts: &starts, depth: 6 };
        f32::multiply(lines, |k, o| values[10 * k + o], 5, &mut got, 9);
        let lines = Lines { values: &wide, starts: &starts, depth: 6 };
        f64::multiply(lines, |k, o| wide[10 * k + o], 5, &mut want, 9);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{i}: {got} for {want}");
            assert_eq!(*got == 7.0, i % 9 >= 5, "{i}");
        }
        let first: f64 = (0..6).map(|k| wide[20 + k] * wide[10 * k]).sum();
        assert!((want[0] - first).abs() < 1e-12);
    }
}
