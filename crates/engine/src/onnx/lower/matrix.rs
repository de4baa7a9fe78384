//! Matrix products: with constants they are the engine's linear layers, along whichever axis; of two tensors of the
//! image they are products of matrices.

use candle_core::{Device, Tensor};

use super::arithmetic::{affine, each, plus, repeated};
use super::broadcast::common;
use super::call::Call;
use super::held::{Batch, Held, Pixels, in_order};
use super::writer::{Writer, extended};
use crate::error::Result;
use crate::nn::{Conv2d, Linear, MatMul, Shape};
use crate::onnx::graph::Constant;

/// `x` with `axis` mapped by weights `[outputs, inputs]` and a bias.
pub(super) fn contract(
    writer: &mut Writer,
    x: &Pixels,
    axis: usize,
    weight: Vec<f32>,
    outputs: usize,
    bias: Option<Vec<f32>>,
) -> Result<Pixels> {
    let inputs = x.sides[axis];
    writer.hold(weight.len())?;
    let x = writer.along(x, axis)?;
    let bias = match bias {
        Some(bias) => Some(Tensor::from_vec(bias, outputs, &Device::Cpu)?),
        None => None,
    };
    let value = match writer.shape(x.value) {
        Shape::Flat(_) => {
            let weight = Tensor::from_vec(weight, (outputs, inputs), &Device::Cpu)?;
            writer.push(Linear::new(weight, bias), &[x.value])?
        }
        Shape::Image { .. } => {
            let weight = Tensor::from_vec(weight, (outputs, inputs, 1, 1), &Device::Cpu)?;
            writer.push(Conv2d::new(weight, bias)?, &[x.value])?
        }
    };
    let mut sides = x.sides.clone();
    sides[axis] = outputs;
    Ok(Pixels { value, sides, ..x })
}

/// A matrix `[rows, columns]` of row-major numbers, transposed.
fn transposed(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(numbers.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| numbers[row * columns + column]));
    }
    out
}

