//! Softmax and its logarithm along one axis, or in old operator sets along all axes from one on.

use super::call::Call;
use super::held::{Held, Pixels};
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{LogSoftmax, Op, Softmax};

pub(super) fn softmax(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    along(writer, call, Softmax)
}

pub(super) fn log_softmax(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    along(writer, call, LogSoftmax)
}

fn along(writer: &mut Writer, call: &Call<'_>, op: impl Into<Op>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let axes: Vec<usize> = match call.opset {
        0..13 => (call.axis(1, rank)?..rank).collect(),
        _ => vec![call.axis(-1, rank)?],
    };
    call.apart(x, &axes)?;
    Ok(vec![of_axes(writer, x, &axes, op)?.into()])
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
