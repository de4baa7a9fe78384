//! Operators that ask for sides, change them, or move elements without computing.

use super::super::graph::{Constant, Kind, Numbers};
use super::call::{Call, constant};
use super::strides::{self, count, count_of, offsets, select, side, strides};
use crate::error::Result;

/// Part of the sides from opset 15 on; bounds outside are moved to the nearest end.
pub(super) fn shape(call: &Call) -> Result<Constant> {
    call.not_before("start", 15)?;
    call.not_before("end", 15)?;
    let sides: Vec<i64> = call.input(0)?.sides.iter().map(|&side| side as i64).collect();
    let rank = sides.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let bound = call.node.int_or(name, default)?;
        let counted = if bound < 0 { bound.saturating_add(rank) } else { bound };
        Ok(counted.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    Ok(Constant::ints(sides.get(start..end).unwrap_or_default().to_vec()))
}

pub(super) fn size(call: &Call) -> Result<Constant> {
    Ok(constant(&[], Numbers::Ints(vec![call.input(0)?.len() as i64])))
}

/// The elements of `input` under other sides.
fn under(call: &Call, input: &Constant, sides: Vec<usize>) -> Result<Constant> {
    if count_of(call.node, &sides, input.len())? != input.len() {
        let (from, to) = (strides::listed(&input.sides), strides::listed(&sides));
        return Err(call.error(format!("the sides {from} do not become {to}")));
    }
    Ok(Constant { sides, numbers: input.numbers.clone() })
}

pub(super) fn reshape(call: &Call) -> Result<Constant> {
    call.not_before("allowzero", 14)?;
    let zero_is_zero = call.node.flag_or("allowzero", false)?;
    let input = call.input(0)?;
    let wanted = call.needed("shape", 1, 5)?;
    let mut sides = Vec::new();
    let mut open = None;
    for (axis, &wish) in wanted.iter().enumerate() {
        sides.push(match wish {
            0 if !zero_is_zero => *input.sides.get(axis).ok_or_else(|| {
                call.error(format!("shape: the input has no side {axis} for the 0 there"))
            })?,
            -1 if open.replace(axis).is_some() => {
                return Err(call.error("shape: -1 is there twice"));
            }
            -1 => 1,
            wish => side(call.node, wish)?,
        });
    }
    if let Some(open) = open {
        // The open side is 1 so far and does not count.
        let others = count_of(call.node, &sides, input.len())?;
        sides[open] = input
            .len()
            .checked_div(others)
            .ok_or_else(|| call.error("shape: -1 cannot be found out next to a side of 0"))?;
    }
    under(call, input, sides)
}

pub(super) fn flatten(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let rank = input.sides.len();
    let axis = match call.node.int_or("axis", 1)? {
        axis if axis == rank as i64 => rank,
        axis => call.node.axis(axis, rank)?,
    };
    let (rows, columns) = input.sides.split_at(axis);
    under(call, input, vec![rows.iter().product(), columns.iter().product()])
}

pub(super) fn squeeze(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let away = match call.setting("axes", 1, 13)? {
        Some(axes) => call.axes(&axes, input.sides.len())?,
        None => (0..input.sides.len()).filter(|&axis| input.sides[axis] == 1).collect(),
    };
    if let Some(axis) = away.iter().find(|&&axis| input.sides[axis] != 1) {
        let side = input.sides[*axis];
        return Err(call.error(format!("side {axis} is {side} and cannot be squeezed away")));
    }
    let kept = (0..input.sides.len()).filter(|axis| !away.contains(axis));
    under(call, input, kept.map(|axis| input.sides[axis]).collect())
}

pub(super) fn unsqueeze(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let axes = call.needed("axes", 1, 13)?;
    let rank = input.sides.len() + axes.len();
    if rank > strides::MOST_SIDES {
        return Err(call.error(format!("makes {rank} sides")));
    }
    let axes = call.axes(&axes, rank)?;
    let mut old = input.sides.iter();
    let sides = (0..rank).map(|axis| match axes.contains(&axis) {
        true => 1,
        false => old.next().copied().unwrap_or(1),
    });
    under(call, input, sides.collect())
}

pub(super) fn transpose(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let rank = input.sides.len();
    let order = match call.node.ints("perm")? {
        Some(order) if order.len() != rank => {
            return Err(call.error(format!("perm has {} axes for {rank} sides", order.len())));
        }
        Some(order) => call.axes(&order, rank)?,
        None => (0..rank).rev().collect(),
    };
    strides::transpose(call.node, input, &order)
}

pub(super) fn concat(call: &Call) -> Result<Constant> {
    let first = call.input(0)?;
    let axis = match call.node.int("axis")? {
        Some(axis) => call.node.axis(axis, first.sides.len())?,
        None if call.opset < 4 => call.node.axis(1, first.sides.len())?,
        None => return Err(call.error("attribute axis: is missing")),
    };
    let mut sides = first.sides.clone();
    sides[axis] = 0;
    // What each input contributes to a row of the result: where it begins, and how many of its elements.
    let mut rows = Vec::new();
    let mut all = first.numbers.pick(std::iter::empty());
    for index in 0..call.inputs.len() {
        let input = call.input(index)?;
        let mut others = input.sides.clone();
        if others.len() == sides.len() {
            others[axis] = sides[axis];
        }
        if others != sides {
            let (one, other) = (strides::listed(&first.sides), strides::listed(&input.sides));
            return Err(call.error(format!("sides {one} and {other} do not go together")));
        }
        sides[axis] = sides[axis].saturating_add(input.sides[axis]);
        count_of(call.node, &sides, all.len().saturating_add(input.len()))?;
        rows.push((all.len(), input.sides[axis..].iter().product::<usize>()));
        if !all.append(&input.numbers) {
            return Err(call.wrong_kinds());
        }
    }
    let outer: usize = sides[..axis].iter().product();
    let places = (0..outer).flat_map(|row| {
        rows.iter().flat_map(move |&(begin, length)| {
            let begin = begin + row * length;
            begin..begin + length
        })
    });
    Ok(Constant { numbers: all.pick(places), sides })
}

/// Lengths are an attribute before opset 13 and an input from then on, or as equal as can be.
pub(super) fn split(call: &Call) -> Result<Vec<Constant>> {
    call.not_before("num_outputs", 18)?;
    let input = call.input(0)?;
    let axis = call.node.axis(call.node.int_or("axis", 0)?, input.sides.len())?;
    let (whole, parts) = (input.sides[axis], call.node.outputs.len());
    if call.node.int("num_outputs")?.is_some_and(|number| number != parts as i64) {
        return Err(call.error(format!("attribute num_outputs: there are {parts} outputs")));
    }
    let lengths = match call.setting("split", 1, 13)? {
        Some(lengths) => {
            lengths.iter().map(|&length| side(call.node, length)).collect::<Result<Vec<_>>>()?
        }
        None if parts == 0 || (call.opset < 18 && whole % parts != 0) => {
            return Err(call.error(format!("a side of {whole} has no {parts} equal parts")));
        }
        None => {
            let length = whole.div_ceil(parts);
            (0..parts).map(|part| length.min(whole.saturating_sub(part * length))).collect()
        }
    };
    let sum = lengths.iter().try_fold(0_usize, |sum, &length| sum.checked_add(length));
    if lengths.len() != parts || sum != Some(whole) {
        return Err(call.error(format!("split does not divide a side of {whole} in {parts}")));
    }
    let steps = strides(&input.sides);
    let mut begin = 0;
    let parts = lengths.into_iter().map(|length| {
        let mut sides = input.sides.clone();
        sides[axis] = length;
        let from = begin;
        begin += length;
        select(call.node, input, sides, |at, index| {
            (if at == axis { index + from } else { index }) * steps[at]
        })
    });
    parts.collect()
}

/// Bounds are attributes before opset 10 and inputs from then on; what is outside is moved to the nearest end.
pub(super) fn slice(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let starts = call.needed("starts", 1, 10)?;
    let ends = call.needed("ends", 2, 10)?;
    let axes = match call.setting("axes", 3, 10)? {
        Some(axes) => axes,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.optional(4) {
        Some(_) => call.ints(4)?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(call.error("starts, ends, axes and steps differ in length"));
    }
    let mut sides = input.sides.clone();
    let mut ways = vec![(0_i64, 1_i64); sides.len()];
    for (place, axis) in call.axes(&axes, input.sides.len())?.into_iter().enumerate() {
        let (whole, step) = (input.sides[axis] as i64, steps[place]);
        let counted = |at: i64| if at < 0 { at.saturating_add(whole) } else { at };
        let (start, end) = (counted(starts[place]), counted(ends[place]));
        let (start, distance) = match step {
            0 => return Err(call.error("a step is 0")),
            _ if whole == 0 => (0, 0),
            1.. => {
                let start = start.clamp(0, whole);
                (start, end.clamp(0, whole) - start)
            }
            _ => {
                // The definition begins inside, unlike Python.
                let start = start.clamp(0, whole - 1);
                (start, start - end.clamp(-1, whole - 1))
            }
        };
        sides[axis] = match u64::try_from(distance) {
            Ok(distance) => distance.div_ceil(step.unsigned_abs()) as usize,
            Err(_) => 0,
        };
        ways[axis] = (start, step);
    }
    let apart = strides(&input.sides);
    select(call.node, input, sides, |axis, index| {
        let (start, step) = ways[axis];
        // The first index is inside; the product is only formed for an index that is there.
        (start + index as i64 * step) as usize * apart[axis]
    })
}

pub(super) fn expand(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let wanted = call.ints(1)?.iter().map(|&wish| side(call.node, wish));
    let wanted = wanted.collect::<Result<Vec<_>>>()?;
    let sides = strides::broadcast(call.node, [input.sides.as_slice(), wanted.as_slice()])?;
    // Of what is wanted nothing is there yet.
    count_of(call.node, &sides, input.len())?;
    let numbers = input.numbers.pick(strides::repeated(&input.sides, &sides));
    Ok(Constant { sides, numbers })
}

pub(super) fn tile(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let repeats = call.ints(1)?;
    if call.opset < 6 || repeats.len() != input.sides.len() {
        return Err(call.error("repeats has to have one number per side"));
    }
    let sides = input
        .sides
        .iter()
        .zip(repeats)
        .map(|(&one, &repeats)| Ok(one.saturating_mul(side(call.node, repeats)?)));
    let steps = strides(&input.sides);
    let sides = sides.collect::<Result<Vec<_>>>()?;
    select(call.node, input, sides, |axis, index| index % input.sides[axis] * steps[axis])
}

/// The settings are attributes before opset 11 and inputs from then on; negative pads cut off.
pub(super) fn pad(call: &Call) -> Result<Constant> {
    if !matches!(call.node.text("mode")?, None | Some("constant")) {
        return Err(call.error("attribute mode: only `constant` is computed on constants"));
    }
    let input = call.input(0)?;
    call.not_since("value", 11)?;
    let pads = call.needed("pads", 1, 11)?;
    let axes = match call.optional(3) {
        Some(_) => call.axes(call.ints(3)?, input.sides.len())?,
        None => (0..input.sides.len()).collect(),
    };
    let Some((begins, ends)) =
        pads.split_at_checked(axes.len()).filter(|(_, ends)| ends.len() == axes.len())
    else {
        return Err(call.error(format!("{} pads for {} axes", pads.len(), axes.len())));
    };
    let mut sides = input.sides.clone();
    let mut before = vec![0; sides.len()];
    for ((axis, &begin), &end) in axes.into_iter().zip(begins).zip(ends) {
        let padded = begin.checked_add(end).and_then(|both| both.checked_add(sides[axis] as i64));
        let padded = padded.ok_or_else(|| call.error("a pad exceeds 64 bits"))?;
        sides[axis] = side(call.node, padded)?;
        before[axis] = begin;
    }
    let value = match (call.optional(2), input.kind()) {
        (Some(value), kind) if value.len() == 1 && value.kind() == kind => value.numbers.clone(),
        (Some(_), _) => return Err(call.error("the value is not one number of the input's kind")),
        (None, Kind::Float) => Numbers::Floats(vec![call.node.float_or("value", 0.0)?]),
        (None, Kind::Int) => Numbers::Ints(vec![0]),
        (None, Kind::Bool) => Numbers::Bools(vec![false]),
    };
    let mut numbers = input.numbers.clone();
    numbers.append(&value);
    count(call.node, &sides)?;
    // An index outside contributes so much that the sum is beyond the elements, where the value is.
    let (steps, value) = (strides(&input.sides), input.len());
    let places = offsets(&sides, |axis, index| {
        let from = (index as i64).checked_sub(before[axis]).map(usize::try_from);
        match from {
            Some(Ok(from)) if from < input.sides[axis] => from * steps[axis],
            _ => value,
        }
    });
    let numbers = numbers.pick(places.map(|place| place.min(value)));
    Ok(Constant { sides, numbers })
}

/// One triangle of each matrix, with zeros in the other.
pub(super) fn trilu(call: &Call) -> Result<Constant> {
    let upper = call.node.flag_or("upper", true)?;
    let diagonal = if call.optional(1).is_some() { call.int(1)? } else { 0 };
    let input = call.input(0)?;
    let [.., rows, columns] = input.sides[..] else {
        return Err(call.error("the input is no matrix"));
    };
    let kept = |place: usize| {
        let (row, column) = ((place / columns % rows) as i64, (place % columns) as i64);
        if upper { column - row >= diagonal } else { column - row <= diagonal }
    };
    fn keep<T: Copy + Default>(from: &[T], kept: impl Fn(usize) -> bool) -> Vec<T> {
        let from = from.iter().enumerate();
        from.map(|(place, &x)| if kept(place) { x } else { T::default() }).collect()
    }
    let numbers = match &input.numbers {
        Numbers::Floats(from) => Numbers::Floats(keep(from, kept)),
        Numbers::Ints(from) => Numbers::Ints(keep(from, kept)),
        Numbers::Bools(from) => Numbers::Bools(keep(from, kept)),
    };
    Ok(constant(&input.sides, numbers))
}
