//! Networks as ONNX files. [`read`] turns the bytes of a file into a [`Graph`] and refuses what is damaged;
//! `fold` computes what does not depend on the image; `lower` writes the rest down as a [`crate::nn::Program`].

mod attribute;
mod fold;
pub mod graph;
mod read;

pub use graph::Graph;
pub use read::read;
