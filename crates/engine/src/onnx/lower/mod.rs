//! An ONNX graph as a program of the engine. What does not depend on the image is computed on the way
//! ([`super::fold`]); every other node is an operator of the list below, which adds the steps that it means.
//!
//! A new operator is a function in the file of its kind and a line in the list.

mod arithmetic;
mod attention;
mod broadcast;
mod budget;
mod call;
mod conv;
mod held;
mod matrix;
mod moving;
mod norm;
mod operators;
mod pointwise;
mod pool;
mod reduce;
mod reshape;
mod resize;
mod softmax;
mod truth;
mod walk;
mod writer;

pub(super) use budget::MOST;
pub(super) use walk::lower;
#[cfg(test)]
pub(super) use walk::operator;
