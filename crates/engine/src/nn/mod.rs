//! Networks. The network under test is frozen, so the only gradient there is is that of the images, and nothing
//! here knows weight gradients, variables or a tape. A network is a [`Program`]: a list of operations on values,
//! which is read in several ways; [`Layer`]s and the combinators below are how the zoo writes one down. Values
//! are NHWC tensors `[N, H, W, C]`, or `[N, F]` after [`flatten`] or a global pool; the tokens of a vision
//! transformer are the pixels of an image one pixel wide.
//!
//! An operation is one file of `operation/` with everything that is asked of it; an architecture that uses it
//! gets every reading for free.

pub mod bounds;
mod layer;
mod operation;
mod program;
mod shape;

pub use layer::{
    Layer, avg_pool, concat, flatten, gate, gelu, global_avg_pool, max_pool, mean, relu, seq,
    sigmoid, silu, softmax, stack, sum,
};
pub use operation::*;
pub use program::{Builder, IMAGE, Program, SavedSteps, Step, Value};
pub use shape::Shape;

#[cfg(test)]
pub(crate) mod tests;
