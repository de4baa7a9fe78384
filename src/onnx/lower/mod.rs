//! An ONNX graph as a program of the engine. What does not depend on the image is computed on the way
//! ([`super::fold`]); every other node is an operator of the list below, which adds the steps that it means.
//!
//! A new operator is a function in the file of its kind and a line in the list.

mod arithmetic;
mod attention;
mod call;
mod conv;
mod held;
mod matrix;
mod moving;
mod norm;
mod operators;
mod pool;
mod pointwise;
mod reduce;
mod resize;
mod softmax;
mod walk;
mod writer;

pub(super) use walk::lower;

