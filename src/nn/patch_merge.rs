//! Squares of four pixels as one pixel with their channels side by side, as Swin makes its images
//! smaller: top left, bottom left, top right, bottom right.

use candle_core::Tensor;

use super::bounds::AffineForm;
use super::lower::{Lowered, Op, Value};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape};
use crate::error::Result;

/// See [`Layer::PatchMerge`].
#[derive(Debug, Clone, Copy)]
pub struct PatchMerge;

impl PatchMerge {
    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::PatchMerge(self)
    }
}

impl Node for PatchMerge {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let squares = x.reshape(vec![n, h / 2, 2, w / 2, 2, c])?.permute(vec![0, 1, 3, 4, 2, 5])?;
        Ok(squares.contiguous()?.reshape((n, h / 2, w / 2, 4 * c))?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
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
        Ok(Some(AffineForm::moving(self.layer())))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::PatchMerge, x)
    }

    fn describe(&self) -> String {
        "patch merge".into()
    }
}
