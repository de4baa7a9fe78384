//! Products of matrices.

use super::super::graph::{Constant, Numbers};
use super::call::Call;
use super::strides::{broadcast, count, repeated, transpose};
use crate::error::Result;

/// Most multiplications of one node: a second, where a file could ask for days.
const MOST_MULTIPLICATIONS: u128 = 1 << 29;

/// Matrices of the last two sides, broadcast over the others; a row on the left, a column on the right.
pub(super) fn matmul(call: &Call) -> Result<Constant> {
    let (left, right) = (call.input(0)?, call.input(1)?);
    let (left_batch, rows, inner) = match left.sides.as_slice() {
        [] => return Err(call.wrong_kinds()),
        [inner] => (&[][..], None, *inner),
        [batch @ .., rows, inner] => (batch, Some(*rows), *inner),
    };
    let (right_batch, height, columns) = match right.sides.as_slice() {
        [] => return Err(call.wrong_kinds()),
        [height] => (&[][..], *height, None),
        [batch @ .., height, columns] => (batch, *height, Some(*columns)),
    };
    if height != inner {
        return Err(call.error(format!("{inner} columns do not go with {height} rows")));
    }
    let batch = broadcast(call.node, [left_batch, right_batch])?;
    let sides = [batch.as_slice(), rows.as_slice(), columns.as_slice()].concat();
    let size = (rows.unwrap_or(1), inner, columns.unwrap_or(1));
    let elements = count(call.node, &sides)?;
    if elements as u128 * inner as u128 > MOST_MULTIPLICATIONS {
        return Err(call.error("the product of constants takes too long"));
    }
    let pairs = repeated(left_batch, &batch).zip(repeated(right_batch, &batch));
    let numbers = match (&left.numbers, &right.numbers) {
        (Numbers::Floats(a), Numbers::Floats(b)) => {
            let step = |sum: f64, a: f32, b: f32| Some(sum + f64::from(a) * f64::from(b));
            let made = multiply(a, b, size, pairs, step).unwrap_or_default();
            Numbers::Floats(made.into_iter().map(|x| x as f32).collect())
        }
        (Numbers::Ints(a), Numbers::Ints(b)) => {
            let step = |sum: i64, a: i64, b: i64| sum.checked_add(a.checked_mul(b)?);
            let made = multiply(a, b, size, pairs, step);
            Numbers::Ints(made.ok_or_else(|| call.error("the result exceeds 64 bits"))?)
        }
        _ => return Err(call.wrong_kinds()),
    };
    Ok(Constant { sides, numbers })
}

/// The products of the pairs of matrices, `[rows, inner]` and `[inner, columns]` each.
fn multiply<T: Copy, S: Copy + Default>(
    a: &[T],
    b: &[T],
    (rows, inner, columns): (usize, usize, usize),
    pairs: impl Iterator<Item = (usize, usize)>,
    step: impl Fn(S, T, T) -> Option<S>,
) -> Option<Vec<S>> {
    let mut all = Vec::new();
    for (left, right) in pairs {
        for row in 0..rows {
            let begin = all.len();
            all.resize(begin + columns, S::default());
            for place in 0..inner {
                let factor = a[(left * rows + row) * inner + place];
                let from = (right * inner + place) * columns;
                for (sum, &x) in all[begin..].iter_mut().zip(&b[from..from + columns]) {
                    *sum = step(*sum, factor, x)?;
                }
            }
        }
    }
    Some(all)
}

/// `alpha A B + beta C` with either matrix transposed if the node says so.
pub(super) fn gemm(call: &Call) -> Result<Constant> {
    let turned = |index: usize, name: &str| -> Result<Constant> {
        let matrix = call.input(index)?;
        call.floats(index)?;
        match (matrix.sides.len(), call.node.flag_or(name, false)?) {
            (2, true) => transpose(call.node, matrix, &[1, 0]),
            (2, false) => Ok(matrix.clone()),
            _ => Err(call.error(format!("input {index} is no matrix"))),
        }
    };
    let (left, right) = (turned(0, "transA")?, turned(1, "transB")?);
    let inputs = [Some(&left), Some(&right)];
    let mut made = matmul(&Call { node: call.node, inputs: &inputs, opset: call.opset })?;
    let (alpha, beta) = (call.node.float_or("alpha", 1.0)?, call.node.float_or("beta", 1.0)?);
    let Numbers::Floats(to) = &mut made.numbers else { return Err(call.wrong_kinds()) };
    to.iter_mut().for_each(|x| *x *= alpha);
    if let Some(added) = call.optional(2) {
        let from = call.floats(2)?;
        if broadcast(call.node, [made.sides.as_slice(), added.sides.as_slice()])? != made.sides {
            return Err(call.error("input 2 does not have the sides of the product"));
        }
        let places = repeated(&added.sides, &made.sides);
        to.iter_mut().zip(places).for_each(|(x, place)| *x += beta * from[place]);
    }
    Ok(made)
}
