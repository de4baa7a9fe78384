//! Branches on the same input whose outputs are put one below the other: tokens that go through
//! different layers and stay one list.

use candle_core::Tensor;

use super::branch::{add, save_all, shapes};
use super::lower::{Lowered, Value};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;

/// See [`Layer::Stack`].
#[derive(Debug, Clone)]
pub struct Stack(pub Vec<Layer>);

impl Node for Stack {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = self.0.iter().map(|b| b.forward(x)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&outputs, 1)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (outputs, mut inner) = save_all(&self.0, x)?;
        let heights = outputs.iter().map(|o| o.dim(1)).collect::<candle_core::Result<_>>()?;
        inner.push(Saved::Shape(heights));
        Ok((Tensor::cat(&outputs, 1)?, Saved::Inner(inner)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Inner(inner) = saved else { return Err(foreign("stack")) };
        let Some((Saved::Shape(heights), inner)) = inner.split_last() else {
            return Err(foreign("stack"));
        };
        let mut start = 0;
        add(self.0.iter().zip(inner).zip(heights).map(|((branch, saved), height)| {
            let part = g.narrow(1, start, *height)?.contiguous()?;
            start += height;
            branch.pullback(saved, &part)
        }))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = self.0.iter().map(|b| b.reference(x)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&outputs, 2)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let images = shapes(&self.0, input)?.into_iter().map(|shape| shape.image("stack"));
        let images = images.collect::<Result<Vec<_>>>()?;
        let [_, width, channels] = images[0];
        if let Some([_, w, c]) = images.iter().find(|[_, w, c]| [*w, *c] != [width, channels]) {
            let problem = format!("puts {width} x {channels} and {w} x {c} one below the other");
            return Err(misfit("stack", problem));
        }
        Ok(Shape::of_image([images.iter().map(|[height, _, _]| height).sum(), width], channels))
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.0.iter().map(|branch| branch.multiply_adds(input)).sum()
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        self.shape(to.shapes[x])?;
        to.join(&self.0, true, x)
    }

    fn describe(&self) -> String {
        "stack of".into()
    }

    fn inner(&self) -> &[Layer] {
        &self.0
    }
}
