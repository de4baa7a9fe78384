//! The arguments of kernels as plain numbers, also for code that knows no GPU.

/// One argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// An address in the memory of the GPU; 0 for what is left out.
    Address(u64),
    /// A side, a number of channels, a choice.
    Int(i32),
    /// A number of elements.
    Size(i64),
    /// f32.
    Float(f32),
    /// f64.
    Double(f64),
}

impl From<u64> for Argument {
    fn from(address: u64) -> Self {
        Self::Address(address)
    }
}

/// Sides, channels and strides: far below 2^31, or the image would not fit into memory.
impl From<usize> for Argument {
    fn from(number: usize) -> Self {
        Self::Int(number as i32)
    }
}

/// The bits of a word of 32.
impl From<u32> for Argument {
    fn from(word: u32) -> Self {
        Self::Int(word.cast_signed())
    }
}

impl From<bool> for Argument {
    fn from(yes: bool) -> Self {
        Self::Int(yes.into())
    }
}

impl From<f32> for Argument {
    fn from(number: f32) -> Self {
        Self::Float(number)
    }
}

impl From<f64> for Argument {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}
