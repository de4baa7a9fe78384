//! Operators that give the same numbers other sides, or repeat them, and those that ask for sides.

use std::sync::Arc;

use super::broadcast::common;
use super::budget::too_large;
use super::call::Call;
use super::held::{Batch, Held, Known, Pixels, in_order};
use super::matrix::{self, without};
use super::walk::sides_of;
use super::writer::{Writer, batch_after, extended};
use crate::error::Result;
use crate::onnx::graph::{Constant, Numbers};

pub(super) fn shape(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let (one, many) = sides_of(writer, x);
    let rank = one.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let place = call.node.int_or(name, default)?;
        let place = if place < 0 { place.saturating_add(rank) } else { place };
        Ok(place.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let part = |sides: &[i64]| Arc::new(Constant::ints(sides[start.min(end)..end].to_vec()));
    let (one, many) = (part(&one), many.map(|many| part(&many)));
    let many = many.filter(|many| *many != one);
    Ok(vec![Held::Known(Known { one, many })])
}

pub(super) fn size(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let count = |images: usize| {
        let count = x.len().saturating_mul(images) as i64;
        Arc::new(Constant { sides: Vec::new(), numbers: Numbers::Ints(vec![count]) })
    };
    let many = x.batch.map(|_| count(writer.many));
    Ok(vec![Held::Known(Known { one: count(1), many })])
}

/// The sides that `target` asks for of a tensor of sides `sides`: 0 keeps a side, -1 is what is left.
fn resolved(sides: &[usize], target: &[i64], zero_keeps: bool) -> Option<Vec<usize>> {
    let mut new = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, side) in target.iter().enumerate() {
        new.push(match side {
            0 if zero_keeps => *sides.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            side => usize::try_from(*side).ok()?,
        });
    }
    let count = |sides: &[usize]| sides.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
    let (all, given) = (count(sides)?, count(&new)?);
    if let Some(open) = open {
        new[open] = all.checked_div(given)?;
    }
    (count(&new)? == all).then_some(new)
}

pub(super) fn reshape(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let keeps = !call.node.flag_or("allowzero", false)?;
    let known = call.known(1)?;
    let ints = |constant: &Constant| constant.as_ints().map(<[i64]>::to_vec);
    let target = match (call.node.ints("shape")?, known) {
        (Some(target), _) => Some(target),
        (None, Some(known)) => ints(&known.one),
        (None, None) => None,
    };
    let Some(target) = target else {
        return Err(call.error("the shape is no list of integers", "export the network again"));
    };
    let mut many_sides = x.sides.clone();
    if let Some(batch) = x.batch {
        many_sides[batch.axis] *= writer.many;
    }
    let many_target = known.and_then(|known| ints(known.many())).unwrap_or_else(|| target.clone());
    let one = resolved(&x.sides, &target, keeps);
    let many = resolved(&many_sides, &many_target, keeps);
    let misfit = || {
        let problem = format!("sides {:?} do not become {target:?}", x.sides);
        call.error(problem, "the file contradicts itself: export the network again")
    };
    if let Some(one) = &one {
        let told = many.as_ref().and_then(|many| (0..one.len()).find(|i| many[*i] != one[*i]));
        if let Ok(batch) = batch_after(x, one, told) {
            return Ok(vec![writer.reshape(x, one.clone(), batch)?.into()]);
        }
    }
    // The number of images in the file is written into the shape, alone or times something: here it is 1.
    if let Some(many) = many.filter(|_| x.batch.is_some() && (writer.fixed || one.is_none())) {
        for axis in 0..many.len() {
            let mut one = many.clone();
            one[axis] /= writer.many;
            if many[axis] % writer.many == 0
                && let Ok(batch) = batch_after(x, &one, Some(axis))
            {
                return Ok(vec![writer.reshape(x, one, batch)?.into()]);
            }
        }
    }
    Err(if one.is_some() { call.mixes() } else { misfit() })
}

/// `x` under other sides that leave the batch where it is among the numbers; the first axis stays the first one.
pub(super) fn renamed(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    sides: Vec<usize>,
) -> Result<Pixels> {
    named(writer, call, x, sides, x.batch_axis().filter(|axis| *axis == 0))
}

/// `x` under other sides, `to` the axis that the one of the batch becomes or becomes part of.
pub(super) fn named(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    sides: Vec<usize>,
    to: Option<usize>,
) -> Result<Pixels> {
    let batch = batch_after(x, &sides, to).map_err(|()| call.mixes())?;
    writer.reshape(x, sides, batch)
}

