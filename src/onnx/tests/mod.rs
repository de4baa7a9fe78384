//! Whole graphs, from the bytes of a file to logits and gradients.

mod operators;
mod oracle;
