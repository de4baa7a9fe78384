//! Operators that make one number of many, or compute along an axis.

use std::cmp::Ordering;

use super::super::graph::{Constant, Numbers};
use super::call::{Call, constant};
use super::elementwise::{larger, smaller};
use super::strides::transpose;
use crate::error::Result;

/// Attributes of the reductions.
pub(super) const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
/// Attributes of `ArgMax` and `ArgMin`.
pub(super) const PLACE: &[&str] = &["axis", "keepdims", "select_last_index"];

pub(super) fn sum(call: &Call) -> Result<Constant> {
    reduce(call, 13, true, |x| total(x, f64::from) as f32, |x| whole_total(x, Some))
}

pub(super) fn mean(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| (total(x, f64::from) / x.len() as f64) as f32;
    reduce(call, 18, true, floats, |x| whole_total(x, Some)?.checked_div(x.len() as i64))
}

pub(super) fn product(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| x.iter().map(|&x| f64::from(x)).product::<f64>() as f32;
    reduce(call, 18, true, floats, |x| x.iter().try_fold(1_i64, |all, &x| all.checked_mul(x)))
}

pub(super) fn max(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| x.iter().copied().fold(f32::NEG_INFINITY, larger);
    reduce(call, 18, true, floats, |x| x.iter().copied().max())
}

pub(super) fn min(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| x.iter().copied().fold(f32::INFINITY, smaller);
    reduce(call, 18, true, floats, |x| x.iter().copied().min())
}

pub(super) fn l1(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| total(x, |x| f64::from(x.abs())) as f32;
    reduce(call, 18, false, floats, |x| whole_total(x, i64::checked_abs))
}

pub(super) fn l2(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| total(x, |x| f64::from(x).powi(2)).sqrt() as f32;
    let ints = |x: &[i64]| whole_total(x, |x| x.checked_mul(x)).map(i64::isqrt);
    reduce(call, 18, false, floats, ints)
}

pub(super) fn sum_square(call: &Call) -> Result<Constant> {
    let floats = |x: &[f32]| total(x, |x| f64::from(x).powi(2)) as f32;
    reduce(call, 18, false, floats, |x| whole_total(x, |x| x.checked_mul(x)))
}

fn total(numbers: &[f32], f: impl Fn(f32) -> f64) -> f64 {
    numbers.iter().map(|&x| f(x)).sum()
}

fn whole_total(numbers: &[i64], f: impl Fn(i64) -> Option<i64>) -> Option<i64> {
    numbers.iter().try_fold(0_i64, |sum, &x| sum.checked_add(f(x)?))
}

/// Reduces over the axes, an attribute before operator set `since` and an input from then on. `itself`: one
/// number is reduced to itself.
fn reduce(
    call: &Call,
    since: u64,
    itself: bool,
    floats: impl Fn(&[f32]) -> f32,
    ints: impl Fn(&[i64]) -> Option<i64>,
) -> Result<Constant> {
    call.not_before("noop_with_empty_axes", since)?;
    let input = call.input(0)?;
    let rank = input.sides.len();
    let axes = call.setting("axes", 1, since)?.unwrap_or_default();
    let nothing = axes.is_empty() && call.node.flag_or("noop_with_empty_axes", false)?;
    if nothing && !itself {
        // Versions of the standard disagree on whether the numbers stay or become their own norms.
        return Err(call.error("attribute noop_with_empty_axes: without axes it has two meanings"));
    }
    let axes = match axes.is_empty() && !nothing {
        true => (0..rank).collect(),
        false => call.axes(&axes, rank)?,
    };
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let (moved, _) = move_last(call, input, &axes)?;
    let count = kept.iter().map(|&axis| input.sides[axis]).product();
    let length: usize = axes.iter().map(|&axis| input.sides[axis]).product();
    let part = |index: usize| index * length..(index + 1) * length;
    let numbers = match &moved.numbers {
        Numbers::Floats(x) => Numbers::Floats((0..count).map(|i| floats(&x[part(i)])).collect()),
        Numbers::Ints(x) => {
            let made: Option<Vec<i64>> = (0..count).map(|i| ints(&x[part(i)])).collect();
            let none = || call.error("the result exceeds 64 bits, or there is none");
            Numbers::Ints(made.ok_or_else(none)?)
        }
        Numbers::Bools(_) => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides: without(call, input, &axes)?, numbers })
}

