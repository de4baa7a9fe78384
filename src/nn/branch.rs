//! Compositions: layers in sequence, and branches on the same input that are added or put side by
//! side. Residual, dense and multi-branch networks are built from these.

use candle_core::Tensor;

use super::lower::{Lowered, Op, Value};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;

/// See [`Layer::Seq`].
#[derive(Debug, Clone)]
pub struct Seq(pub Vec<Layer>);

impl Node for Seq {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let mut x = x.clone();
        let mut inner = Vec::with_capacity(self.0.len());
        for layer in &self.0 {
            let (y, saved) = layer.save(&x)?;
            inner.push(saved);
            x = y;
        }
        Ok((x, Saved::Inner(inner)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Inner(inner) = saved else { return Err(foreign("seq")) };
        self.0
            .iter()
            .zip(inner)
            .rev()
            .try_fold(g.clone(), |g, (layer, saved)| layer.pullback(saved, &g))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.reference(&x))
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        self.0.iter().try_fold(input, |shape, layer| layer.shape(shape))
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        let mut shape = Some(input);
        let mut total = 0;
        for layer in &self.0 {
            let Some(now) = shape else { break };
            total += layer.multiply_adds(now);
            shape = layer.shape(now).ok();
        }
        total
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        self.0.iter().try_fold(x, |x, layer| layer.lower(to, x))
    }

    fn describe(&self) -> String {
        "seq".into()
    }

    fn inner(&self) -> &[Layer] {
        &self.0
    }
}

/// See [`Layer::Sum`].
#[derive(Debug, Clone)]
pub struct Sum(pub Vec<Layer>);

impl Node for Sum {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        add(self.0.iter().map(|branch| branch.forward(x)))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (outputs, inner) = save_all(&self.0, x)?;
        Ok((add(outputs.into_iter().map(Ok))?, Saved::Inner(inner)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Inner(inner) = saved else { return Err(foreign("sum")) };
        add(self.0.iter().zip(inner).map(|(branch, saved)| branch.pullback(saved, g)))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        add(self.0.iter().map(|branch| branch.reference(x)))
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let shapes = shapes(&self.0, input)?;
        if let Some(other) = shapes.iter().find(|s| **s != shapes[0]) {
            return Err(misfit("sum", format!("adds {} and {other}", shapes[0])));
        }
        Ok(shapes[0])
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.0.iter().map(|branch| branch.multiply_adds(input)).sum()
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let shape = self.shape(to.shapes[x])?;
        let mut total = None;
        for branch in &self.0 {
            let term = branch.lower(to, x)?;
            total = Some(match total {
                Some(total) => to.push(Op::Add, total, Some(term), shape),
                None => term,
            });
        }
        Ok(total.unwrap_or(x))
    }

    fn describe(&self) -> String {
        "sum of".into()
    }

    fn inner(&self) -> &[Layer] {
        &self.0
    }
}

/// See [`Layer::Concat`].
#[derive(Debug, Clone)]
pub struct Concat(pub Vec<Layer>);

impl Node for Concat {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = self.0.iter().map(|b| b.forward(x)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&outputs, x.rank() - 1)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (outputs, mut inner) = save_all(&self.0, x)?;
        let last = x.rank() - 1;
        let widths = outputs.iter().map(|o| o.dim(last)).collect::<candle_core::Result<_>>()?;
        inner.push(Saved::Shape(widths));
        Ok((Tensor::cat(&outputs, last)?, Saved::Inner(inner)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Inner(inner) = saved else { return Err(foreign("concat")) };
        let Some((Saved::Shape(widths), inner)) = inner.split_last() else {
            return Err(foreign("concat"));
        };
        let mut start = 0;
        add(self.0.iter().zip(inner).zip(widths).map(|((branch, saved), width)| {
            let part = g.narrow(g.rank() - 1, start, *width)?.contiguous()?;
            start += width;
            branch.pullback(saved, &part)
        }))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = self.0.iter().map(|b| b.reference(x)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&outputs, 1)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let shapes = shapes(&self.0, input)?;
        let channels = shapes.iter().map(|s| s.channels()).sum();
        Ok(match shapes[0] {
            Shape::Image { height, width, .. } => Shape::of_image([height, width], channels),
            Shape::Flat(_) => Shape::Flat(channels),
        })
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.0.iter().map(|branch| branch.multiply_adds(input)).sum()
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        self.shape(to.shapes[x])?;
        to.join(&self.0, false, x)
    }

    fn describe(&self) -> String {
        "concat of".into()
    }

    fn inner(&self) -> &[Layer] {
        &self.0
    }
}

pub(super) fn add(terms: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for term in terms {
        total = Some(match total {
            Some(total) => (total + term?)?,
            None => term?,
        });
    }
    total.ok_or_else(|| misfit("sum", "has no branches".into()))
}

pub(super) fn save_all(branches: &[Layer], x: &Tensor) -> Result<(Vec<Tensor>, Vec<Saved>)> {
    Ok(branches.iter().map(|b| b.save(x)).collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

pub(super) fn shapes(branches: &[Layer], input: Shape) -> Result<Vec<Shape>> {
    if branches.is_empty() {
        return Err(misfit("branches", "there are none".into()));
    }
    branches.iter().map(|branch| branch.shape(input)).collect()
}
