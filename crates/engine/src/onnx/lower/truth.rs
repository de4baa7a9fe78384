//! Operators that compare, and what truth values are for: `Where` and logic. Truth values are 0 and 1.

use super::arithmetic::{Side, affine, each, join, materialised, max, minus, mul, one, plus, side};
use super::broadcast::common;
use super::call::Call;
use super::held::{Held, Pixels, in_order};
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{Function, Pairing, Pairwise, Pointwise, Relu};
use crate::onnx::graph::{Constant, Kind};

/// 1 where `a - b > 0`, 0 elsewhere.
fn above(writer: &mut Writer, call: &Call<'_>, a: Side, b: Side) -> Result<Pixels> {
    let difference = minus(writer, call, a, b)?;
    let sign = writer.map(&difference, Pointwise(Function::Sign))?;
    Ok(Pixels { kind: Kind::Bool, ..writer.map(&sign, Relu)? })
}

/// `1 - x` of truth values.
fn negated(writer: &mut Writer, x: &Pixels) -> Result<Pixels> {
    writer.affine(x, Some(&Constant::scalar(-1.0)), Some(&Constant::scalar(1.0)))
}

pub(super) fn greater(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    one(above(writer, call, side(writer, call, 0)?, side(writer, call, 1)?)?)
}

pub(super) fn less(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    one(above(writer, call, side(writer, call, 1)?, side(writer, call, 0)?)?)
}

pub(super) fn greater_or_equal(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let less = above(writer, call, side(writer, call, 1)?, side(writer, call, 0)?)?;
    one(negated(writer, &less)?)
}

pub(super) fn less_or_equal(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let greater = above(writer, call, side(writer, call, 0)?, side(writer, call, 1)?)?;
    one(negated(writer, &greater)?)
}

pub(super) fn not(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    one(negated(writer, call.pixels(0)?)?)
}

pub(super) fn and(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let mut both = mul(writer, call)?;
    truth(&mut both);
    Ok(both)
}

pub(super) fn or(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let mut either = max(writer, call)?;
    truth(&mut either);
    Ok(either)
}

/// Results of operations on truth values are truth values.
fn truth(results: &mut [Held]) {
    for result in results {
        if let Held::Pixels(pixels) = result {
            pixels.kind = Kind::Bool;
        }
    }
}

fn finite(constant: &Constant) -> bool {
    constant.as_floats().is_some_and(|floats| floats.iter().all(|number| number.is_finite()))
}

/// `Where`: the second input where the first is true, the third elsewhere, as a sum of what each leaves: what is
/// not chosen may be infinite or NaN. The condition has no gradient.
pub(super) fn choose(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let masked = |writer: &mut Writer, mask: &Side, x: &Side| -> Result<Side> {
        Ok(match (mask, x) {
            (Side::Known(mask), Side::Pixels(x)) => {
                let all = match common(&x.sides, &mask.sides)? == x.sides {
                    true => x.clone(),
                    false => affine(writer, call, x, None, Some(&each(mask, |_| 0.0)))?,
                };
                Side::Pixels(writer.masked(&all, mask)?)
            }
            (Side::Pixels(mask), Side::Known(c)) if finite(c) => {
                Side::Pixels(affine(writer, call, mask, Some(c), None)?)
            }
            (Side::Pixels(mask), Side::Known(c)) => {
                let c = materialised(writer, c, mask)?;
                Side::Pixels(join(writer, call, Pairwise(Pairing::Masked), &c, mask)?)
            }
            (Side::Pixels(mask), Side::Pixels(x)) => {
                Side::Pixels(join(writer, call, Pairwise(Pairing::Masked), x, mask)?)
            }
            (Side::Known(mask), Side::Known(c)) => {
                let sides = common(&mask.sides, &c.sides)?;
                let (mask, c) = (spread(mask, &sides)?, spread(c, &sides)?);
                // A masked infinity is 0.
                let numbers = mask.iter().zip(&c).map(|(m, c)| if *m == 0.0 { 0.0 } else { *c });
                Side::Known(Constant::floats(sides, numbers.collect()))
            }
        })
    };
    let mask = side(writer, call, 0)?;
    let inverse = match &mask {
        Side::Known(mask) => Side::Known(each(mask, |mask| 1.0 - mask)),
        Side::Pixels(mask) => Side::Pixels(negated(writer, mask)?),
    };
    let chosen = masked(writer, &mask, &side(writer, call, 1)?)?;
    let other = masked(writer, &inverse, &side(writer, call, 2)?)?;
    let mut result = match (chosen, other) {
        (Side::Pixels(a), Side::Pixels(b)) => plus(writer, call, &a, &b)?,
        (Side::Pixels(x), Side::Known(c)) | (Side::Known(c), Side::Pixels(x)) => {
            affine(writer, call, &x, None, Some(&c))?
        }
        (Side::Known(_), Side::Known(_)) => return Err(call.mixes()),
    };
    result.kind = Kind::Float;
    one(result)
}

/// The numbers of a constant that is repeated to `sides`.
fn spread(constant: &Constant, sides: &[usize]) -> Result<Vec<f32>> {
    super::broadcast::spread(constant, sides, &in_order(sides.len()))
}
