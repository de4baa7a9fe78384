//! Networks as ONNX files: the way in for whatever another framework can write. [`read`] turns the bytes of a file
//! into a [`Graph`] and refuses what is damaged; `fold` computes what does not depend on the image; `lower` writes
//! the rest down as a [`crate::nn::Program`].

mod attribute;
mod fold;
mod form;
pub mod graph;
mod lower;
mod read;

pub use form::{Layout, OnnxForm};
pub use graph::Graph;
pub use read::{probe, read};

use lower::MOST;

use crate::error::Result;
use crate::nn::Program;

/// An ONNX graph as a network.
#[derive(Debug)]
pub struct Network {
    /// From images `[H, W, C]` with pixels in [0, 1] to logits.
    pub program: Program,
    /// `[C, H, W]` of an image.
    pub image: [usize; 3],
    /// What an image is for the graph, guesses included.
    pub form: OnnxForm,
    /// What was guessed or left out, a sentence each.
    pub notes: Vec<String>,
}

impl Graph {
    /// The graph as a program of the engine; `form` says what an image is for it.
    ///
    /// # Errors
    /// If the graph has an operator that is not known, mixes the images of a batch, or contradicts itself; the
    /// error names the node.
    pub fn network(&self, form: &OnnxForm) -> Result<Network> {
        lower::lower(self, form)
    }
}

#[cfg(test)]
mod tests;
