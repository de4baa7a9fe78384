//! How much memory and time a file is worth. A few bytes of a graph may ask for any number of numbers, so what is made
//! is counted before it is made, against what the file stores.

use super::call::Call;
use super::held::Held;
use crate::error::{Error, Result};
use crate::onnx::graph::{Constant, Kind};

/// Most numbers of a tensor of one image: 2^24. While they are moved, a place for each takes a quarter of a gigabyte.
pub(in crate::onnx) const MOST: usize = 1 << 24;

/// Most numbers of all tensors of one image together: what is read is written down in seconds.
const MOST_IN_ALL: usize = 1 << 28;

/// Most numbers of 32 bits that steps and computed constants hold beside [`COPIES`] of those in the file: a quarter of a
/// gigabyte.
const MOST_HELD: usize = 1 << 26;

/// How often the numbers of the file may be written down. A weight that many layers use is copied for each.
const COPIES: usize = 4;

/// Most numbers that are read and made while constants are computed, beside [`PASSES`] over those in the file: some
/// seconds.
const MOST_COMPUTED: usize = 1 << 29;

/// How often the numbers of the file may be read or made on the way to what is held.
const PASSES: usize = 8;

/// What was spent so far.
#[derive(Debug)]
pub(super) struct Budget {
    /// Numbers of one image in all values.
    made: usize,
    /// Numbers that steps and computed constants hold.
    held: usize,
    most_held: usize,
    /// Numbers that were read and made to compute constants.
    computed: usize,
    most_computed: usize,
}

impl Budget {
    /// Nothing yet of a file that stores so many numbers.
    pub(super) fn new(stored: usize) -> Self {
        let most_held = stored.saturating_mul(COPIES).saturating_add(MOST_HELD);
        let most_computed = stored.saturating_mul(PASSES).saturating_add(MOST_COMPUTED);
        Self { made: 0, held: 0, most_held, computed: 0, most_computed }
    }

    /// Counts a value of so many numbers for one image.
    pub(super) fn make(&mut self, numbers: usize) -> Result<()> {
        self.made = self.made.saturating_add(numbers);
        too_large(if self.made > MOST_IN_ALL { self.made } else { numbers })
    }

    /// Counts numbers that a step or a constant will hold.
    pub(super) fn hold(&mut self, numbers: usize) -> Result<()> {
        self.held = self.held.saturating_add(numbers);
        match self.held <= self.most_held {
            true => Ok(()),
            false => Err(Error::setting(
                "graph",
                format!("unpacks to more than {} numbers, far more than it stores", self.most_held),
                "the file asks for more memory than a classifier needs: check how it was exported",
            )),
        }
    }

    /// Counts what the node of `call` has computed of constants alone.
    pub(super) fn computed(&mut self, call: &Call<'_>, outputs: &[Constant]) -> Result<()> {
        let mut work: usize = outputs.iter().map(Constant::len).sum();
        // Of two matrices and their product: the square of the number of multiplications.
        let mut square = work as f64;
        for (place, input) in call.inputs.iter().enumerate() {
            if let Some(Held::Known(known)) = input {
                work = work.saturating_add(known.one.len());
                square *= if place < 2 { known.one.len() as f64 } else { 1.0 };
            }
        }
        if matches!(call.node.operator.as_str(), "MatMul" | "Gemm") {
            work = work.saturating_add(square.sqrt() as usize);
        }
        self.computed = self.computed.saturating_add(work);
        if self.computed > self.most_computed {
            let problem = "computing the constants of the graph takes too long";
            return Err(call.error(problem, "export the network with constant folding"));
        }
        let words = |constant: &Constant| match constant.kind() {
            Kind::Int => constant.len().saturating_mul(2),
            _ => constant.len(),
        };
        self.hold(outputs.iter().map(words).fold(0, usize::saturating_add))
    }
}

/// The number of numbers of a tensor of these sides, before a place is written down for any of them.
///
/// # Errors
/// If no memory holds them.
pub(super) fn fitting(sides: &[usize]) -> Result<usize> {
    let total = sides.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
    let total = total.unwrap_or(usize::MAX);
    too_large(total).map(|()| total)
}

/// Refuses tensors that no memory holds.
///
/// # Errors
/// If it is one.
pub(super) fn too_large(numbers: usize) -> Result<()> {
    if numbers <= MOST {
        return Ok(());
    }
    Err(Error::setting(
        "activation",
        format!("has {numbers} numbers for one image, more than the {MOST} that are supported"),
        "the file asks for more memory than an image classifier needs: check how it was exported",
    ))
}
