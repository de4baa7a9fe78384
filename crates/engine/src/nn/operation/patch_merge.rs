//! Squares of four pixels as one pixel with their channels side by side, as Swin makes its images
//! smaller: top left, bottom left, top right, bottom right.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::PatchMerge`].
#[derive(Debug, Clone, Copy)]
pub struct PatchMerge;

impl Unary for PatchMerge {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let squares = x.reshape(vec![n, h / 2, 2, w / 2, 2, c])?.permute(vec![0, 1, 3, 4, 2, 5])?;
        Ok(squares.contiguous()?.reshape((n, h / 2, w / 2, 4 * c))?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let (n, h, w, c) = g.dims4()?;
        let squares = g.reshape(vec![n, h, w, 2, 2, c / 4])?.permute(vec![0, 1, 4, 2, 3, 5])?;
        Ok(squares.contiguous()?.reshape((n, 2 * h, 2 * w, c / 4))?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let squares = x.reshape(vec![n, c, h / 2, 2, w / 2, 2])?.permute(vec![0, 5, 3, 1, 2, 4])?;
        Ok(squares.contiguous()?.reshape((n, 4 * c, h / 2, w / 2))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("patch merge")?;
        if !height.is_multiple_of(2) || !width.is_multiple_of(2) {
            return Err(misfit("patch merge", format!("needs even sides, gets {input}")));
        }
        Ok(Shape::of_image([height / 2, width / 2], 4 * channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let ([h, w, c], len) = (from.sides(), from.len());
        let count = Slot::Count(len);
        let forward = slots![Slot::X(0), Slot::Y, count, h, w, c];
        let back = slots![Slot::G, Slot::Gx, count, h, w, c, Slot::Add];
        let forward = Launch::new("patch_merge", len, forward);
        Ok(Kernels::new(forward, Launch::new("patch_merge_pullback", len, back)).into())
    }

    fn describe(&self) -> String {
        "patch merge".into()
    }
}
