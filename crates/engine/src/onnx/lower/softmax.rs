//! Softmax and its logarithm along one axis, or in old operator sets along all axes from one on.

use super::call::Call;
use super::held::{Held, Pixels};
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{LogSoftmax, Op, Softmax};
use crate::onnx::graph::Node;

pub(super) fn softmax(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    along(writer, call, Softmax)
}

pub(super) fn log_softmax(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    along(writer, call, LogSoftmax)
}

fn along(writer: &mut Writer, call: &Call<'_>, op: impl Into<Op>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axes = axes(call.node, x.sides.len(), call.opset)?;
    call.apart(x, &axes)?;
    Ok(vec![of_axes(writer, x, &axes, op)?.into()])
}

/// The axes of a node along which its numbers add up to 1.
pub(super) fn axes(node: &Node, rank: usize, opset: u64) -> Result<Vec<usize>> {
    let axis = |default: i64| node.axis(node.int_or("axis", default)?, rank);
    Ok(match opset {
        0..13 => (axis(1)?..rank).collect(),
        _ => vec![axis(-1)?],
    })
}

/// `op` along the channels, which are all numbers of `axes`.
pub(super) fn of_axes(
    writer: &mut Writer,
    x: &Pixels,
    axes: &[usize],
    op: impl Into<Op>,
) -> Result<Pixels> {
    let x = match axes {
        [axis] => writer.along(x, *axis)?,
        _ => writer.rows(x, axes)?,
    };
    writer.map(&x, op)
}