pub(super) fn flatten(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.node.int_or("axis", 1)?;
    let rank = x.sides.len();
    let axis = if axis == rank as i64 { rank } else { call.node.axis(axis, rank)? };
    let (rows, columns) = x.sides.split_at(axis);
    let sides = vec![rows.iter().product(), columns.iter().product()];
    let to = x.batch_axis().map(|own| usize::from(own >= axis));
    Ok(vec![named(writer, call, x, sides, to)?.into()])
}

pub(super) fn squeeze(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let mut axes = match call.axes(1, x.sides.len())? {
        Some(axes) => axes,
        None => {
            call.apart(x, &in_order(x.sides.len()))?;
            in_order(x.sides.len()).into_iter().filter(|axis| x.sides[*axis] == 1).collect()
        }
    };
    axes.sort_unstable();
    axes.dedup();
    let mut x = x.clone();
    for axis in axes.into_iter().rev() {
        call.apart(&x, &[axis])?;
        if x.sides[axis] != 1 {
            let problem = format!("axis {axis} has {} places, not 1", x.sides[axis]);
            return Err(call.error(problem, "export the network again"));
        }
        x = without(&x, axis);
    }
    Ok(vec![x.into()])
}

pub(super) fn unsqueeze(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let added = call.ints_of("axes", 1)?.unwrap_or_default();
    let rank = x.sides.len() + added.len();
    let mut axes = Vec::new();
    for axis in added {
        axes.push(call.node.axis(axis, rank)?);
    }
    axes.sort_unstable();
    let mut x = x.clone();
    for axis in axes {
        if axis > x.sides.len() {
            return Err(call.error("axes are named twice", "export the network again"));
        }
        x.sides.insert(axis, 1);
        x.order.iter_mut().filter(|own| **own >= axis).for_each(|own| *own += 1);
        x.order.insert(0, axis);
        x.batch = x.batch.map(|batch| match batch.axis >= axis {
            true => Batch { axis: batch.axis + 1, ..batch },
            false => batch,
        });
    }
    Ok(vec![x.into()])
}

pub(super) fn transpose(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let axes = match call.node.ints("perm")? {
        None => in_order(rank).into_iter().rev().collect(),
        Some(axes) => {
            axes.into_iter().map(|axis| call.node.axis(axis, rank)).collect::<Result<Vec<_>>>()?
        }
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if sorted != in_order(rank) {
        return Err(call.error("attribute perm: names no permutation", "export it again"));
    }
    Ok(vec![matrix::transpose(x, &axes).into()])
}

pub(super) fn expand(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let [target, of_many] = call.ints_of_both("", 1)?.unwrap_or_default();
    for (own, (one, many)) in target.iter().zip(&of_many).enumerate() {
        let axis = (own + x.sides.len()).checked_sub(target.len());
        if one != many && (axis.is_none() || axis != x.batch_axis()) {
            return Err(call.mixes());
        }
    }
    let mut target: Vec<usize> =
        target.into_iter().map(|side| usize::try_from(side).unwrap_or(1)).collect();
    // The number of images in the file is written into the shape.
    if let Some(axis) = x.batch_axis()
        && writer.fixed
        && let Some(own) = (axis + target.len()).checked_sub(x.sides.len())
        && let Some(side) = target.get_mut(own)
        && *side == x.sides[axis] * writer.many
    {
        *side = x.sides[axis];
    }
    let sides = common(&x.sides, &target)?;
    let x = extended(x, sides.len());
    if let Some(axis) = x.batch_axis()
        && x.sides[axis] != sides[axis]
    {
        return Err(call.mixes());
    }
    let order = x.order.clone();
    Ok(vec![writer.expand(&x, &sides, &order)?.into()])
}

pub(super) fn tile(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let mut x = call.pixels(0)?.clone();
    let repeats = call.ints(1)?.unwrap_or_default();
    if repeats.len() != x.sides.len() {
        return Err(call.error("repeats are not one for each axis", "export the network again"));
    }
    for (axis, repeat) in repeats.into_iter().enumerate() {
        let repeat = usize::try_from(repeat).unwrap_or(0);
        if repeat == 1 {
            continue;
        }
        call.apart(&x, &[axis])?;
        too_large(x.len().saturating_mul(repeat))?;
        let side = x.sides[axis];
        let places: Vec<usize> = (0..repeat * side).map(|i| i % side).collect();
        x = writer.take(&x, axis, &places)?;
    }
    Ok(vec![x.into()])
}
