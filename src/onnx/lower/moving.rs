//! Operators that move numbers or only rename their places.

use super::arithmetic::together;
use super::call::Call;
use super::held::{Batch, Held, Known, Pixels, in_order};
use super::matrix::{self, without};
use super::walk::sides_of;
use super::writer::{Places, Writer, batch_after, common, extended};
use crate::error::Result;
use crate::nn::{Concat, Shape, Stack};
use crate::onnx::graph::{Constant, Kind};
use std::sync::Arc;

pub(super) fn identity(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    Ok(vec![call.pixels(0)?.clone().into()])
}

/// In inference dropout does nothing.
pub(super) fn dropout(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    if let Some(training) = call.constant(2)?
        && training.numbers == crate::onnx::graph::Numbers::Bools(vec![true])
    {
        return Err(call.error(
            "is in training mode: the network is random",
            "export the network in evaluation mode: model.eval()",
        ));
    }
    let x = call.pixels(0)?.clone();
    // Nobody reads the mask of an exported network; if somebody does, it is 1.
    let mask = Constant::floats(x.sides.clone(), vec![1.0; if call.node.outputs.len() > 1 { x.len() } else { 0 }]);
    Ok(vec![x.into(), mask.into()])
}

pub(super) fn cast(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    // FLOAT, FLOAT16, DOUBLE, BFLOAT16, BOOL: the numbers of TensorProto.DataType.
    match (call.node.int_or("to", 1)?, x.kind) {
        (1 | 10 | 11 | 16, _) => Ok(vec![Pixels { kind: Kind::Float, ..x.clone() }.into()]),
        (9, Kind::Bool) => Ok(vec![x.clone().into()]),
        _ => Err(call.error(
            "makes whole numbers of pixels, which have no gradient",
            "export the network without rounding and quantisation",
        )),
    }
}

pub(super) fn cast_like(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let kind = match call.input(1) {
        Some(Held::Known(known)) => known.one.kind(),
        Some(Held::Pixels(pixels)) => pixels.kind,
        None => Kind::Float,
    };
    let x = call.pixels(0)?;
    if kind == Kind::Float || kind == x.kind {
        return Ok(vec![Pixels { kind, ..x.clone() }.into()]);
    }
    Err(call.error("makes whole numbers of pixels", "export the network without rounding"))
}

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

pub(super) fn size(_: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    Ok(vec![Constant::ints(vec![call.pixels(0)?.len() as i64]).into()])
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
    let (sides, many) = match (one, many) {
        (Some(one), many) => (one, many),
        // The number of images in the file is written into the shape: here it is 1.
        (None, Some(many)) if x.batch.is_some() => {
            let axis = many.iter().position(|side| *side == writer.many).ok_or_else(misfit)?;
            let mut one = many.clone();
            one[axis] = 1;
            if one.iter().product::<usize>() != x.len() {
                return Err(misfit());
            }
            (one, Some(many))
        }
        _ => return Err(misfit()),
    };
    let batch = batch_after(x, &sides, many.as_deref()).map_err(|()| call.mixes())?;
    Ok(vec![writer.reshape(x, sides, batch)?.into()])
}

/// `x` under other sides that leave the batch where it is among the numbers.
pub(super) fn renamed(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    sides: Vec<usize>,
) -> Result<Pixels> {
    let batch = batch_after(x, &sides, None).map_err(|()| call.mixes())?;
    writer.reshape(x, sides, batch)
}

