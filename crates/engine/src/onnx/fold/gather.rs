//! Operators that read and write elements at indices; negative indices count from the end.

use super::super::graph::{Constant, Numbers};
use super::call::Call;
use super::elementwise::{larger, smaller};
use super::strides::{count, count_of, select, strides};
use crate::error::Result;

pub(super) fn gather(call: &Call) -> Result<Constant> {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.node.axis(call.node.int_or("axis", 0)?, input.sides.len())?;
    let found = call.ints(1)?.iter().map(|&index| call.index(index, input.sides[axis]));
    let found = found.collect::<Result<Vec<_>>>()?;
    let (before, after) = (&input.sides[..axis], &input.sides[axis + 1..]);
    let flat = [before, &[found.len()], after].concat();
    let steps = strides(&input.sides);
    let gathered = select(call.node, input, flat, |at, index| {
        (if at == axis { found[index] } else { index }) * steps[at]
    })?;
    let sides = [before, &indices.sides, after].concat();
    count_of(call.node, &sides, gathered.len())?;
    Ok(Constant { sides, ..gathered })
}

/// For each element of `indices` the place in a tensor of `sides` that it means along `axis`.
fn along(call: &Call, sides: &[usize], indices: &Constant, axis: usize) -> Result<Vec<usize>> {
    let fits = |(at, (index, side)): (usize, (&usize, &usize))| at == axis || index <= side;
    if indices.sides.len() != sides.len() || !indices.sides.iter().zip(sides).enumerate().all(fits)
    {
        return Err(call.error("the indices do not have sides like the data"));
    }
    let steps = strides(sides);
    let rows =
        super::strides::offsets(
            &indices.sides,
            |at, index| {
                if at == axis { 0 } else { index * steps[at] }
            },
        );
    let along = call.ints(1)?.iter().zip(rows);
    along.map(|(&index, row)| Ok(row + call.index(index, sides[axis])? * steps[axis])).collect()
}

pub(super) fn gather_elements(call: &Call) -> Result<Constant> {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.node.axis(call.node.int_or("axis", 0)?, input.sides.len())?;
    let places = along(call, &input.sides, indices, axis)?;
    let numbers = input.numbers.pick(places.into_iter());
    Ok(Constant { sides: indices.sides.clone(), numbers })
}

/// Where each index of `indices`, a row of as many numbers as its last side, begins in a tensor of `sides`; and
/// how many axes one index names.
fn begins(call: &Call, sides: &[usize], indices: &Constant) -> Result<(Vec<usize>, usize)> {
    let width = match indices.sides.last() {
        Some(&width) if (1..=sides.len()).contains(&width) => width,
        _ => return Err(call.error("the last side of the indices does not suit the data")),
    };
    let steps = strides(sides);
    let begin = |row: &[i64]| {
        let axes = row.iter().zip(sides).zip(&steps);
        axes.map(|((&index, &side), step)| Ok(call.index(index, side)? * step)).sum()
    };
    let begins = call.ints(1)?.chunks_exact(width).map(begin).collect::<Result<Vec<usize>>>()?;
    Ok((begins, width))
}

pub(super) fn gather_nd(call: &Call) -> Result<Constant> {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let batch = match usize::try_from(call.node.int_or("batch_dims", 0)?) {
        Ok(batch) if batch < input.sides.len().min(indices.sides.len()) => batch,
        _ => return Err(call.error("attribute batch_dims: exceeds the sides")),
    };
    let (shared, inner) = input.sides.split_at(batch);
    if indices.sides[..batch] != *shared {
        return Err(call.error("the first sides of data and indices differ"));
    }
    let (begins, width) = begins(call, inner, indices)?;
    let rows = &indices.sides[..indices.sides.len() - 1];
    let sides = [rows, &inner[width..]].concat();
    count(call.node, &sides)?;
    let chunk: usize = inner[width..].iter().product();
    let (per_batch, whole): (usize, usize) =
        (rows[batch..].iter().product(), inner.iter().product());
    let places = begins.into_iter().enumerate().flat_map(|(row, begin)| {
        let begin = begin + row / per_batch * whole;
        begin..begin + chunk
    });
    Ok(Constant { numbers: input.numbers.pick(places), sides })
}

pub(super) fn scatter_elements(call: &Call) -> Result<Constant> {
    let (input, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = call.node.axis(call.node.int_or("axis", 0)?, input.sides.len())?;
    if updates.sides != indices.sides {
        return Err(call.error("indices and updates differ in their sides"));
    }
    let places = along(call, &input.sides, indices, axis)?;
    scatter(call, input, updates, places.into_iter(), (16, 18))
}

pub(super) fn scatter_nd(call: &Call) -> Result<Constant> {
    let (input, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (begins, width) = begins(call, &input.sides, indices)?;
    let rows = &indices.sides[..indices.sides.len() - 1];
    if updates.sides != [rows, &input.sides[width..]].concat() {
        return Err(call.error("the updates do not have the sides that data and indices ask for"));
    }
    let chunk: usize = input.sides[width..].iter().product();
    let places = begins.into_iter().flat_map(|begin| begin..begin + chunk);
    scatter(call, input, updates, places, (16, 18))
}

/// Writes each update to its place, or reduces it with what is there. Sums and products exist since the first
/// of the operator sets `since`, minimum and maximum since the second.
fn scatter(
    call: &Call,
    input: &Constant,
    updates: &Constant,
    places: impl Iterator<Item = usize>,
    since: (u64, u64),
) -> Result<Constant> {
    call.not_before("reduction", since.0)?;
    let reduction = call.node.text("reduction")?.unwrap_or("none");
    let known = match reduction {
        "none" | "add" | "mul" => true,
        "min" | "max" => call.opset >= since.1,
        _ => false,
    };
    if !known {
        return Err(call.error(format!("attribute reduction: `{reduction}` is unknown")));
    }
    let mut scattered = input.clone();
    let fits = match (&mut scattered.numbers, &updates.numbers) {
        (Numbers::Floats(to), Numbers::Floats(from)) => write(to, from, places, |old, new| {
            Some(match reduction {
                "add" => old + new,
                "mul" => old * new,
                "min" => smaller(old, new),
                "max" => larger(old, new),
                _ => new,
            })
        }),
        (Numbers::Ints(to), Numbers::Ints(from)) => {
            write(to, from, places, |old, new| match reduction {
                "add" => old.checked_add(new),
                "mul" => old.checked_mul(new),
                "min" => Some(old.min(new)),
                "max" => Some(old.max(new)),
                _ => Some(new),
            })
        }
        (Numbers::Bools(to), Numbers::Bools(from)) if reduction == "none" => {
            write(to, from, places, |_, new| Some(new))
        }
        _ => return Err(call.wrong_kinds()),
    };
    fits.then_some(scattered).ok_or_else(|| call.error("the result exceeds 64 bits"))
}

/// False if a reduction has no result.
fn write<T: Copy>(
    to: &mut [T],
    from: &[T],
    places: impl Iterator<Item = usize>,
    f: impl Fn(T, T) -> Option<T>,
) -> bool {
    places.zip(from).all(|(place, &new)| match f(to[place], new) {
        Some(made) => {
            to[place] = made;
            true
        }
        None => false,
    })
}
