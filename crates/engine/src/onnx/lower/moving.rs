//! Operators that move numbers or only rename their places.

use super::arithmetic::{floats, together};
use super::budget::MOST;
use super::call::Call;
use super::held::{Batch, Held, Known, Pixels, in_order};
use super::reshape::named;
use super::writer::{Places, Writer};
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
    let mask = Constant::floats(
        x.sides.clone(),
        vec![1.0; if call.node.outputs.len() > 1 { x.len() } else { 0 }],
    );
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
    if let (Some(Held::Known(known)), Kind::Float) = (call.input(0), kind) {
        let many = known.many.as_deref().map(|many| Arc::new(floats(many)));
        return Ok(vec![Held::Known(Known { one: Arc::new(floats(&known.one)), many })]);
    }
    let x = call.pixels(0)?;
    if kind == Kind::Float || kind == x.kind {
        return Ok(vec![Pixels { kind, ..x.clone() }.into()]);
    }
    Err(call.error("makes whole numbers of pixels", "export the network without rounding"))
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
                let own = call.inputs.iter().flatten().find_map(|input| match input {
                    Held::Pixels(x) => writer.of_one(&constant, x),
                    Held::Known(_) => None,
                });
                writer.constant(&own.unwrap_or(constant))?
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
    let order: Vec<usize> = if innermost {
        rest.chain([axis]).collect()
    } else {
        [axis].into_iter().chain(rest).collect()
    };
    let rows: usize = first.len() / first.sides[axis].max(1);
    for part in &mut parts {
        *part = writer.arrange(part, &order)?;
    }
    let same: Vec<Shape> = parts.iter().map(|part| writer.shape(part.value)).collect();
    let mut values = Vec::new();
    for (part, shape) in parts.iter().zip(&same) {
        let own = part.sides[axis];
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
    let [starts, starts_of_many] = call.ints_of_both("starts", 1)?.ok_or_else(missing)?;
    let [ends, ends_of_many] = call.ints_of_both("ends", 2)?.ok_or_else(missing)?;
    let axes = match call.axes(3, rank)? {
        Some(axes) => axes,
        None => in_order(starts.len().min(rank)),
    };
    let steps = call.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(call.error("starts, ends, axes and steps differ in length", "export it again"));
    }
    let four = starts.into_iter().zip(ends).zip(axes).zip(steps);
    for (i, (((start, end), axis), step)) in four.enumerate() {
        let side = x.sides[axis];
        if step == 0 {
            return Err(call.error("has a step of 0", "export the network again"));
        }
        if x.batch_axis() == Some(axis) {
            // The images have to stay, all of them and in their order, however many there are.
            let all = side.saturating_mul(writer.many);
            let (start, end) = (starts_of_many[i], ends_of_many[i]);
            if !sliced(all, start, end, step).into_iter().eq(0..all) {
                return Err(call.mixes());
            }
            continue;
        }
        if (starts_of_many[i], ends_of_many[i]) != (start, end) {
            return Err(call.mixes());
        }
        let places = sliced(side, start, end, step);
        if places.is_empty() {
            return Err(call.error(format!("nothing of axis {axis} is left"), "export it again"));
        }
        x = writer.take(&x, axis, &places)?;
    }
    Ok(vec![x.into()])
}

/// The places of an axis of `side` places from `start` to before `end`; negative ones count from its end.
fn sliced(side: usize, start: i64, end: i64, step: i64) -> Vec<usize> {
    let side = side as i64;
    let place = |place: i64| if place < 0 { place.saturating_add(side) } else { place };
    let (least, most) = if step > 0 { (0, side) } else { (-1, side - 1) };
    let start = place(start).clamp(0, if step > 0 { side } else { (side - 1).max(0) });
    let end = place(end).clamp(least, most.max(least));
    let mut places = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    places
}

pub(super) fn gather(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.axis(0, x.sides.len())?;
    let Some(known) = call.known(1)? else {
        return Err(call.error("has no indices", "export the network again"));
    };
    let own = own_places(x, axis, known);
    if own.is_none() {
        call.apart(x, &[axis])?;
        if known.many.is_some() {
            return Err(call.mixes());
        }
    }
    let index = Arc::clone(&known.one);
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
    if let Some(images) = own {
        let batch = Some(Batch { axis: axis + images, within: 1 });
        return Ok(vec![writer.reshape(&taken, sides, batch)?.into()]);
    }
    let rank = index.sides.len();
    let to = x.batch_axis().map(|own| if own > axis { own + rank - 1 } else { own });
    Ok(vec![named(writer, call, &taken, sides, to)?.into()])
}

/// The axis of the indices that numbers the images, if every image gets its own places on an axis on which the
/// images lie one after the other: a view that an exporter has written as a gather.
fn own_places(x: &Pixels, axis: usize, known: &Known) -> Option<usize> {
    let batch = x.batch.filter(|b| b.axis == axis && b.within == x.sides[axis])?;
    let (one, many) = (&known.one, known.many.as_ref()?);
    let rank = one.sides.len();
    let mut differ = (0..rank).filter(|i| one.sides.get(*i) != many.sides.get(*i));
    let (images, None) = (differ.next()?, differ.next()) else { return None };
    if many.sides.len() != rank || one.sides[images] != 1 {
        return None;
    }
    let (one, numbers) = (one.as_ints()?, many.as_ints()?);
    let inner: usize = many.sides[images + 1..].iter().product();
    let count = many.sides[images];
    let fits = |(i, number): (usize, &i64)| {
        let image = i / inner % count;
        let own = i / (inner * count) * inner + i % inner;
        one.get(own).is_some_and(|first| *number == first + (image * batch.within) as i64)
    };
    numbers.iter().enumerate().all(fits).then_some(images)
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
        let Some(length) = length.filter(|n| (1..=MOST as i64).contains(n)) else {
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
                other => {
                    return Err(call.error(
                        format!("mode {other} is unknown"),
                        "constant, edge, reflect and wrap are supported",
                    ));
                }
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