/// `alpha A B + beta C`.
pub(super) fn gemm(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let node = call.node;
    let (alpha, beta) = (node.float_or("alpha", 1.0)?, node.float_or("beta", 1.0)?);
    let [turn_a, turn_b] = [node.flag_or("transA", false)?, node.flag_or("transB", false)?];
    let turn = |x: &Pixels| -> Result<Pixels> {
        if x.sides.len() == 2 {
            return Ok(transpose(x, &[1, 0]));
        }
        Err(call.error(format!("takes matrices, gets sides {:?}", x.sides), "export it again"))
    };
    let (Some(Held::Pixels(a)), Some(Held::Known(_))) = (call.input(0), call.input(1)) else {
        // Both depend on the image, or the second does.
        let mut side = |i: usize, turned: bool| -> Result<Pixels> {
            match call.input(i) {
                Some(Held::Pixels(x)) => {
                    if turned {
                        turn(x)
                    } else {
                        Ok(x.clone())
                    }
                }
                _ => {
                    let constant = writer.constant(&*call.weight(i)?)?;
                    if turned { turn(&constant) } else { Ok(constant) }
                }
            }
        };
        let (a, b) = (side(0, turn_a)?, side(1, turn_b)?);
        let product = product(writer, call, &a, &b)?;
        let product = writer.affine(&product, Some(&Constant::scalar(alpha)), None)?;
        return Ok(vec![shifted(writer, call, &product, beta)?.into()]);
    };
    let a = if turn_a { turn(a)? } else { a.clone() };
    let b = call.weight(1)?;
    let (2, [rows, columns]) = (a.sides.len(), &b.sides[..]) else {
        let problem = format!("takes matrices, gets sides {:?} and {:?}", a.sides, b.sides);
        return Err(call.error(problem, "export the network again"));
    };
    let (inputs, outputs) = if turn_b { (*columns, *rows) } else { (*rows, *columns) };
    if a.sides[1] != inputs {
        let problem = format!("{} values against {inputs} of the weights", a.sides[1]);
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    call.apart(&a, &[1])?;
    let numbers = b.as_floats().unwrap_or_default();
    let weight = if turn_b { numbers.to_vec() } else { transposed(numbers, *rows, *columns) };
    let weight = weight.into_iter().map(|w| w * alpha).collect();
    if let Some(Held::Known(bias)) = call.input(2)
        && bias.one.len() == outputs
        && bias.one.sides.last() == Some(&outputs)
    {
        let bias = each(&*call.weight(2)?, |x| x * beta);
        let bias = bias.as_floats().map(<[f32]>::to_vec);
        return Ok(vec![contract(writer, &a, 1, weight, outputs, bias)?.into()]);
    }
    let product = contract(writer, &a, 1, weight, outputs, None)?;
    Ok(vec![shifted(writer, call, &product, beta)?.into()])
}

/// `product + beta C`, if there is a third input.
fn shifted(writer: &mut Writer, call: &Call<'_>, product: &Pixels, beta: f32) -> Result<Pixels> {
    if let Some(Held::Pixels(c)) = call.input(2) {
        let c = writer.affine(c, Some(&Constant::scalar(beta)), None)?;
        return plus(writer, call, product, &c);
    }
    let Some(_) = call.input(2) else { return Ok(product.clone()) };
    affine(writer, call, product, None, Some(&each(&*call.weight(2)?, |x| x * beta)))
}

pub(super) fn mat_mul(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let product = match (call.input(0), call.input(1)) {
        (Some(Held::Pixels(a)), Some(Held::Pixels(b))) => product(writer, call, a, b)?,
        (Some(Held::Pixels(a)), _) => {
            let b = call.weight(1)?;
            let own = writer.of_one(&b, a);
            by_constant(writer, call, a, own.as_ref().unwrap_or(&b), false)?
        }
        (_, Some(Held::Pixels(b))) => {
            let a = call.weight(0)?;
            let own = writer.of_one(&a, b);
            by_constant(writer, call, b, own.as_ref().unwrap_or(&a), true)?
        }
        _ => return Err(call.error("inputs are missing", "export the network again")),
    };
    Ok(vec![product.into()])
}

/// The product of `x` with a constant, which is `first` if it stands on the left.
fn by_constant(
    writer: &mut Writer,
    call: &Call<'_>,
    x: &Pixels,
    constant: &Constant,
    first: bool,
) -> Result<Pixels> {
    let rank = x.sides.len();
    // The axis that is summed over: the last one, but for the right of two matrices the one before.
    let axis = if first && rank > 1 { rank - 2 } else { rank.saturating_sub(1) };
    let numbers = constant.as_floats().unwrap_or_default();
    let (weight, inputs, outputs) = match (&constant.sides[..], first) {
        // Side lengths of 1 in front do not matter.
        ([front @ .., rows, columns], false) if front.iter().all(|side| *side == 1) => {
            (transposed(numbers, *rows, *columns), *rows, *columns)
        }
        ([front @ .., rows, columns], true) if front.iter().all(|side| *side == 1) => {
            (numbers.to_vec(), *columns, *rows)
        }
        ([length], _) => (numbers.to_vec(), *length, 1),
        _ => {
            let constant = writer.constant(constant)?;
            return match first {
                true => product(writer, call, &constant, x),
                false => product(writer, call, x, &constant),
            };
        }
    };
    if rank == 0 || x.sides[axis] != inputs {
        let problem =
            format!("sides {:?} do not fit weights of sides {:?}", x.sides, constant.sides);
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    call.apart(x, &[axis])?;
    let product = contract(writer, x, axis, weight, outputs, None)?;
    let extra = constant.sides.len().saturating_sub(rank.max(2));
    if constant.sides.len() == 1 {
        // A vector has one axis, which is gone.
        return Ok(without(&product, axis));
    }
    Ok(extended(&product, rank + extra))
}

/// `x` without an axis of one place.
pub(super) fn without(x: &Pixels, axis: usize) -> Pixels {
    let mut sides = x.sides.clone();
    sides.remove(axis);
    let shift = |a: usize| if a > axis { a - 1 } else { a };
    let order = x.order.iter().filter(|a| **a != axis).map(|a| shift(*a)).collect();
    let batch = x.batch.map(|batch| Batch { axis: shift(batch.axis), ..batch });
    Pixels { sides, order, batch, ..x.clone() }
}

/// `x` with its axes in another sequence; axis i of the result is axis `axes[i]` of `x`.
pub(super) fn transpose(x: &Pixels, axes: &[usize]) -> Pixels {
    let place = |old: usize| axes.iter().position(|axis| *axis == old).unwrap_or(old);
    Pixels {
        sides: axes.iter().map(|axis| x.sides[*axis]).collect(),
        order: x.order.iter().map(|old| place(*old)).collect(),
        batch: x.batch.map(|batch| Batch { axis: place(batch.axis), ..batch }),
        ..x.clone()
    }
}

/// The product of two tensors, matrix by matrix.
pub(super) fn product(
    writer: &mut Writer,
    call: &Call<'_>,
    a: &Pixels,
    b: &Pixels,
) -> Result<Pixels> {
    let (rank_a, rank_b) = (a.sides.len(), b.sides.len());
    if rank_a == 0 || rank_b == 0 {
        return Err(call.error("a factor has no sides", "export the network again"));
    }
    // Vectors are matrices of one row or one column.
    let a = extended(a, rank_a.max(2));
    let b = if rank_b == 1 { transpose(&extended(b, 2), &[1, 0]) } else { b.clone() };
    let rank = a.sides.len().max(b.sides.len());
    let (a, b) = (extended(&a, rank), extended(&b, rank));
    let (rows, inner, columns) = (a.sides[rank - 2], a.sides[rank - 1], b.sides[rank - 1]);
    if b.sides[rank - 2] != inner {
        let problem = format!("sides {:?} do not fit {:?}", a.sides, b.sides);
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    call.apart(&a, &[rank - 1])?;
    call.apart(&b, &[rank - 2])?;
    let front = common(&a.sides[..rank - 2], &b.sides[..rank - 2])?;
    repeated(call, [&a, &b], &[&front[..], &[rows, columns]].concat())?;
    let matrices: usize = front.iter().product();
    let batch = match (a.batch, b.batch) {
        (Some(a), Some(b)) if a != b => return Err(call.mixes()),
        (a, b) => a.or(b),
    };
    let shaped = |writer: &mut Writer, x: &Pixels, [height, width]: [usize; 2]| {
        let sides = [&front[..], &[height, width]].concat();
        let x = writer.expand(x, &sides, &in_order(rank))?;
        writer.view(x.value, Shape::of_image([matrices, height], width))
    };
    let (left, right) = (shaped(writer, &a, [rows, inner])?, shaped(writer, &b, [inner, columns])?);
    let value = writer.push(MatMul, &[left, right])?;
    let sides = [&front[..], &[rows, columns]].concat();
    let product = Pixels { value, sides, order: in_order(rank), batch, kind: a.kind };
    let product = if rank_b == 1 { without(&product, rank - 1) } else { product };
    Ok(if rank_a == 1 {
        without(&product, product.sides.len() - if rank_b == 1 { 1 } else { 2 })
    } else {
        product
    })
}

/// Sums of products over named axes, of one or two tensors: transpositions and a product of matrices.
pub(super) fn einsum(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let equation = call.node.text("equation")?.unwrap_or_default().replace(' ', "");
    let unsupported = || {
        call.error(
            format!("equation {equation} is not supported"),
            "two tensors, each axis once, without ... are: export it as MatMul",
        )
    };
    let (left, result) = equation.split_once("->").ok_or_else(unsupported)?;
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let result: Vec<char> = result.chars().collect();
    let mut tensors = Vec::new();
    for (i, term) in terms.iter().enumerate() {
        let tensor = match call.input(i) {
            Some(Held::Pixels(x)) => x.clone(),
            _ => writer.constant(&*call.weight(i)?)?,
        };
        let once =
            term.iter().enumerate().all(|(i, c)| c.is_ascii_alphabetic() && !term[..i].contains(c));
        if !once || term.len() != tensor.sides.len() {
            return Err(unsupported());
        }
        tensors.push(tensor);
    }
    let ([a, b], [x, y]) = (&terms[..], &tensors[..]) else { return Err(unsupported()) };
    // Axes in both and in the result number the matrices; the others are rows, columns and what is summed over.
    let shared: Vec<char> =
        a.iter().copied().filter(|c| b.contains(c) && result.contains(c)).collect();
    let inner: Vec<char> =
        a.iter().copied().filter(|c| b.contains(c) && !result.contains(c)).collect();
    let rows: Vec<char> = a.iter().copied().filter(|c| !b.contains(c)).collect();
    let columns: Vec<char> = b.iter().copied().filter(|c| !a.contains(c)).collect();
    let fits = |c: &char| {
        let side =
            |term: &[char], x: &Pixels| term.iter().position(|own| own == c).map(|i| x.sides[i]);
        matches!((side(a, x), side(b, y)), (Some(left), Some(right)) if left == right)
    };
    if !shared.iter().chain(&inner).all(fits) {
        return Err(unsupported());
    }
    let complete = rows.iter().chain(&columns).all(|c| result.contains(c))
        && result.len() == shared.len() + rows.len() + columns.len();
    if !complete {
        return Err(unsupported());
    }
    let side = |c: &char| {
        let of =
            |term: &[char], x: &Pixels| term.iter().position(|own| own == c).map(|i| x.sides[i]);
        of(a, x).or_else(|| of(b, y)).unwrap_or(1)
    };
    let size = |names: &[char]| names.iter().map(side).product::<usize>();
    let shaped = |writer: &mut Writer, term: &[char], x: &Pixels, middle: [&[char]; 2]| {
        let names: Vec<char> = [&shared[..], middle[0], middle[1]].concat();
        let axes: Vec<usize> =
            names.iter().filter_map(|c| term.iter().position(|own| own == c)).collect();
        let x = transpose(x, &axes);
        let batch_axis = x.batch_axis();
        if batch_axis.is_some_and(|axis| inner.contains(&names[axis])) {
            return Err(call.mixes());
        }
        let sides = vec![size(&shared), size(middle[0]), size(middle[1])];
        writer.reshape(&x, sides, None)
    };
    let (left, right) =
        (shaped(writer, a, x, [&rows, &inner])?, shaped(writer, b, y, [&inner, &columns])?);
    let product = product(writer, call, &left, &right)?;
    let names: Vec<char> = [&shared[..], &rows, &columns].concat();
    let product = writer.reshape(&product, names.iter().map(side).collect(), None)?;
    let axes: Vec<usize> =
        result.iter().filter_map(|c| names.iter().position(|own| own == c)).collect();
    let mut product = transpose(&product, &axes);
    // The axis of the batch keeps its name.
    let name = |term: &[char], x: &Pixels| x.batch.map(|batch| (term[batch.axis], batch.within));
    let names = (name(a, x), name(b, y));
    if let (Some((left, _)), Some((right, _))) = names
        && left != right
    {
        return Err(call.mixes());
    }
    if let Some((name, within)) = names.0.or(names.1) {
        product.batch = result.iter().position(|c| *c == name).map(|axis| Batch { axis, within });
    }
    Ok(vec![product.into()])
}
