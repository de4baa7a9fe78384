//! One operator with its constant inputs: what every function of this folder is given.

use super::super::attribute::EXPORT_AGAIN;
use super::super::graph::{Constant, Node, Numbers};
use super::strides;
use crate::error::{Error, Result};

/// A node, what it reads, and the version of the operators.
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    pub(super) inputs: &'a [Option<&'a Constant>],
    pub(super) opset: u64,
}

impl<'a> Call<'a> {
    /// Checks that every input has as many elements as its sides say.
    pub(super) fn new(
        node: &'a Node,
        inputs: &'a [Option<&'a Constant>],
        opset: u64,
    ) -> Result<Self> {
        let call = Self { node, inputs, opset };
        for input in inputs.iter().flatten() {
            if strides::count_of(node, &input.sides, input.len())? != input.len() {
                return Err(call.error("an input has not as many elements as its sides say"));
            }
        }
        Ok(call)
    }

    /// An error about the node.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        self.node.error(problem, EXPORT_AGAIN)
    }

    /// Input `index`, which has to be there.
    pub(super) fn input(&self, index: usize) -> Result<&'a Constant> {
        self.optional(index).ok_or_else(|| self.error(format!("input {index} is missing")))
    }

    /// Input `index`, if it is there.
    pub(super) fn optional(&self, index: usize) -> Option<&'a Constant> {
        self.inputs.get(index).copied().flatten()
    }

    /// The floats of input `index`.
    pub(super) fn floats(&self, index: usize) -> Result<&'a [f32]> {
        let floats = self.input(index)?.as_floats();
        floats.ok_or_else(|| self.error(format!("input {index} has to be floating point")))
    }

    /// The integers of input `index`.
    pub(super) fn ints(&self, index: usize) -> Result<&'a [i64]> {
        let ints = self.input(index)?.as_ints();
        ints.ok_or_else(|| self.error(format!("input {index} has to be of integers")))
    }

    /// The one integer of input `index`, a scalar or `[1]`.
    pub(super) fn int(&self, index: usize) -> Result<i64> {
        match self.ints(index)? {
            [one] => Ok(*one),
            more => Err(self.error(format!("input {index} has {} numbers, not one", more.len()))),
        }
    }

    /// Integers that are the attribute `name` before operator set `since` and input `index` from then on.
    pub(super) fn setting(&self, name: &str, index: usize, since: u64) -> Result<Option<Vec<i64>>> {
        if self.opset < since {
            if self.optional(index).is_some() {
                return Err(
                    self.error(format!("input {index} does not exist before opset {since}"))
                );
            }
            return self.node.ints(name);
        }
        self.not_since(name, since)?;
        match self.optional(index) {
            Some(input) if input.sides.len() > 1 => {
                Err(self.error(format!("input {index} ({name}) has to be one row of integers")))
            }
            Some(_) => Ok(Some(self.ints(index)?.to_vec())),
            None => Ok(None),
        }
    }

    /// [`Call::setting`] where it has to be there.
    pub(super) fn needed(&self, name: &str, index: usize, since: u64) -> Result<Vec<i64>> {
        self.setting(name, index, since)?.ok_or_else(|| self.error(format!("{name} is missing")))
    }

    /// Refuses the attribute `name` from operator set `since` on, where it is no longer read.
    pub(super) fn not_since(&self, name: &str, since: u64) -> Result<()> {
        if self.opset >= since && self.node.attributes.contains_key(name) {
            return Err(self.error(format!("attribute {name}: does not exist since opset {since}")));
        }
        Ok(())
    }

    /// Refuses the attribute `name` before operator set `since`, where its meaning is not defined.
    pub(super) fn not_before(&self, name: &str, since: u64) -> Result<()> {
        if self.opset < since && self.node.attributes.contains_key(name) {
            return Err(
                self.error(format!("attribute {name}: does not exist before opset {since}"))
            );
        }
        Ok(())
    }

    /// Axes of a tensor with `rank` sides, each at most once.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        for &axis in axes {
            let axis = self.node.axis(axis, rank)?;
            if found.contains(&axis) {
                return Err(self.error(format!("axis {axis} is there twice")));
            }
            found.push(axis);
        }
        Ok(found)
    }

    /// An index into a side, counted from the end if it is negative.
    pub(super) fn index(&self, index: i64, side: usize) -> Result<usize> {
        let counted = if index < 0 { index.checked_add_unsigned(side as u64) } else { Some(index) };
        counted
            .and_then(|index| usize::try_from(index).ok())
            .filter(|index| *index < side)
            .ok_or_else(|| self.error(format!("index {index} is outside of a side of {side}")))
    }

    /// The error about inputs of different or unsuitable kinds.
    pub(super) fn wrong_kinds(&self) -> Error {
        let kinds: Vec<String> =
            self.inputs.iter().flatten().map(|input| format!("{:?}", input.kind())).collect();
        self.error(format!("is not defined for inputs of the kinds {}", kinds.join(", ")))
    }
}

/// A constant of `sides` and `numbers`, as many as the sides say.
pub(super) fn constant(sides: &[usize], numbers: Numbers) -> Constant {
    Constant { sides: sides.to_vec(), numbers }
}
