//! Whole graphs, from the bytes of a file to logits and gradients.

mod batches;
mod counts;
mod operators;
mod oracle;
