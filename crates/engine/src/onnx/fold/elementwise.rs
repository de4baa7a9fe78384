//! Operators that treat each element alone, and inputs of different sides as if they were repeated.

use super::super::graph::{Constant, Numbers};
use super::call::{Call, constant};
use super::strides::{broadcast, repeated};
use crate::error::Result;

/// The larger number, NaN if one is.
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// The smaller number, NaN if one is.
pub(super) fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

/// -1, 0, 1, or NaN.
pub(super) fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// Every float through `f`.
pub(super) fn float(call: &Call, f: fn(f32) -> f32) -> Result<Constant> {
    let made = call.floats(0)?.iter().map(|&x| f(x)).collect();
    Ok(constant(&call.input(0)?.sides, Numbers::Floats(made)))
}

/// Every number through the function of its kind.
pub(super) fn number(
    call: &Call,
    floats: fn(f32) -> f32,
    ints: fn(i64) -> Option<i64>,
) -> Result<Constant> {
    let input = call.input(0)?;
    match &input.numbers {
        Numbers::Floats(_) => float(call, floats),
        Numbers::Ints(numbers) => {
            let made: Option<Vec<i64>> = numbers.iter().map(|&x| ints(x)).collect();
            let made = made.ok_or_else(|| call.error("the result exceeds 64 bits"))?;
            Ok(constant(&input.sides, Numbers::Ints(made)))
        }
        Numbers::Bools(_) => Err(call.wrong_kinds()),
    }
}

pub(super) fn not(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let Numbers::Bools(numbers) = &input.numbers else { return Err(call.wrong_kinds()) };
    Ok(constant(&input.sides, Numbers::Bools(numbers.iter().map(|b| !b).collect())))
}

/// `f` of the elements of two tensors, both repeated to the sides `joint`.
fn zip<A: Copy, B: Copy, T>(
    (a, a_sides): (&[A], &[usize]),
    (b, b_sides): (&[B], &[usize]),
    joint: &[usize],
    f: impl Fn(A, B) -> T,
) -> Vec<T> {
    if a_sides == b_sides {
        return a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
    }
    let places = repeated(a_sides, joint).zip(repeated(b_sides, joint));
    places.map(|(i, j)| f(a[i], b[j])).collect()
}

/// Two numbers of the same kind to one of that kind; `None` of the integers' function means an overflow.
fn numbers(
    call: &Call,
    (a, b): (&Constant, &Constant),
    floats: impl Fn(f32, f32) -> f32,
    ints: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Constant> {
    let joint = broadcast(call.node, [a.sides.as_slice(), b.sides.as_slice()])?;
    let made = match (&a.numbers, &b.numbers) {
        (Numbers::Floats(x), Numbers::Floats(y)) => {
            Numbers::Floats(zip((x, &a.sides), (y, &b.sides), &joint, floats))
        }
        (Numbers::Ints(x), Numbers::Ints(y)) => {
            let mut fits = true;
            let made = zip((x, &a.sides), (y, &b.sides), &joint, ints);
            let made = made.into_iter().map(|one| {
                fits &= one.is_some();
                one.unwrap_or(0)
            });
            let made = made.collect();
            if !fits {
                return Err(call.error("the result exceeds 64 bits, or is not defined"));
            }
            Numbers::Ints(made)
        }
        _ => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides: joint, numbers: made })
}

/// The first two inputs, numbers of the same kind, to one number of that kind.
pub(super) fn pair(
    call: &Call,
    floats: fn(f32, f32) -> f32,
    ints: fn(i64, i64) -> Option<i64>,
) -> Result<Constant> {
    numbers(call, (call.input(0)?, call.input(1)?), floats, ints)
}

/// All inputs, one after the other.
pub(super) fn fold(
    call: &Call,
    floats: fn(f32, f32) -> f32,
    ints: fn(i64, i64) -> Option<i64>,
) -> Result<Constant> {
    let mut joint = call.input(0)?.clone();
    for index in 1..call.inputs.len() {
        joint = numbers(call, (&joint, call.input(index)?), floats, ints)?;
    }
    Ok(joint)
}

pub(super) fn mean(call: &Call) -> Result<Constant> {
    let mut sum = fold(call, |a, b| a + b, |_, _| None)?;
    match &mut sum.numbers {
        Numbers::Floats(floats) => {
            floats.iter_mut().for_each(|x| *x /= call.inputs.len() as f32);
            Ok(sum)
        }
        _ => Err(call.wrong_kinds()),
    }
}

/// Integers are cut off towards 0, as C does.
pub(super) fn divide(call: &Call) -> Result<Constant> {
    refuse_zeros(call)?;
    pair(call, |a, b| a / b, i64::checked_div)
}

fn refuse_zeros(call: &Call) -> Result<()> {
    match &call.input(1)?.numbers {
        Numbers::Ints(divisors) if divisors.contains(&0) => {
            Err(call.error("divides an integer by zero"))
        }
        _ => Ok(()),
    }
}

/// The remainder has the sign of the divisor, or with `fmod` the one of the dividend.
pub(super) fn modulo(call: &Call) -> Result<Constant> {
    refuse_zeros(call)?;
    if call.node.flag_or("fmod", false)? {
        return pair(call, |a, b| a % b, |a, b| Some(a.wrapping_rem(b)));
    }
    let floats = |a: f32, b: f32| match a % b {
        0.0 => 0.0_f32.copysign(b),
        rest if (rest < 0.0) != (b < 0.0) => rest + b,
        rest => rest,
    };
    let ints = |a: i64, b: i64| match a.wrapping_rem(b) {
        rest if rest != 0 && (rest < 0) != (b < 0) => Some(rest + b),
        rest => Some(rest),
    };
    pair(call, floats, ints)
}

