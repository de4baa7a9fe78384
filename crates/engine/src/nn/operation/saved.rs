//! What is kept between a forward pass and its pullback.

use candle_core::Tensor;

use crate::ops::activation::Bits;

/// What an operation keeps from the forward pass for its pullback.
#[derive(Debug, Default)]
pub enum Saved {
    /// The pullback needs nothing.
    #[default]
    Nothing,
    /// An input, the output or another tensor.
    Tensor(Tensor),
    /// Two of them.
    Pair(Tensor, Tensor),
    /// Which elements passed.
    Bits(Bits),
    /// Where each element of a maximum came from.
    Origin(Vec<u32>),
}

impl Saved {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        let of = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        match self {
            Self::Nothing => 0,
            Self::Tensor(tensor) => of(tensor),
            Self::Pair(a, b) => of(a) + of(b),
            Self::Bits(bits) => bits.bytes(),
            Self::Origin(origin) => size_of_val(origin.as_slice()),
        }
    }
}
