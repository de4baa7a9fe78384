//! A convolution of single pixels and the GELU after it, some pixels at a time: what comes in between, the widest
//! image of a transformer and its relatives, is never stored as a whole. The same bits as one after the other.

use std::mem::MaybeUninit;

use candle_core::{Device, Tensor};

use super::{Geometry, Method, Packed, check_channels, foreign_weights, with_summands};
use crate::error::Result;
use crate::ops::product::{Finish, Rows, Weights, product, product_into};
use crate::ops::{activation, elementwise, fresh, scratch, with_slice};

/// Pixels at a time: whole groups of rows of a product, and as many as weights in no cache are worth fetching for.
const AT_ONCE: usize = 192;

/// Whether a convolution is one of single pixels.
pub fn fits(geo: &Geometry) -> bool {
    geo.kernel == [1, 1]
        && geo.stride == [1, 1]
        && geo.padding == super::Padding::default()
        && geo.groups == 1
        && geo.pullback_is_convolution()
        && !super::depthwise::is(geo)
}

/// The GELU of the convolution of f32 images `x` `[N, H, W, I]`, and its derivative if it is to be `saved`, both
/// `[N, H, W, O]`. The convolution [fits](fits()).
///
/// # Errors
/// If a tensor is not on the CPU, of another type or of another number of channels.
#[allow(unsafe_code)]
pub fn forward(
    x: &Tensor,
    packed: &Packed,
    bias: Option<&Tensor>,
    geo: &Geometry,
    saved: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (n, height, width, channels) = x.dims4()?;
    check_channels(geo, channels, geo.inputs)?;
    let weights = only(packed)?;
    let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
    let finish = Finish { bias: bias.as_deref(), ..Finish::default() };
    let pixels = n * height * width;
    let mut slope = Vec::new();
    let y = with_slice::<f32, _>(x, |x| {
        // SAFETY: `convolve` writes every element of both.
        unsafe {
            fresh::vector(pixels * geo.outputs, |y| {
                if !saved {
                    convolve(x, weights, finish, geo, y, None);
                    return Ok(());
                }
                slope = fresh::vector(y.len(), |slope| {
                    convolve(x, weights, finish, geo, y, Some(slope));
                    Ok(())
                })?;
                Ok(())
            })
        }
    })?;
    let image = |values| Tensor::from_vec(values, (n, height, width, geo.outputs), &Device::Cpu);
    Ok((image(y)?, if saved { Some(image(slope)?) } else { None }))
}

/// The pullback, of a cotangent `g` and the derivative `slope` that [`forward`] has given, `[N, H, W, O]`; `onto`,
/// of the shape of the result, is added. `packed` comes from [`super::pack_backward`].
///
/// # Errors
/// As [`forward`].
#[allow(unsafe_code)]
pub fn pullback(
    g: &Tensor,
    slope: &Tensor,
    packed: &Packed,
    geo: &Geometry,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, height, width, channels) = g.dims4()?;
    check_channels(geo, channels, geo.outputs)?;
    let weights = only(packed)?;
    let shape = [n, height, width, geo.inputs];
    let grad = with_slice::<f32, _>(g, |g| {
        with_slice::<f32, _>(slope, |slope| {
            assert_eq!(slope.len(), g.len(), "gelu: another image's derivative");
            with_summands(onto, &shape, |onto| {
                let write = |grad: &mut [_]| {
                    pull(g, slope, weights, geo, onto, grad);
                    Ok(())
                };
                // SAFETY: `pull` writes every element.
                unsafe { fresh::vector(shape.iter().product(), write) }
            })
        })
    })?;
    Ok(Tensor::from_vec(grad, &shape, &Device::Cpu)?)
}

fn only(packed: &Packed) -> Result<&Weights> {
    match &packed.0 {
        Method::Direct(weights) if weights.len() == 1 => Ok(&weights[0]),
        _ => Err(foreign_weights()),
    }
}

/// Writes every element of `y`, and of `slope` if it is there.
fn convolve(
    x: &[f32],
    weights: &Weights,
    finish: Finish<'_>,
    geo: &Geometry,
    y: &mut [MaybeUninit<f32>],
    mut slope: Option<&mut [MaybeUninit<f32>]>,
) {
    let block = AT_ONCE * geo.outputs;
    scratch::with(|scratch| {
        let (made, starts) = scratch.lend(block, AT_ONCE);
        for (start, row) in starts.iter_mut().zip(0..) {
            *start = row * geo.inputs;
        }
        let blocks = x.chunks(AT_ONCE * geo.inputs).zip(y.chunks_mut(block));
        for (i, (values, y)) in blocks.enumerate() {
            let starts = &starts[..values.len() / geo.inputs];
            let made = &mut made[..y.len()];
            let rows = Rows { values, starts, offsets: &[0], run: geo.inputs };
            product(rows, weights, finish, made, geo.outputs);
            match &mut slope {
                Some(slope) => {
                    let slope = &mut slope[i * block..][..y.len()];
                    activation::gelu_saving_into(made, y, slope);
                }
                None => activation::gelu_into(made, y),
            }
        }
    });
}

/// Writes every element of `grad`.
#[allow(unsafe_code)]
fn pull(
    g: &[f32],
    slope: &[f32],
    weights: &Weights,
    geo: &Geometry,
    onto: Option<&[f32]>,
    grad: &mut [MaybeUninit<f32>],
) {
    let (block, image) = (AT_ONCE * geo.outputs, AT_ONCE * geo.inputs);
    scratch::with(|scratch| {
        let (before, starts) = scratch.lend(block, AT_ONCE);
        for (start, row) in starts.iter_mut().zip(0..) {
            *start = row * geo.outputs;
        }
        let blocks = g.chunks(block).zip(slope.chunks(block)).zip(grad.chunks_mut(image));
        for (i, ((g, slope), grad)) in blocks.enumerate() {
            let before = &mut before[..g.len()];
            // SAFETY: `multiply_into` writes numbers.
            elementwise::multiply_into(g, slope, unsafe { fresh::overwrite(before) });
            let starts = &starts[..g.len() / geo.outputs];
            let rows = Rows { values: before, starts, offsets: &[0], run: geo.outputs };
            let onto = onto.map(|onto| &onto[i * image..][..grad.len()]);
            let finish = Finish { onto, ..Finish::default() };
            product_into(rows, weights, finish, grad, geo.inputs);
        }
    });
}