/// The result is of the kind of the base.
pub(super) fn power(call: &Call) -> Result<Constant> {
    let (base, exponent) = (call.input(0)?, call.input(1)?);
    let mixed = |integral: bool, a: f64, b: f64| {
        let power = libm::pow(a, b);
        if integral { power.trunc() } else { power }
    };
    let joint = broadcast(call.node, [base.sides.as_slice(), exponent.sides.as_slice()])?;
    let made = match (&base.numbers, &exponent.numbers) {
        (Numbers::Floats(_), Numbers::Floats(_)) | (Numbers::Ints(_), Numbers::Ints(_)) => {
            return pair(call, libm::powf, whole_power);
        }
        (Numbers::Floats(x), Numbers::Ints(y)) => {
            let f = |a: f32, b: i64| mixed(false, f64::from(a), b as f64) as f32;
            Numbers::Floats(zip((x, &base.sides), (y, &exponent.sides), &joint, f))
        }
        (Numbers::Ints(x), Numbers::Floats(y)) => {
            let f = |a: i64, b: f32| whole(mixed(true, a as f64, f64::from(b)));
            let made: Option<Vec<i64>> =
                zip((x, &base.sides), (y, &exponent.sides), &joint, f).into_iter().collect();
            Numbers::Ints(made.ok_or_else(|| call.error("a power exceeds 64 bits"))?)
        }
        _ => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides: joint, numbers: made })
}

fn whole_power(base: i64, exponent: i64) -> Option<i64> {
    match (base, u32::try_from(exponent)) {
        (1, _) => Some(1),
        (0, _) if exponent > 0 => Some(0),
        (-1, _) => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        (_, Ok(exponent)) => base.checked_pow(exponent),
        (0, Err(_)) => None,
        (_, Err(_)) => (exponent < 0).then_some(0),
    }
}

/// The integer a float is cut off to, if there is one.
pub(super) fn whole(x: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&x.trunc()).then_some(x as i64)
}

/// Two numbers of the same kind to a truth value.
pub(super) fn comparison(
    call: &Call,
    floats: fn(&f32, &f32) -> bool,
    ints: fn(&i64, &i64) -> bool,
) -> Result<Constant> {
    truth(call, floats, ints, None)
}

pub(super) fn equal(call: &Call) -> Result<Constant> {
    truth(call, |a, b| a == b, |a, b| a == b, Some(|a, b| a == b))
}

pub(super) fn logic(call: &Call, f: fn(bool, bool) -> bool) -> Result<Constant> {
    match (&call.input(0)?.numbers, &call.input(1)?.numbers) {
        (Numbers::Bools(_), Numbers::Bools(_)) => truth(call, |_, _| false, |_, _| false, Some(f)),
        _ => Err(call.wrong_kinds()),
    }
}

fn truth(
    call: &Call,
    floats: fn(&f32, &f32) -> bool,
    ints: fn(&i64, &i64) -> bool,
    bools: Option<fn(bool, bool) -> bool>,
) -> Result<Constant> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let joint = broadcast(call.node, [a.sides.as_slice(), b.sides.as_slice()])?;
    let made = match (&a.numbers, &b.numbers, bools) {
        (Numbers::Floats(x), Numbers::Floats(y), _) => {
            zip((x, &a.sides), (y, &b.sides), &joint, |a, b| floats(&a, &b))
        }
        (Numbers::Ints(x), Numbers::Ints(y), _) => {
            zip((x, &a.sides), (y, &b.sides), &joint, |a, b| ints(&a, &b))
        }
        (Numbers::Bools(x), Numbers::Bools(y), Some(f)) => {
            zip((x, &a.sides), (y, &b.sides), &joint, f)
        }
        _ => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides: joint, numbers: Numbers::Bools(made) })
}

/// `Where`: the element of the second input where the first is true, else that of the third.
pub(super) fn choose(call: &Call) -> Result<Constant> {
    let (condition, yes, no) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let all = [condition, yes, no].map(|input| input.sides.as_slice());
    let joint = broadcast(call.node, all)?;
    let Numbers::Bools(holds) = &condition.numbers else { return Err(call.wrong_kinds()) };
    let mut both = yes.numbers.clone();
    if !both.append(&no.numbers) {
        return Err(call.wrong_kinds());
    }
    let places = repeated(&condition.sides, &joint)
        .zip(repeated(&yes.sides, &joint).zip(repeated(&no.sides, &joint)))
        .map(|(c, (y, n))| if holds[c] { y } else { yes.len() + n });
    Ok(Constant { numbers: both.pick(places), sides: joint })
}

/// The bounds are attributes before opset 11 and inputs from then on; where they cross, the upper one holds.
pub(super) fn clip(call: &Call) -> Result<Constant> {
    let bound = |index: usize, name: &str| -> Result<Option<Constant>> {
        call.not_since(name, 11)?;
        match call.optional(index) {
            Some(_) if call.opset < 11 => Err(call.error("bounds are no inputs before opset 11")),
            Some(bound) if bound.len() != 1 => Err(call.error("a bound has to be one number")),
            Some(bound) => Ok(Some(constant(&[], bound.numbers.clone()))),
            None => Ok(call.node.float(name)?.map(Constant::scalar)),
        }
    };
    let mut clipped = call.input(0)?.clone();
    if let Some(low) = bound(1, "min")? {
        clipped = numbers(call, (&clipped, &low), larger, |a, b| Some(a.max(b)))?;
    }
    if let Some(high) = bound(2, "max")? {
        clipped = numbers(call, (&clipped, &high), smaller, |a, b| Some(a.min(b)))?;
    }
    Ok(clipped)
}