pub(super) fn flatten(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.node.int_or("axis", 1)?;
    let rank = x.sides.len();
    let axis = if axis == rank as i64 { rank } else { call.node.axis(axis, rank)? };
    let (rows, columns) = x.sides.split_at(axis);
    let sides = vec![rows.iter().product(), columns.iter().product()];
    Ok(vec![renamed(writer, call, x, sides)?.into()])
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

pub(super) fn concat(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let rank = match call.inputs.iter().flatten().find_map(|input| match input {
        Held::Pixels(x) => Some(x.sides.len()),
        Held::Known(_) => None,
    }) {
        Some(rank) => rank,
        None => return Err(call.error("has no inputs", "export the network again")),
    };
    let axis = call.axis(1, rank)?;
    let mut parts: Vec<Pixels> = Vec::new();
    for (i, input) in call.inputs.iter().enumerate() {
        let part = match input {
            Some(Held::Pixels(x)) => x.clone(),
            Some(Held::Known(known)) if known.alike() => {
                // A constant for every image, as many as there are.
                let mut constant = known.one.as_ref().clone();
                if constant.is_empty() {
                    continue;
                }
                if constant.as_floats().is_none() {
                    constant = call.weight(i)?.as_ref().clone();
                }
                writer.constant(&constant)?
            }
            Some(Held::Known(_)) => return Err(call.mixes()),
            None => continue,
        };
        if part.sides.len() != rank {
            let problem = format!("input {i} has sides {:?}, another has {rank}", part.sides);
            return Err(call.error(problem, "export the network again"));
        }
        parts.push(part);
    }
    let mut batch = None;
    for part in &parts {
        call.apart(part, &[axis])?;
        batch = together(call, batch, part.batch)?;
    }
    let Some(first) = parts.iter().max_by_key(|part| part.len()).cloned() else {
        return Err(call.error("has no inputs", "export the network again"));
    };
    let mut sides = first.sides.clone();
    sides[axis] = parts.iter().map(|part| part.sides[axis]).sum();
    for part in &parts {
        let fits = |other: usize| other == axis || part.sides[other] == first.sides[other];
        if !(0..rank).all(fits) {
            let problem = format!("sides {:?} and {:?} do not fit", part.sides, first.sides);
            return Err(call.error(problem, "export the network again"));
        }
    }
    // Side by side if the axis is the innermost one, one below the other if not.
    let innermost = first.wide().last() == Some(&axis);
    let rest = first.order.iter().copied().filter(|own| *own != axis);
    let order: Vec<usize> =
        if innermost { rest.chain([axis]).collect() } else { [axis].into_iter().chain(rest).collect() };
    let rows: usize = first.len() / first.sides[axis].max(1);
    let same = parts.iter().map(|part| writer.shape(part.value)).collect::<Vec<_>>();
    let mut values = Vec::new();
    for (part, shape) in parts.iter().zip(&same) {
        let own = part.sides[axis];
        let part = writer.arrange(part, &order)?;
        // Images keep their height and width if all have the same.
        let as_it_is = innermost
            && matches!(shape, Shape::Image { .. })
            && same.iter().all(|other| other.with_channels(1) == shape.with_channels(1))
            && shape.channels() == own;
        values.push(match (as_it_is, innermost) {
            (true, _) => part.value,
            (false, true) => writer.view(part.value, Shape::of_image([rows, 1], own))?,
            (false, false) => writer.view(part.value, Shape::of_image([own, 1], rows))?,
        });
    }
    let value = match (&values[..], innermost) {
        ([value], _) => *value,
        (_, true) => writer.push(Concat, &values)?,
        (_, false) => writer.push(Stack, &values)?,
    };
    Ok(vec![Pixels { value, sides, order, batch, kind: first.kind }.into()])
}

pub(super) fn split(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.axis(0, x.sides.len())?;
    call.apart(x, &[axis])?;
    let side = x.sides[axis];
    let parts: Vec<usize> = match call.ints_of("split", 1)? {
        Some(parts) => parts.into_iter().map(|part| usize::try_from(part).unwrap_or(0)).collect(),
        None => {
            let count = call.node.outputs.len().max(1);
            let part = side.div_ceil(count);
            (0..count).map(|i| part.min(side.saturating_sub(i * part))).collect()
        }
    };
    if parts.iter().try_fold(0_usize, |n, part| n.checked_add(*part)) != Some(side)
        || parts.contains(&0)
    {
        let problem = format!("{side} places do not split into {parts:?}");
        return Err(call.error(problem, "export the network again"));
    }
    let mut first = 0;
    let mut outputs = Vec::new();
    for part in parts {
        let places: Vec<usize> = (first..first + part).collect();
        outputs.push(writer.take(x, axis, &places)?.into());
        first += part;
    }
    Ok(outputs)
}

pub(super) fn slice(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let mut x = call.pixels(0)?.clone();
    let rank = x.sides.len();
    let missing = || call.error("starts or ends are missing", "export the network again");
    let starts = call.ints_of("starts", 1)?.ok_or_else(missing)?;
    let ends = call.ints_of("ends", 2)?.ok_or_else(missing)?;
    let axes = match call.axes(3, rank)? {
        Some(axes) => axes,
        None => in_order(starts.len().min(rank)),
    };
    let steps = call.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(call.error("starts, ends, axes and steps differ in length", "export it again"));
    }
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let side = x.sides[axis] as i64;
        if step == 0 {
            return Err(call.error("has a step of 0", "export the network again"));
        }
        let place = |place: i64| if place < 0 { place.saturating_add(side) } else { place };
        let (least, most) = if step > 0 { (0, side) } else { (-1, side - 1) };
        let start = place(start).clamp(0, if step > 0 { side } else { side - 1 });
        let end = place(end).clamp(least, most);
        let mut places = Vec::new();
        let mut at = start;
        while (step > 0 && at < end) || (step < 0 && at > end) {
            places.push(at as usize);
            at = at.saturating_add(step);
        }
        if places.is_empty() {
            return Err(call.error(format!("nothing of axis {axis} is left"), "export it again"));
        }
        let all = places.iter().copied().eq(0..x.sides[axis]);
        if !all {
            call.apart(&x, &[axis])?;
        }
        x = writer.take(&x, axis, &places)?;
    }
    Ok(vec![x.into()])
}

