//! Operators on two or more tensors, number by number. Constants are folded into one scale and shift where that
//! is exact; tensors of the image are repeated to common sides.

use super::broadcast::common;
use super::call::Call;
use super::held::{Batch, Held, Pixels};
use super::writer::{Writer, extended};
use crate::error::Result;
use crate::nn::{Function, Gate, Op, Pairing, Pairwise, Pointwise, Relu, Shape, Sum};
use crate::onnx::graph::{Constant, Numbers};

/// One of the two tensors of an operator.
pub(super) enum Side {
    Known(Constant),
    Pixels(Pixels),
}

/// Input `i`; integers beside pixels are numbers like others, images of a batch get the same constants.
pub(super) fn side(writer: &Writer, call: &Call<'_>, i: usize) -> Result<Side> {
    match call.input(i) {
        Some(Held::Known(known)) => {
            if !known.alike() {
                return Err(call.mixes());
            }
            let constant = floats(&known.one);
            let own = call.inputs.iter().flatten().find_map(|input| match input {
                Held::Pixels(x) => writer.of_one(&constant, x),
                Held::Known(_) => None,
            });
            Ok(Side::Known(own.unwrap_or(constant)))
        }
        _ => Ok(Side::Pixels(call.pixels(i)?.clone())),
    }
}

/// A constant in floating point; truth values are 0 and 1.
pub(super) fn floats(constant: &Constant) -> Constant {
    let numbers = match &constant.numbers {
        Numbers::Floats(_) => return constant.clone(),
        Numbers::Ints(numbers) => numbers.iter().map(|number| *number as f32).collect(),
        Numbers::Bools(numbers) => numbers.iter().map(|yes| f32::from(*yes)).collect(),
    };
    Constant::floats(constant.sides.clone(), numbers)
}

/// A constant with `f` of its numbers.
pub(super) fn each(constant: &Constant, f: impl Fn(f32) -> f32) -> Constant {
    let numbers = constant.as_floats().unwrap_or_default().iter().map(|x| f(*x)).collect();
    Constant::floats(constant.sides.clone(), numbers)
}

/// `x * scale + shift`; the constants must say the same of every image.
pub(super) fn affine(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    scale: Option<&Constant>,
    shift: Option<&Constant>,
) -> Result<Pixels> {
    for constant in [scale, shift].into_iter().flatten() {
        let axis = x
            .batch_axis()
            .and_then(|axis| (axis + constant.sides.len()).checked_sub(x.sides.len()));
        let side = axis.and_then(|axis| constant.sides.get(axis));
        if side.is_some_and(|side| *side != 1)
            && x.batch.is_some_and(|batch| x.sides[batch.axis] == 1)
        {
            return Err(call.mixes());
        }
    }
    writer.affine(x, scale, shift)
}

/// Both with the same sides, their numbers in the same order.
fn pair(writer: &mut Writer, call: &Call<'_>, a: &Pixels, b: &Pixels) -> Result<[Pixels; 2]> {
    let sides = common(&a.sides, &b.sides)?;
    let (a, b) = (extended(a, sides.len()), extended(b, sides.len()));
    let batch = together(call, a.batch, b.batch)?;
    repeated(call, [&a, &b], &sides)?;
    let wide = if b.sides == sides && a.sides != sides { &b } else { &a };
    let order = wide.order.clone();
    let mut both = [writer.expand(&a, &sides, &order)?, writer.expand(&b, &sides, &order)?];
    let shape = writer.shape(both[0].value);
    both[1].value = writer.view(both[1].value, shape)?;
    for one in &mut both {
        one.batch = batch;
    }
    Ok(both)
}

/// Refuses tensors of which one is repeated to `sides` along the axis on which its images are.
pub(super) fn repeated(call: &Call<'_>, tensors: [&Pixels; 2], sides: &[usize]) -> Result<()> {
    for x in tensors {
        if x.batch_axis().is_some_and(|axis| x.sides[axis] != sides[axis]) {
            return Err(call.mixes());
        }
    }
    Ok(())
}

/// Where the batch of a result is whose inputs have it at `a` and `b`.
pub(super) fn together(
    call: &Call<'_>,
    a: Option<Batch>,
    b: Option<Batch>,
) -> Result<Option<Batch>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(call.mixes()),
        (a, b) => Ok(a.or(b)),
    }
}

/// `op` of both.
pub(super) fn join(
    writer: &mut Writer,
    call: &Call<'_>,
    op: Pairwise,
    a: &Pixels,
    b: &Pixels,
) -> Result<Pixels> {
    let [a, b] = pair(writer, call, a, b)?;
    Ok(Pixels { value: writer.push(op, &[a.value, b.value])?, ..a })
}

