//! Operators that make a tensor of settings, and those that change what its elements are.

use std::iter::repeat_n;

use super::super::graph::{Attribute, Constant, Kind, Numbers};
use super::call::{Call, constant as filled};
use super::elementwise::whole;
use super::strides::{count, side, strides};
use crate::error::Result;

/// The forms of `Constant`, of which a node has one.
pub(super) const CONSTANT: &[&str] = &[
    "value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
    "value_string",
    "value_strings",
    "sparse_value",
];

pub(super) fn constant(call: &Call) -> Result<Constant> {
    let mut attributes = call.node.attributes.iter();
    let (Some((name, attribute)), None) = (attributes.next(), attributes.next()) else {
        return Err(call.error("a constant has exactly one value"));
    };
    Ok(match (name.as_str(), attribute) {
        ("value", Attribute::Constant(value)) => value.as_ref().clone(),
        ("value_float", Attribute::Float(value)) => Constant::scalar(*value),
        ("value_floats", Attribute::Floats(value)) => {
            Constant::floats([value.len()], value.clone())
        }
        ("value_int", Attribute::Int(value)) => filled(&[], Numbers::Ints(vec![*value])),
        ("value_ints", Attribute::Ints(value)) => Constant::ints(value.clone()),
        _ => return Err(call.error(format!("attribute {name}: is not read as numbers"))),
    })
}

pub(super) fn constant_of_shape(call: &Call) -> Result<Constant> {
    let sides = call.ints(0)?.iter().map(|&wish| side(call.node, wish));
    let sides = sides.collect::<Result<Vec<_>>>()?;
    let elements = count(call.node, &sides)?;
    let numbers = match call.node.constant("value")? {
        None => Numbers::Floats(vec![0.0; elements]),
        Some(value) if value.len() != 1 => {
            return Err(call.error("attribute value: has to be one number"));
        }
        Some(value) => value.numbers.pick(repeat_n(0, elements)),
    };
    Ok(Constant { sides, numbers })
}

/// `start`, `start + delta` ... up to but without `limit`.
pub(super) fn range(call: &Call) -> Result<Constant> {
    for index in 0..3 {
        if call.input(index)?.len() != 1 {
            return Err(call.error(format!("input {index} is not one number")));
        }
    }
    let no_step = || call.error("a step of 0 gets nowhere");
    let elements = |steps: f64| match steps.ceil() {
        steps if steps.is_finite() => count(call.node, &[steps.max(0.0) as usize]),
        _ => Err(call.error("bounds or step are not finite")),
    };
    match call.input(0)?.kind() {
        Kind::Float => {
            let at = |index| -> Result<f64> {
                Ok(call.floats(index)?.first().copied().map_or(0.0, f64::from))
            };
            let (start, limit, delta) = (at(0)?, at(1)?, at(2)?);
            if delta == 0.0 {
                return Err(no_step());
            }
            let elements = elements((limit - start) / delta)?;
            let numbers = (0..elements).map(|i| (start + i as f64 * delta) as f32).collect();
            Ok(Constant::floats([elements], numbers))
        }
        Kind::Int => {
            let (start, limit, delta) = (call.int(0)?, call.int(1)?, call.int(2)?);
            let distance = i128::from(limit) - i128::from(start);
            let step = i128::from(delta);
            let away = step.signum() * distance;
            let steps = match step.unsigned_abs() {
                0 => return Err(no_step()),
                step => u128::try_from(away).unwrap_or(0).div_ceil(step),
            };
            let elements = count(call.node, &[usize::try_from(steps).unwrap_or(usize::MAX)])?;
            Ok(Constant::ints(
                (0..elements as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta))).collect(),
            ))
        }
        Kind::Bool => Err(call.wrong_kinds()),
    }
}

