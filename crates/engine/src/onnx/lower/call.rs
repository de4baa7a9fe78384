//! One node with what it reads, as the operators of this room ask for it.

use std::sync::Arc;

use super::held::{Held, Known, Pixels};
use crate::error::{Error, Result};
use crate::onnx::graph::{Constant, Node, Numbers};

/// A node whose inputs are there.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    pub(super) inputs: Vec<Option<Held>>,
    pub(super) opset: u64,
}

impl Call<'_> {
    /// An input, if it is given.
    pub(super) fn input(&self, i: usize) -> Option<&Held> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    /// An input that depends on the pixels.
    pub(super) fn pixels(&self, i: usize) -> Result<&Pixels> {
        match self.input(i) {
            Some(Held::Pixels(pixels)) => Ok(pixels),
            Some(Held::Known(_)) => Err(self.error(
                format!("input {i} does not depend on the image, others do"),
                "this form of the operator is not supported: export the network another way",
            )),
            None => Err(self.error(format!("input {i} is missing"), "export the network again")),
        }
    }

    /// An input that does not depend on the pixels, if it is given.
    pub(super) fn known(&self, i: usize) -> Result<Option<&Known>> {
        match self.input(i) {
            Some(Held::Known(known)) => Ok(Some(known)),
            None => Ok(None),
            Some(Held::Pixels(_)) => Err(self.error(
                format!("input {i} depends on the pixels of the image"),
                "weights and shapes have to be constants",
            )),
        }
    }

    /// An input of numbers, if it is given, that are the same for any number of images.
    pub(super) fn constant(&self, i: usize) -> Result<Option<Arc<Constant>>> {
        let Some(known) = self.known(i)? else { return Ok(None) };
        if !known.alike() {
            return Err(self.mixes());
        }
        Ok(Some(Arc::clone(&known.one)))
    }

    /// Integers that are an attribute in old operator sets and an input in new ones: for one image and for more.
    pub(super) fn ints_of_both(&self, attribute: &str, i: usize) -> Result<Option<[Vec<i64>; 2]>> {
        if let Some(numbers) = self.node.ints(attribute)? {
            return Ok(Some([numbers.clone(), numbers]));
        }
        let Some(known) = self.known(i)? else { return Ok(None) };
        match (known.one.as_ints(), known.many().as_ints()) {
            (Some(one), Some(many)) if one.len() == many.len() => {
                Ok(Some([one.to_vec(), many.to_vec()]))
            }
            _ => Err(self.error(format!("input {i} is not of integers"), "export it again")),
        }
    }

    /// An input of numbers.
    pub(super) fn weight(&self, i: usize) -> Result<Arc<Constant>> {
        let weight = self.constant(i)?.ok_or_else(|| {
            self.error(format!("input {i} is missing"), "export the network again")
        })?;
        if weight.as_floats().is_none() {
            return Err(self.error(
                format!("input {i} holds no floating point numbers"),
                "quantised networks are not supported: export the network in floating point",
            ));
        }
        Ok(weight)
    }

    /// Integers that are an input.
    pub(super) fn ints(&self, i: usize) -> Result<Option<Vec<i64>>> {
        let Some(constant) = self.constant(i)? else { return Ok(None) };
        match &constant.numbers {
            Numbers::Ints(numbers) => Ok(Some(numbers.clone())),
            _ => Err(self.error(format!("input {i} is not of integers"), "export it again")),
        }
    }

    /// Integers that are an attribute in old operator sets and an input in new ones.
    pub(super) fn ints_of(&self, attribute: &str, i: usize) -> Result<Option<Vec<i64>>> {
        match self.node.ints(attribute)? {
            Some(numbers) => Ok(Some(numbers)),
            None => self.ints(i),
        }
    }

    /// Axes that are an attribute or an input, of a tensor of rank `rank`.
    pub(super) fn axes(&self, i: usize, rank: usize) -> Result<Option<Vec<usize>>> {
        let Some(axes) = self.ints_of("axes", i)? else { return Ok(None) };
        axes.into_iter().map(|axis| self.node.axis(axis, rank)).collect::<Result<_>>().map(Some)
    }

    /// The attribute `axis` for a tensor of rank `rank`.
    pub(super) fn axis(&self, default: i64, rank: usize) -> Result<usize> {
        self.node.axis(self.node.int_or("axis", default)?, rank)
    }

    /// An error about this node.
    pub(super) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        self.node.error(problem, remedy)
    }

    /// The error of a graph whose logits depend on the other images of the batch.
    pub(super) fn mixes(&self) -> Error {
        self.error(
            "the images of a batch are mixed here: the logits of one depend on the others",
            "such a network is no classifier of single images; export it for a batch of 1 if this is a \
             matter of shapes",
        )
    }

    /// That `x` is not treated along the axis of the batch.
    pub(super) fn apart(&self, x: &Pixels, axes: &[usize]) -> Result<()> {
        match x.batch_axis() {
            Some(axis) if axes.contains(&axis) => Err(self.mixes()),
            _ => Ok(()),
        }
    }
}
