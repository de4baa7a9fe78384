//! Sums, means, maxima and norms along some axes.

use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::without;
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{Function, GlobalAvgPool, Pointwise, Reduce, Reduction, Scale, Shape};

/// The operators that are one reduction.
macro_rules! plain {
    ($($name:ident: $reduction:ident;)*) => {
        $(
            pub(super) fn $name(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
                Ok(vec![operator(writer, call, call.pixels(0)?, Reduction::$reduction)?.into()])
            }
        )*
    };
}

plain! {
    l1: L1;
    l2: L2;
    log_sum_exp: LogSumExp;
    max: Max;
    mean: Mean;
    min: Min;
    product: Product;
    sum: Sum;
}

pub(super) fn log_sum(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let sum = operator(writer, call, call.pixels(0)?, Reduction::Sum)?;
    Ok(vec![writer.map(&sum, Pointwise(Function::Log))?.into()])
}

pub(super) fn sum_square(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let squares = writer.map(call.pixels(0)?, Pointwise(Function::Power(2.0)))?;
    Ok(vec![operator(writer, call, &squares, Reduction::Sum)?.into()])
}

/// The reduction of a node with `axes` and `keepdims`.
fn operator(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    reduction: Reduction,
) -> Result<Pixels> {
    let rank = x.sides.len();
    let mut axes = match call.axes(1, rank)? {
        Some(axes) if !axes.is_empty() => axes,
        _ if call.node.flag_or("noop_with_empty_axes", false)? => return Ok(x.clone()),
        _ => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    call.apart(x, &axes)?;
    let mut reduced = of_axes(writer, x, &axes, reduction)?;
    if !call.node.flag_or("keepdims", true)? {
        for axis in axes.into_iter().rev() {
            reduced = without(&reduced, axis);
        }
    }
    Ok(reduced)
}

/// The reduction of `x` along `axes`, which keep one place each.
pub(super) fn of_axes(
    writer: &mut Writer,
    x: &Pixels,
    axes: &[usize],
    reduction: Reduction,
) -> Result<Pixels> {
    let mut sides = x.sides.clone();
    for axis in axes {
        sides[*axis] = 1;
    }
    let length: usize = axes.iter().map(|axis| x.sides[*axis]).product();
    let wide = x.wide();
    let outermost = wide.iter().take_while(|axis| axes.contains(axis)).count();
    let kept = wide.len() - outermost;
    let all_outside = wide[outermost..].iter().all(|axis| !axes.contains(axis));
    // The mean over the pixels of every channel, which the engine has as one operation.
    if all_outside && kept > 0 && matches!(reduction, Reduction::Mean | Reduction::Sum) {
        let channels = x.len() / length.max(1);
        let image = match writer.shape(x.value) {
            shape @ Shape::Image { channels: own, .. } if own == channels => shape,
            _ => Shape::of_image([length, 1], channels),
        };
        let value = writer.view(x.value, image)?;
        let mut value = writer.push(GlobalAvgPool, &[value])?;
        if reduction == Reduction::Sum {
            value = writer.push(Scale(length as f64), &[value])?;
        }
        return Ok(Pixels { value, sides, ..x.clone() });
    }
    let rows = writer.rows(x, axes)?;
    let value = writer.push(Reduce(reduction), &[rows.value])?;
    Ok(Pixels { value, sides, ..rows })
}