pub(super) fn gather(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.axis(0, x.sides.len())?;
    call.apart(x, &[axis])?;
    let Some(index) = call.constant(1)? else {
        return Err(call.error("has no indices", "export the network again"));
    };
    let Some(numbers) = index.as_ints() else {
        return Err(call.error("the indices are no integers", "export the network again"));
    };
    let mut places = Vec::with_capacity(numbers.len());
    for number in numbers {
        places.push(call.node.axis(*number, x.sides[axis]).map_err(|_| {
            let problem = format!("index {number} is not one of {} places", x.sides[axis]);
            call.error(problem, "export the network again")
        })?);
    }
    let taken = writer.take(x, axis, &places)?;
    // One axis becomes those of the indices.
    let mut sides = taken.sides.clone();
    sides.splice(axis..=axis, index.sides.iter().copied());
    Ok(vec![renamed(writer, call, &taken, sides)?.into()])
}

pub(super) fn expand(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let target = call.ints(1)?.unwrap_or_default();
    let target: Vec<usize> =
        target.into_iter().map(|side| usize::try_from(side).unwrap_or(1)).collect();
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
        super::writer::too_large(x.len().saturating_mul(repeat))?;
        let side = x.sides[axis];
        let places: Vec<usize> = (0..repeat * side).map(|i| i % side).collect();
        x = writer.take(&x, axis, &places)?;
    }
    Ok(vec![x.into()])
}

/// Padding of any axis; negative padding cuts.
pub(super) fn pad(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let mut x = call.pixels(0)?.clone();
    let rank = x.sides.len();
    let pads = call.ints_of("pads", 1)?.unwrap_or_default();
    let axes = match call.ints(3)? {
        None => in_order(rank),
        Some(axes) => {
            axes.into_iter().map(|axis| call.node.axis(axis, rank)).collect::<Result<_>>()?
        }
    };
    if pads.len() != 2 * axes.len() {
        let problem = format!("{} pads for {} axes", pads.len(), axes.len());
        return Err(call.error(problem, "export the network again"));
    }
    let fill = match (call.node.float("value")?, call.constant(2)?) {
        (Some(value), _) => f64::from(value),
        (None, Some(value)) => {
            value.as_floats().and_then(|v| v.first().copied()).map_or(0.0, f64::from)
        }
        (None, None) => 0.0,
    };
    let mode = call.node.text("mode")?.unwrap_or("constant").to_string();
    for (i, axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        if (before, after) == (0, 0) {
            continue;
        }
        call.apart(&x, &[*axis])?;
        let side = x.sides[*axis] as i64;
        let length = side.checked_add(before).and_then(|n| n.checked_add(after));
        let Some(length) = length.filter(|n| (1..=1 << 28).contains(n)) else {
            let problem = format!("pads {before} and {after} of {side} places are absurd");
            return Err(call.error(problem, "export the network again"));
        };
        let mut places = Places::with_capacity(length as usize);
        for i in 0..length {
            let at = i - before;
            let inside = (0..side).contains(&at);
            places.push(match mode.as_str() {
                _ if inside => Some(at as usize),
                "constant" => None,
                "edge" => Some(at.clamp(0, side - 1) as usize),
                "wrap" => Some(at.rem_euclid(side) as usize),
                "reflect" if side > 1 => {
                    let at = at.rem_euclid(2 * (side - 1));
                    Some(at.min(2 * (side - 1) - at) as usize)
                }
                "reflect" => Some(0),
                other => return Err(call.error(format!("mode {other} is unknown"), "")),
            });
        }
        x = padded(writer, &x, *axis, places, fill)?;
    }
    Ok(vec![x.into()])
}

/// `x` with these places on an axis.
pub(super) fn padded(
    writer: &mut Writer,
    x: &Pixels,
    axis: usize,
    places: Places,
    fill: f64,
) -> Result<Pixels> {
    let mut sides = x.sides.clone();
    sides[axis] = places.len();
    let value = writer.pick_axis(x, axis, places, fill)?;
    Ok(Pixels { value, sides, ..x.clone() })
}
