//! The operators on constants: shape arithmetic and whatever else of a graph does not depend on the image is
//! computed once, when the file is read. This file lists the operators; the others say what they mean.

mod call;
mod elementwise;
mod gather;
mod make;
mod product;
mod reduce;
mod shape;
pub(super) mod strides;
#[cfg(test)]
mod tests;

use std::cmp::Ordering::{Greater, Less};

use call::Call;
use elementwise::{comparison, float, logic, number, pair};

use super::graph::{Constant, Node};
use crate::error::{Error, Result};

/// What an operator does.
enum Function {
    /// It has one output.
    One(fn(&Call) -> Result<Constant>),
    /// It has as many outputs as the node names.
    Many(fn(&Call) -> Result<Vec<Constant>>),
}
use Function::{Many, One};

/// Every operator with the attributes it knows.
const OPERATORS: &[(&str, Function, &[&str])] = &[
    ("Abs", One(|call| number(call, f32::abs, i64::checked_abs)), &[]),
    ("Add", One(|call| pair(call, |a, b| a + b, i64::checked_add)), &[]),
    ("And", One(|call| logic(call, |a, b| a & b)), &[]),
    ("ArgMax", One(|call| reduce::place(call, Greater)), reduce::PLACE),
    ("ArgMin", One(|call| reduce::place(call, Less)), reduce::PLACE),
    ("Cast", One(make::cast), &["to", "saturate", "round_mode"]),
    ("CastLike", One(make::cast_like), &["saturate", "round_mode"]),
    ("Ceil", One(|call| float(call, f32::ceil)), &[]),
    ("Clip", One(elementwise::clip), &["min", "max"]),
    ("Concat", One(shape::concat), &["axis"]),
    ("Constant", One(make::constant), make::CONSTANT),
    ("ConstantOfShape", One(make::constant_of_shape), &["value"]),
    ("Cos", One(|call| float(call, libm::cosf)), &[]),
    ("CumSum", One(reduce::cumulative_sum), &["exclusive", "reverse"]),
    ("Div", One(elementwise::divide), &[]),
    ("Equal", One(elementwise::equal), &[]),
    ("Erf", One(|call| float(call, libm::erff)), &[]),
    ("Exp", One(|call| float(call, libm::expf)), &[]),
    ("Expand", One(shape::expand), &[]),
    ("EyeLike", One(make::eye_like), &["dtype", "k"]),
    ("Flatten", One(shape::flatten), &["axis"]),
    ("Floor", One(|call| float(call, f32::floor)), &[]),
    ("Gather", One(gather::gather), &["axis"]),
    ("GatherElements", One(gather::gather_elements), &["axis"]),
    ("GatherND", One(gather::gather_nd), &["batch_dims"]),
    ("Gemm", One(product::gemm), &["alpha", "beta", "transA", "transB"]),
    ("Greater", One(|call| comparison(call, |a, b| a > b, |a, b| a > b)), &[]),
    ("GreaterOrEqual", One(|call| comparison(call, |a, b| a >= b, |a, b| a >= b)), &[]),
    ("Identity", One(|call| call.input(0).cloned()), &[]),
    ("Less", One(|call| comparison(call, |a, b| a < b, |a, b| a < b)), &[]),
    ("LessOrEqual", One(|call| comparison(call, |a, b| a <= b, |a, b| a <= b)), &[]),
    ("Log", One(|call| float(call, libm::logf)), &[]),
    ("MatMul", One(product::matmul), &[]),
    ("Max", One(|call| elementwise::fold(call, elementwise::larger, |a, b| Some(a.max(b)))), &[]),
    ("Mean", One(elementwise::mean), &[]),
    ("Min", One(|call| elementwise::fold(call, elementwise::smaller, |a, b| Some(a.min(b)))), &[]),
    ("Mod", One(elementwise::modulo), &["fmod"]),
    ("Mul", One(|call| pair(call, |a, b| a * b, i64::checked_mul)), &[]),
    ("Neg", One(|call| number(call, |x| -x, i64::checked_neg)), &[]),
    ("NonZero", One(make::non_zero), &[]),
    ("Not", One(elementwise::not), &[]),
    ("Or", One(|call| logic(call, |a, b| a | b)), &[]),
    ("Pad", One(shape::pad), &["mode", "pads", "value"]),
    ("Pow", One(elementwise::power), &[]),
    ("Range", One(make::range), &[]),
    ("Reciprocal", One(|call| float(call, f32::recip)), &[]),
    ("ReduceL1", One(reduce::l1), reduce::REDUCE),
    ("ReduceL2", One(reduce::l2), reduce::REDUCE),
    ("ReduceMax", One(reduce::max), reduce::REDUCE),
    ("ReduceMean", One(reduce::mean), reduce::REDUCE),
    ("ReduceMin", One(reduce::min), reduce::REDUCE),
    ("ReduceProd", One(reduce::product), reduce::REDUCE),
    ("ReduceSum", One(reduce::sum), reduce::REDUCE),
    ("ReduceSumSquare", One(reduce::sum_square), reduce::REDUCE),
    ("Relu", One(|call| number(call, |x| elementwise::larger(x, 0.0), |x| Some(x.max(0)))), &[]),
    ("Reshape", One(shape::reshape), &["shape", "allowzero"]),
    ("Round", One(|call| float(call, f32::round_ties_even)), &[]),
    ("ScatterElements", One(gather::scatter_elements), &["axis", "reduction"]),
    ("ScatterND", One(gather::scatter_nd), &["reduction"]),
    ("Shape", One(shape::shape), &["start", "end"]),
    ("Sigmoid", One(|call| float(call, |x| 1.0 / (1.0 + libm::expf(-x)))), &[]),
    ("Sign", One(|call| number(call, elementwise::sign, |x| Some(x.signum()))), &[]),
    ("Sin", One(|call| float(call, libm::sinf)), &[]),
    ("Size", One(shape::size), &[]),
    ("Slice", One(shape::slice), &["starts", "ends", "axes"]),
    ("Softmax", One(reduce::softmax), &["axis"]),
    ("Split", Many(shape::split), &["axis", "split", "num_outputs"]),
    ("Sqrt", One(|call| float(call, f32::sqrt)), &[]),
    ("Squeeze", One(shape::squeeze), &["axes"]),
    ("Sub", One(|call| pair(call, |a, b| a - b, i64::checked_sub)), &[]),
    ("Sum", One(|call| elementwise::fold(call, |a, b| a + b, i64::checked_add)), &[]),
    ("Tanh", One(|call| float(call, libm::tanhf)), &[]),
    ("Tile", One(shape::tile), &[]),
    ("Transpose", One(shape::transpose), &["perm"]),
    ("Trilu", One(shape::trilu), &["upper"]),
    ("Unsqueeze", One(shape::unsqueeze), &["axes"]),
    ("Where", One(elementwise::choose), &[]),
    ("Xor", One(|call| logic(call, |a, b| a ^ b)), &[]),
];

/// Whether there is an operator of this name.
pub(super) fn knows(operator: &str) -> bool {
    OPERATORS.iter().any(|(name, ..)| *name == operator)
}

/// The outputs of `node` for constant `inputs`; an absent optional input is `None`.
///
/// # Errors
/// If the operator is not known here, or its inputs or attributes do not fit.
pub(super) fn evaluate(
    node: &Node,
    inputs: &[Option<&Constant>],
    opset: u64,
) -> Result<Vec<Constant>> {
    let Some((_, function, attributes)) =
        OPERATORS.iter().find(|(name, ..)| *name == node.operator)
    else {
        let known = OPERATORS.iter().map(|(name, ..)| *name);
        return Err(Error::unknown("operator on constants", node.operator.clone(), known));
    };
    node.known(attributes)?;
    let call = Call::new(node, inputs, opset)?;
    match function {
        One(function) if node.outputs.len() <= 1 => Ok(vec![function(&call)?]),
        One(_) => Err(call.error(format!("{} outputs where there is one", node.outputs.len()))),
        Many(function) => function(&call),
    }
}