/// A constant as a tensor like `x`.
pub(super) fn materialised(writer: &mut Writer, constant: &Constant, x: &Pixels) -> Result<Pixels> {
    let mut pixels = writer.constant(constant)?;
    let rank = x.sides.len().max(pixels.sides.len());
    pixels = extended(&pixels, rank);
    Ok(pixels)
}

pub(super) fn one(pixels: Pixels) -> Result<Vec<Held>> {
    Ok(vec![pixels.into()])
}

pub(super) fn add(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let sum = match (side(writer, call, 0)?, side(writer, call, 1)?) {
        (Side::Pixels(x), Side::Known(c)) | (Side::Known(c), Side::Pixels(x)) => {
            affine(writer, call, &x, None, Some(&c))?
        }
        (Side::Pixels(a), Side::Pixels(b)) => plus(writer, call, &a, &b)?,
        (Side::Known(_), Side::Known(_)) => return Err(call.mixes()),
    };
    one(sum)
}

/// The sum of two tensors.
pub(super) fn plus(writer: &mut Writer, call: &Call<'_>, a: &Pixels, b: &Pixels) -> Result<Pixels> {
    let [a, b] = pair(writer, call, a, b)?;
    Ok(Pixels { value: writer.push(Sum, &[a.value, b.value])?, ..a })
}

pub(super) fn sub(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (a, b) = (side(writer, call, 0)?, side(writer, call, 1)?);
    one(minus(writer, call, a, b)?)
}

/// The difference of two tensors.
pub(super) fn minus(writer: &mut Writer, call: &Call<'_>, a: Side, b: Side) -> Result<Pixels> {
    match (a, b) {
        (Side::Pixels(x), Side::Known(c)) => {
            affine(writer, call, &x, None, Some(&each(&c, |c| -c)))
        }
        (Side::Known(c), Side::Pixels(x)) => {
            affine(writer, call, &x, Some(&Constant::scalar(-1.0)), Some(&c))
        }
        (Side::Pixels(a), Side::Pixels(b)) => {
            join(writer, call, Pairwise(Pairing::Difference), &a, &b)
        }
        (Side::Known(_), Side::Known(_)) => Err(call.mixes()),
    }
}

pub(super) fn mul(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let product = match (side(writer, call, 0)?, side(writer, call, 1)?) {
        (Side::Pixels(x), Side::Known(c)) | (Side::Known(c), Side::Pixels(x)) => {
            affine(writer, call, &x, Some(&c), None)?
        }
        (Side::Pixels(a), Side::Pixels(b)) => times(writer, call, &a, &b)?,
        (Side::Known(_), Side::Known(_)) => return Err(call.mixes()),
    };
    one(product)
}

/// The product of two tensors.
pub(super) fn times(
    writer: &mut Writer,
    call: &Call<'_>,
    a: &Pixels,
    b: &Pixels,
) -> Result<Pixels> {
    if a.value == b.value && a.sides == b.sides && a.order == b.order {
        return writer.map(a, Pointwise(Function::Power(2.0)));
    }
    for (x, gates) in [(a, b), (b, a)] {
        if let Some(gated) = gated(writer, call, x, gates)? {
            return Ok(gated);
        }
    }
    join(writer, call, Pairwise(Pairing::Product), a, b)
}

/// `x` times a number for each of its innermost places, which is one operation of the engine.
fn gated(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    gates: &Pixels,
) -> Result<Option<Pixels>> {
    let gates = extended(gates, x.sides.len());
    let Some(last) = x.wide().last().copied() else { return Ok(None) };
    let fits = gates.sides.len() == x.sides.len()
        && gates.wide() == [last]
        && gates.sides[last] == x.sides[last]
        && x.wide().len() > 1;
    if !fits {
        return Ok(None);
    }
    let batch = together(call, x.batch, gates.batch)?;
    let x = writer.along(x, last)?;
    let flat = writer.view(gates.value, Shape::Flat(x.sides[last]))?;
    Ok(Some(Pixels { value: writer.push(Gate, &[x.value, flat])?, batch, ..x }))
}

pub(super) fn div(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let quotient = match (side(writer, call, 0)?, side(writer, call, 1)?) {
        (Side::Pixels(x), Side::Known(c)) => {
            affine(writer, call, &x, Some(&each(&c, f32::recip)), None)?
        }
        (Side::Known(c), Side::Pixels(x)) => {
            let inverse = writer.map(&x, Pointwise(Function::Reciprocal))?;
            affine(writer, call, &inverse, Some(&c), None)?
        }
        (Side::Pixels(a), Side::Pixels(b)) => {
            join(writer, call, Pairwise(Pairing::Quotient), &a, &b)?
        }
        (Side::Known(_), Side::Known(_)) => return Err(call.mixes()),
    };
    one(quotient)
}

