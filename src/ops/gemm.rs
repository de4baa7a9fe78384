//! Matrix products for the convolutions and linear layers, on one thread. The bits of a result row
//! depend on that row of the left factor and on nothing else, whatever the number of rows: the
//! `gemm` crate adds up a result element sequentially along k inside blocks whose length it may
//! choose by the shape, so the blocks are chosen here, and it has other kernels for single rows and
//! columns, which are kept away from it.

use crate::ops::Real;

/// Longest block along k. The `gemm` crate never splits a product this short.
const BLOCK: usize = 512;

/// `c = a b` with row-major `a` [m, k], `b` [k, n], `c` [m, n].
///
/// # Panics
/// If a slice is shorter than its shape (an error in this crate, not in its input).
pub fn matmul<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n, "matmul: short slice");
    if m == 0 || n == 0 {
        return;
    }
    if n == 1 {
        let wide: Vec<T> = b[..k].iter().flat_map(|v| [*v, T::zero()]).collect();
        let mut out = vec![T::zero(); 2 * m];
        matmul(m, 2, k, a, &wide, &mut out);
        for (c, pair) in c.iter_mut().zip(out.chunks_exact(2)) {
            *c = pair[0];
        }
        return;
    }
    if m == 1 {
        let twice = [&a[..k], &a[..k]].concat();
        let mut out = vec![T::zero(); 2 * n];
        matmul(2, n, k, &twice, b, &mut out);
        c[..n].copy_from_slice(&out[..n]);
        return;
    }
    if k == 0 {
        c[..m * n].fill(T::zero());
    }
    for start in (0..k).step_by(BLOCK) {
        let depth = BLOCK.min(k - start);
        block(m, n, k, start, depth, a, b, c);
    }
}

/// Adds (for `start` = 0: sets) the product of columns `start..start + depth` of `a` and the same
/// rows of `b`.
#[allow(clippy::too_many_arguments)]
#[allow(unsafe_code)]
fn block<T: Real>(
    m: usize,
    n: usize,
    k: usize,
    start: usize,
    depth: usize,
    a: &[T],
    b: &[T],
    c: &mut [T],
) {
    // SAFETY: `matmul` has checked that the slices hold [m, k], [k, n] and [m, n] elements; with the
    // strides below every access stays inside them, and `c` is borrowed mutably, so it overlaps
    // neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            depth,
            c.as_mut_ptr(),
            1,
            n as isize,
            start > 0,
            a.as_ptr().add(start),
            1,
            k as isize,
            b.as_ptr().add(start * n),
            1,
            n as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn random(len: usize, draw: u32) -> Vec<f32> {
        let mut v = vec![0.0; len];
        Stream::new(0, "gemm test").draw(0, draw).normal(&mut v);
        v
    }

    #[test]
    fn equals_the_definition() {
        for (m, n, k) in [(1, 1, 1), (1, 7, 5), (3, 1, 9), (4, 6, 2), (17, 33, 65), (5, 8, 1100)] {
            let (a, b) = (random(m * k, 0), random(k * n, 1));
            let mut c = vec![f32::NAN; m * n];
            matmul(m, n, k, &a, &b, &mut c);
            for i in 0..m {
                for j in 0..n {
                    let want: f64 =
                        (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
                    let error = (f64::from(c[i * n + j]) - want).abs();
                    assert!(error < 1e-5 * (k as f64), "{m}x{n}x{k} at {i},{j}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_any_matrix() {
        for (n, k) in
            [(1, 9), (2, 3), (10, 64), (16, 27), (32, 288), (64, 576), (100, 2048), (33, 700)]
        {
            let rows = 131;
            let (a, b) = (random(rows * k, 2), random(k * n, 3));
            let mut all = vec![0.0; rows * n];
            matmul(rows, n, k, &a, &b, &mut all);
            for (first, count) in
                [(0, 1), (0, 2), (5, 1), (7, 3), (1, 64), (2, 65), (66, 65), (3, 128)]
            {
                let mut part = vec![0.0; count * n];
                matmul(count, n, k, &a[first * k..], &b, &mut part);
                assert_eq!(
                    part,
                    all[first * n..(first + count) * n],
                    "rows {first}..+{count} of [{rows}, {k}] x [{k}, {n}]"
                );
            }
        }
    }
}
