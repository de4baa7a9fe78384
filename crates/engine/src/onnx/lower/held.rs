//! What a name of an ONNX graph stands for while the graph is written down: numbers that are known when the file
//! is read, or a value of the program that depends on the image. An image is read as a batch of one; where its
//! axis went is followed, so that a graph that mixes the images of a batch is refused and not misread.

use std::sync::Arc;

use crate::nn::Value;
use crate::onnx::graph::{Constant, Kind};

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// Numbers.
    Known(Known),
    /// A value of the program.
    Pixels(Pixels),
}

/// Numbers that do not depend on the pixels. Some depend on how many images are in the batch: those are known
/// for a batch of one and for a batch of more.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// For one image.
    pub(super) one: Arc<Constant>,
    /// For more images, if that is something else.
    pub(super) many: Option<Arc<Constant>>,
}

impl Known {
    /// For more images.
    pub(super) fn many(&self) -> &Arc<Constant> {
        self.many.as_ref().unwrap_or(&self.one)
    }
}

impl From<Arc<Constant>> for Known {
    fn from(one: Arc<Constant>) -> Self {
        Self { one, many: None }
    }
}

impl From<Constant> for Held {
    fn from(constant: Constant) -> Self {
        Self::Known(Arc::new(constant).into())
    }
}

impl From<Pixels> for Held {
    fn from(pixels: Pixels) -> Self {
        Self::Pixels(pixels)
    }
}

/// A value of the program as an ONNX tensor. The program has its numbers in the order that suits the engine; a
/// transposition or a reshape that moves no number is a matter of names.
#[derive(Debug, Clone)]
pub(super) struct Pixels {
    /// The value.
    pub(super) value: Value,
    /// The sides that ONNX sees, for a batch of one image.
    pub(super) sides: Vec<usize>,
    /// The axes in the order in which the numbers lie, the innermost last.
    pub(super) order: Vec<usize>,
    /// Where the images of a batch are told apart; `None` where that is not followed.
    pub(super) batch: Option<Batch>,
    /// Truth values are 0 and 1.
    pub(super) kind: Kind,
}

/// The place of the batch in a tensor of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// The axis that it is on, alone or merged with others.
    pub(super) axis: usize,
    /// How many numbers of that axis lie within one image: 1 for an axis `[N * heads]` with the heads outside.
    pub(super) within: usize,
}

impl Pixels {
    /// Number of numbers of one image.
    pub(super) fn len(&self) -> usize {
        self.sides.iter().product()
    }

    /// The axes with more than one place, in the order in which the numbers lie.
    pub(super) fn wide(&self) -> Vec<usize> {
        self.order.iter().copied().filter(|axis| self.sides[*axis] != 1).collect()
    }

    /// How many numbers lie between neighbours along each axis.
    pub(super) fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.sides.len()];
        let mut stride = 1;
        for axis in self.order.iter().rev() {
            strides[*axis] = stride;
            stride *= self.sides[*axis];
        }
        strides
    }

    /// Whether the numbers lie in this order of the axes, those of one place aside.
    pub(super) fn lies(&self, order: &[usize]) -> bool {
        let wide: Vec<usize> =
            order.iter().copied().filter(|axis| self.sides[*axis] != 1).collect();
        self.wide() == wide
    }

    /// The axis of the batch.
    pub(super) fn batch_axis(&self) -> Option<usize> {
        self.batch.map(|batch| batch.axis)
    }
}

/// `0, 1, ... rank - 1`.
pub(super) fn in_order(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}