/// Ones on a diagonal of a matrix with the sides of the input.
pub(super) fn eye_like(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let [_, columns] = input.sides[..] else { return Err(call.error("the input is no matrix")) };
    let kind = match call.node.int("dtype")? {
        Some(code) => kind_of(call, code)?,
        None => input.kind(),
    };
    let diagonal = call.node.int_or("k", 0)?;
    let ones = (0..input.len()).map(|place| {
        let (row, column) = ((place / columns) as i64, (place % columns) as i64);
        column - row == diagonal
    });
    to_kind(call, &filled(&input.sides, Numbers::Bools(ones.collect())), kind)
}

/// The indices of all elements that are not 0: `[rank, N]`.
pub(super) fn non_zero(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let Constant { numbers: Numbers::Bools(holds), .. } = to_kind(call, input, Kind::Bool)? else {
        return Err(call.wrong_kinds());
    };
    let steps = strides(&input.sides);
    let places: Vec<usize> =
        holds.iter().enumerate().filter(|(_, holds)| **holds).map(|(place, _)| place).collect();
    let sides = [input.sides.len(), places.len()];
    count(call.node, &sides)?;
    let indices = steps
        .iter()
        .zip(&input.sides)
        .flat_map(|(&step, &side)| places.iter().map(move |place| (place / step % side) as i64));
    Ok(filled(&sides, Numbers::Ints(indices.collect())))
}

/// The kind of elements with this code of `TensorProto.DataType`.
fn kind_of(call: &Call, code: i64) -> Result<Kind> {
    match code {
        1 | 10 | 11 | 16 => Ok(Kind::Float),
        2..=7 | 12 | 13 => Ok(Kind::Int),
        9 => Ok(Kind::Bool),
        _ => Err(call.error(format!("elements of the type {code} are not computed with"))),
    }
}

/// Numbers are cut off towards 0; integers that are too large for a narrow type lose their upper bits.
pub(super) fn cast(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let code = call.node.int("to")?.ok_or_else(|| call.error("attribute to: is missing"))?;
    let mut cast = to_kind(call, input, kind_of(call, code)?)?;
    let Numbers::Ints(numbers) = &mut cast.numbers else { return Ok(cast) };
    let from_floats = input.kind() == Kind::Float;
    for x in numbers {
        let narrow = match code {
            2 => i64::from(*x as u8),
            3 => i64::from(*x as i8),
            4 => i64::from(*x as u16),
            5 => i64::from(*x as i16),
            6 => i64::from(*x as i32),
            12 => i64::from(*x as u32),
            13 => (*x).max(0),
            _ => *x,
        };
        // The standard leaves open what a float outside of the type becomes, and a u64 above i64 is not read.
        if narrow != *x && (from_floats || code == 13) {
            return Err(call.error(format!("{x} is outside of the type it is cast to")));
        }
        *x = narrow;
    }
    Ok(cast)
}

pub(super) fn cast_like(call: &Call) -> Result<Constant> {
    to_kind(call, call.input(0)?, call.input(1)?.kind())
}

fn to_kind(call: &Call, input: &Constant, kind: Kind) -> Result<Constant> {
    let numbers = match (&input.numbers, kind) {
        (Numbers::Floats(x), Kind::Int) => {
            let cut: Option<Vec<i64>> = x.iter().map(|&x| whole(f64::from(x))).collect();
            Numbers::Ints(cut.ok_or_else(|| call.error("a float is no integer of 64 bits"))?)
        }
        (Numbers::Floats(x), Kind::Bool) => Numbers::Bools(x.iter().map(|&x| x != 0.0).collect()),
        (Numbers::Ints(x), Kind::Float) => Numbers::Floats(x.iter().map(|&x| x as f32).collect()),
        (Numbers::Ints(x), Kind::Bool) => Numbers::Bools(x.iter().map(|&x| x != 0).collect()),
        (Numbers::Bools(x), Kind::Float) => {
            Numbers::Floats(x.iter().map(|&x| f32::from(u8::from(x))).collect())
        }
        (Numbers::Bools(x), Kind::Int) => Numbers::Ints(x.iter().map(|&x| i64::from(x)).collect()),
        (same, _) => same.clone(),
    };
    Ok(filled(&input.sides, numbers))
}
