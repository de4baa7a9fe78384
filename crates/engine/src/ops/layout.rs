//! Moves between NCHW, in which images and published weights come, and NHWC, in which the engine
//! computes. A pure permutation, so it is its own pullback with the roles exchanged.

use candle_core::Tensor;

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

/// `[N, C, H, W]` to `[N, H, W, C]`.
///
/// # Errors
/// If the tensor is not of rank 4 or not on the CPU.
pub fn nchw_to_nhwc(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if c == 1 {
        return Ok(x.reshape((n, h, w, c))?);
    }
    let shape = [n, h, w, c];
    for_real!(x, transpose(x, n, c, h * w, &shape))
}

/// `[N, H, W, C]` to `[N, C, H, W]`.
///
/// # Errors
/// If the tensor is not of rank 4 or not on the CPU.
pub fn nhwc_to_nchw(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    if c == 1 {
        return Ok(x.reshape((n, c, h, w))?);
    }
    let shape = [n, c, h, w];
    for_real!(x, transpose(x, n, h * w, c, &shape))
}

/// Transposes each of `n` matrices [rows, columns]; the result gets the shape `shape`.
fn transpose<T: Real>(
    x: &Tensor,
    n: usize,
    rows: usize,
    columns: usize,
    shape: &[usize],
) -> Result<Tensor> {
    with_slice::<T, _>(x, |x| {
        let mut out = Vec::with_capacity(x.len());
        for image in x.chunks_exact((rows * columns).max(1)).take(n) {
            for column in 0..columns {
                out.extend(image[column..].iter().step_by(columns).copied());
            }
        }
        Ok(Tensor::from_vec(out, shape, &candle_core::Device::Cpu)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_identity_and_equals_a_permutation() {
        let x = Tensor::arange(0f32, 2.0 * 3.0 * 4.0 * 5.0, &candle_core::Device::Cpu)
            .unwrap()
            .reshape((2, 3, 4, 5))
            .unwrap();
        let y = nchw_to_nhwc(&x).unwrap();
        let want = x.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap();
        assert_eq!(
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            want.to_vec1::<f32>().unwrap()
        );
        let back = nhwc_to_nchw(&y).unwrap();
        assert_eq!(back.dims(), x.dims());
        assert_eq!(
            back.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            x.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
    }
}
