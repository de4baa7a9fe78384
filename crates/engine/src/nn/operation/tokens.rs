//! Some of the tokens of a list, which is an image one pixel wide.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Tokens`].
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    first: usize,
    /// All that follow if absent.
    count: Option<usize>,
}

impl Tokens {
    /// The class token.
    pub fn first() -> Self {
        Self { first: 0, count: Some(1) }
    }

    /// All but the class token.
    pub fn rest() -> Self {
        Self { first: 1, count: None }
    }

    /// How many of `tokens`.
    fn count(self, tokens: usize) -> usize {
        self.count.unwrap_or_else(|| tokens.saturating_sub(self.first))
    }
}

impl Unary for Tokens {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(1, self.first, self.count(x.dim(1)?))?.contiguous()?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [tokens, _, _] = input.image("tokens")?;
        Ok(g.pad_with_zeros(1, self.first, tokens - self.first - g.dim(1)?)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(2, self.first, self.count(x.dim(2)?))?.contiguous()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [tokens, width, channels] = input.image("tokens")?;
        let count = self.count(tokens);
        if width != 1 || count == 0 || self.first + count > tokens {
            return Err(misfit("tokens", format!("{} are not among {input}", self.describe())));
        }
        Ok(Shape::of_image([count, 1], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        Ok(part(from, to, from.len(), self.first * from.channels(), to.len()).into())
    }

    fn describe(&self) -> String {
        match self.count {
            Some(count) => format!("tokens {} to {}", self.first, self.first + count - 1),
            None => format!("tokens from {}", self.first),
        }
    }
}

/// `length` numbers of each row of `whole`, from the one at `first`.
pub(super) fn part(from: Shape, to: Shape, whole: usize, first: usize, length: usize) -> Kernels {
    let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
    let forward = slots![Slot::X(0), Slot::Y, count, whole, first, length, false];
    let back = slots![Slot::G, Slot::Gx, all, whole, first, length, Slot::Add];
    let forward = Launch::new("part", to.len(), forward);
    Kernels::new(forward, Launch::new("part_pullback", from.len(), back))
}