/// The sides after a reduction over `axes`.
fn without(call: &Call, input: &Constant, axes: &[usize]) -> Result<Vec<usize>> {
    let keep = call.node.flag_or("keepdims", true)?;
    let sides = input.sides.iter().enumerate().filter_map(|(axis, &side)| {
        if !axes.contains(&axis) { Some(side) } else { keep.then_some(1) }
    });
    Ok(sides.collect())
}

/// `input` with `axes` behind the others, and the order that moves them back.
fn move_last(call: &Call, input: &Constant, axes: &[usize]) -> Result<(Constant, Vec<usize>)> {
    let kept = (0..input.sides.len()).filter(|axis| !axes.contains(axis));
    let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
    Ok((transpose(call.node, input, &order)?, back))
}

/// `ArgMax` and `ArgMin`: where along the axis the number is that is `wanted` than all others.
pub(super) fn place(call: &Call, wanted: Ordering) -> Result<Constant> {
    call.not_before("select_last_index", 12)?;
    let input = call.input(0)?;
    let axis = call.node.axis(call.node.int_or("axis", 0)?, input.sides.len())?;
    let last = call.node.flag_or("select_last_index", false)?;
    let side = input.sides[axis];
    if side == 0 {
        return Err(call.error("no element along the axis"));
    }
    fn best<T>(row: &[T], better: impl Fn(&T, &T) -> bool) -> i64 {
        let places = 1..row.len();
        places.fold(0, |best, at| if better(&row[at], &row[best]) { at } else { best }) as i64
    }
    let better =
        |found: Option<Ordering>| found == Some(wanted) || (last && found == Some(Ordering::Equal));
    let places = match &move_last(call, input, &[axis])?.0.numbers {
        Numbers::Floats(x) => {
            x.chunks_exact(side).map(|row| best(row, |a, b| better(a.partial_cmp(b)))).collect()
        }
        Numbers::Ints(x) => {
            x.chunks_exact(side).map(|row| best(row, |a, b| better(Some(a.cmp(b))))).collect()
        }
        Numbers::Bools(_) => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides: without(call, input, &[axis])?, numbers: Numbers::Ints(places) })
}

/// `CumSum`: the axis is an input.
pub(super) fn cumulative_sum(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    let axis = call.node.axis(call.int(1)?, input.sides.len())?;
    let exclusive = call.node.flag_or("exclusive", false)?;
    let reverse = call.node.flag_or("reverse", false)?;
    let (mut moved, back) = move_last(call, input, &[axis])?;
    let side = input.sides[axis].max(1);
    let fits = match &mut moved.numbers {
        Numbers::Floats(x) => x
            .chunks_exact_mut(side)
            .all(|row| scan(row, 0.0, exclusive, reverse, |sum, x| Some(sum + x))),
        Numbers::Ints(x) => x
            .chunks_exact_mut(side)
            .all(|row| scan(row, 0, exclusive, reverse, |sum, x| sum.checked_add(x))),
        Numbers::Bools(_) => return Err(call.wrong_kinds()),
    };
    if !fits {
        return Err(call.error("the result exceeds 64 bits"));
    }
    transpose(call.node, &moved, &back)
}

/// Replaces each number by the sum up to it; false if there is none.
fn scan<T: Copy>(
    row: &mut [T],
    zero: T,
    exclusive: bool,
    reverse: bool,
    add: impl Fn(T, T) -> Option<T>,
) -> bool {
    let mut sum = zero;
    for index in 0..row.len() {
        let index = if reverse { row.len() - 1 - index } else { index };
        let Some(next) = add(sum, row[index]) else { return false };
        row[index] = if exclusive { sum } else { next };
        sum = next;
    }
    true
}

/// Over all sides from the axis on before opset 13, and over the axis alone from then on.
pub(super) fn softmax(call: &Call) -> Result<Constant> {
    let input = call.input(0)?;
    call.floats(0)?;
    let rank = input.sides.len();
    let axes: Vec<usize> = if call.opset < 13 {
        (call.node.axis(call.node.int_or("axis", 1)?, rank)?..rank).collect()
    } else {
        vec![call.node.axis(call.node.int_or("axis", -1)?, rank)?]
    };
    let (mut moved, back) = move_last(call, input, &axes)?;
    let length: usize = axes.iter().map(|&axis| input.sides[axis]).product();
    if let Numbers::Floats(x) = &mut moved.numbers {
        for row in x.chunks_exact_mut(length.max(1)) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, larger);
            row.iter_mut().for_each(|x| *x = libm::expf(*x - most));
            let sum = total(row, f64::from) as f32;
            row.iter_mut().for_each(|x| *x /= sum);
        }
    }
    transpose(call.node, &constant(&moved.sides, moved.numbers), &back)
}