pub(super) fn pow(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let power = match (side(writer, call, 0)?, side(writer, call, 1)?) {
        (Side::Pixels(x), Side::Known(c)) => match c.as_floats() {
            Some([0.5]) => writer.map(&extended(&x, c.sides.len()), Pointwise(Function::Sqrt))?,
            Some([1.0]) => extended(&x, c.sides.len()),
            Some([power]) => {
                let x = extended(&x, c.sides.len());
                writer.map(&x, Pointwise(Function::Power(f64::from(*power))))?
            }
            _ => {
                let c = materialised(writer, &c, &x)?;
                join(writer, call, Pairwise(Pairing::Power), &x, &c)?
            }
        },
        (Side::Known(c), Side::Pixels(x)) => {
            let c = materialised(writer, &c, &x)?;
            join(writer, call, Pairwise(Pairing::Power), &c, &x)?
        }
        (Side::Pixels(a), Side::Pixels(b)) => join(writer, call, Pairwise(Pairing::Power), &a, &b)?,
        (Side::Known(_), Side::Known(_)) => return Err(call.mixes()),
    };
    one(power)
}

/// `op` of all inputs, from the first to the last.
fn all(
    writer: &mut Writer,
    call: &Call<'_>,
    op: impl Fn(&mut Writer, &Pixels, &Pixels) -> Result<Pixels>,
) -> Result<Pixels> {
    let mut result: Option<Pixels> = None;
    for i in 0..call.inputs.len() {
        let next = match side(writer, call, i)? {
            Side::Pixels(x) => x,
            Side::Known(c) => writer.constant(&c)?,
        };
        result = Some(match result {
            None => next,
            Some(so_far) => op(writer, &so_far, &next)?,
        });
    }
    match result {
        Some(result) => Ok(result),
        None => Err(call.error("has no inputs", "export the network again")),
    }
}

pub(super) fn sum(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    one(all(writer, call, |writer, a, b| plus(writer, call, a, b))?)
}

pub(super) fn mean(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let sum = all(writer, call, |writer, a, b| plus(writer, call, a, b))?;
    let share = Constant::scalar(1.0 / call.inputs.len() as f32);
    one(writer.affine(&sum, Some(&share), None)?)
}

pub(super) fn max(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    bounded(writer, call, Pairing::Larger, |least| match least {
        0.0 => Relu.into(),
        least => Pointwise(Function::Clip { least, most: f64::INFINITY }).into(),
    })
}

pub(super) fn min(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    bounded(writer, call, Pairing::Smaller, |most| {
        Pointwise(Function::Clip { least: f64::NEG_INFINITY, most }).into()
    })
}

/// `pairing` of all inputs; of one tensor and a number it is a function of the tensor, `by`.
fn bounded(
    writer: &mut Writer,
    call: &Call<'_>,
    pairing: Pairing,
    by: impl Fn(f64) -> Op,
) -> Result<Vec<Held>> {
    if call.inputs.len() == 2
        && let (Side::Pixels(x), Side::Known(c)) | (Side::Known(c), Side::Pixels(x)) =
            (side(writer, call, 0)?, side(writer, call, 1)?)
        && let Some([number]) = c.as_floats()
    {
        return one(writer.map(&extended(&x, c.sides.len()), by(f64::from(*number)))?);
    }
    one(all(writer, call, |writer, a, b| join(writer, call, Pairwise(pairing), a, b))?)
}

/// `max(x, 0) - slope * max(-x, 0)`.
pub(super) fn p_relu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (x, slope) = (call.pixels(0)?, call.weight(1)?);
    if let Some([slope]) = slope.as_floats() {
        return one(writer.map(x, Pointwise(Function::LeakyRelu(f64::from(*slope))))?);
    }
    // Parameters per channel may come as `[C]`, to be read along axis 1.
    let mut slope = slope.as_ref().clone();
    if let ([own], [_, channels, rest @ ..]) = (&slope.sides[..], &x.sides[..])
        && own == channels
        && rest.last() != Some(own)
    {
        slope.sides.extend(vec![1; rest.len()]);
    }
    let above = writer.map(x, Relu)?;
    let minus = affine(writer, call, x, Some(&Constant::scalar(-1.0)), None)?;
    let below = writer.map(&minus, Relu)?;
    let below = affine(writer, call, &below, Some(&each(&slope, |slope| -slope)), None)?;
    one(plus(writer, call, &above, &below)?)
}
