//! Products of matrices that both come from an image: attention that is written out, bilinear layers.

use candle_core::Tensor;

use super::{OnGpu, Operation, Saved, absent, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::multiply;

/// See [`super::Op::MatMul`].
#[derive(Debug, Clone, Copy)]
pub struct MatMul;

/// The left and the right factor.
fn pair<T: Copy>(inputs: &[T]) -> Result<[T; 2]> {
    match inputs {
        [a, b] => Ok([*a, *b]),
        _ => Err(misfit("matrix product", format!("reads two values, gets {}", inputs.len()))),
    }
}

/// `[batch, rows, depth, columns]` of matrices `[batch, rows, depth]` times `[batch, depth, columns]`.
fn sizes(inputs: &[Shape]) -> Result<[usize; 4]> {
    let [a, b] = pair(inputs)?;
    let [batch, rows, depth] = a.image("matrix product")?;
    let [batches, depths, columns] = b.image("matrix product")?;
    if batch != batches || depth != depths || a.is_empty() || b.is_empty() {
        return Err(misfit("matrix product", format!("multiplies {a} by {b}")));
    }
    Ok([batch, rows, depth, columns])
}

impl Operation for MatMul {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [batch, rows, _, columns] = sizes(inputs)?;
        Ok(Shape::of_image([batch, rows], columns))
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [a, b] = pair(inputs)?;
        multiply::matrices(a, b)
    }

    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        let [a, b] = pair(inputs)?;
        Ok((self.forward(inputs)?, Saved::Pair(a.clone(), b.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: &[Shape]) -> Result<Vec<Tensor>> {
        let Saved::Pair(a, b) = saved else { return Err(foreign("matrix product")) };
        let turned = |t: &Tensor| t.transpose(2, 3)?.contiguous();
        Ok(vec![multiply::matrices(g, &turned(b)?)?, multiply::matrices(&turned(a)?, g)?])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [a, b] = pair(inputs)?;
        let [a, b] = [a, b].map(|x| x.permute((0, 2, 3, 1))?.contiguous());
        Ok(a?.matmul(&b?)?.permute((0, 3, 1, 2))?.contiguous()?)
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> u64 {
        sizes(inputs).map_or(0, |sizes| sizes.iter().map(|size| *size as u64).product())
    }

    fn on_gpu(&self, _: &[Shape], _: Shape) -> Result<OnGpu> {
        Err(absent("matrix product"))
    }

    fn describe(&self) -> String {
        "matrix product".into()
    }
}
