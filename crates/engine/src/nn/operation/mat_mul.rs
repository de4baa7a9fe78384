//! Products of matrices that both come from an image: attention that is written out, bilinear layers.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Operation, Saved, Slot, foreign};
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

    fn on_gpu(&self, inputs: &[Shape], _: Shape) -> Result<OnGpu> {
        let [batch, rows, depth, columns] = sizes(inputs)?;
        // A factor with the steps from row to row and from column to column.
        let launch = |a: (Slot, [usize; 2]),
                      b: (Slot, [usize; 2]),
                      y,
                      [rows, depth, columns]: [usize; 3],
                      add| {
            let len = batch * rows * columns;
            let ((a, [a_row, a_column]), (b, [b_row, b_column])) = (a, b);
            let sizes = slots![rows, depth, columns, a_row, a_column, b_row, b_column, add];
            let slots = [slots![a, b, y, Slot::Count(len)], sizes].concat();
            vec![Launch::new("matrices", len, slots)]
        };
        let (a, b, g) = (Slot::X(0), Slot::X(1), (Slot::G, [columns, 1]));
        let forward = launch(
            (a, [depth, 1]),
            (b, [columns, 1]),
            Slot::Y,
            [rows, depth, columns],
            Slot::from(false),
        );
        let of_a = launch(g, (b, [1, columns]), Slot::Gx, [rows, columns, depth], Slot::Add);
        let of_b = launch((a, [1, depth]), g, Slot::Gx, [depth, rows, columns], Slot::Add);
        let (constants, keeps) = (Vec::new(), Keeps::Inputs);
        let pullback = vec![of_a, of_b];
        Ok(OnGpu::Kernels(Kernels { constants, keeps, forward, pullback }))
    }

    fn describe(&self) -> String {
        "matrix product".into()
    }
}
