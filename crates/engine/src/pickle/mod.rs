//! Python's pickles, read and never run: what a pickle describes comes back as plain data, and a name
//! outside a short list ends the reading. Checkpoints of PyTorch and the Python version of CIFAR are
//! pickles; both readers build on this room.

pub(crate) mod dtype;
pub mod file_part;
mod global;
mod machine;
pub mod source;
pub(crate) mod tensor;
pub mod value;

pub use machine::read;
