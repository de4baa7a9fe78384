//! Whole graphs, from the bytes of a file to logits and gradients.
#![allow(clippy::print_stderr)]

mod batches;
mod budgets;
mod counts;
mod operators;
mod oracle;
