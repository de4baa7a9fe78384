//! Batches where the network is: a row of numbers for each image, in the computer's memory or on a GPU.
//! What attacks do between two passes is written once, as a closure on rows; beside it stands the name of
//! its kernel of `kernels/attack/`, which does the same on a GPU ([`Kernel`]).

mod each;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Device, Tensor};

pub use crate::cuda::Argument;
use crate::cuda::{Array, SharedGpu};
use crate::error::Result;
use crate::ops::with_slice;

/// Where batches are.
#[derive(Debug, Clone, Default)]
pub struct Location(Option<SharedGpu>);

impl Location {
    pub(crate) fn gpu(home: SharedGpu) -> Self {
        Self(Some(home))
    }

    /// In the memory of a GPU.
    pub fn is_gpu(&self) -> bool {
        self.0.is_some()
    }
}

/// A batch of f32 numbers, `[N, ...]`. Clones share them until one is written to.
#[derive(Debug, Clone)]
pub struct Rows {
    shape: Vec<usize>,
    data: Data,
    /// See [`Rows::for_all`].
    for_all: bool,
}

#[derive(Debug, Clone)]
enum Data {
    Host(Arc<Vec<f32>>),
    Gpu(Array),
}

/// The kernel that does on a GPU what a closure does on the CPU. Its arguments are the rows that it
/// writes, those that it reads, how many numbers a row of the first has, and these numbers.
#[derive(Debug, Clone)]
pub struct Kernel {
    name: Option<&'static str>,
    arguments: Vec<Argument>,
}

impl Kernel {
    /// No GPU kernel: the batches are copied to the host, processed there and copied back. Too slow for inner loops.
    pub const NONE: Self = Self { name: None, arguments: Vec::new() };

    /// The kernel `name`.
    pub fn new(name: &'static str, arguments: Vec<Argument>) -> Self {
        Self { name: Some(name), arguments }
    }
}

/// `kernel!("kernel", number, ...)`: see [`Kernel`].
#[macro_export]
macro_rules! kernel {
    ($name:literal $(, $argument:expr)* $(,)?) => {
        $crate::rows::Kernel::new($name, vec![$($crate::rows::Argument::from($argument)),*])
    };
}
#[doc(inline)]
pub use crate::kernel;

impl Rows {
    /// The numbers of a batch of this shape, at `place`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(place: &Location, shape: impl Into<Vec<usize>>, numbers: Vec<f32>) -> Result<Self> {
        let data = match &place.0 {
            None => Data::Host(Arc::new(numbers)),
            Some(home) => Data::Gpu(home.upload(&numbers)?),
        };
        Ok(Self { shape: shape.into(), data, for_all: false })
    }

    /// One row, `[1, width]`, that stands beside every row of other batches, however many they have.
    ///
    /// # Errors
    /// If the device fails.
    pub fn for_all(place: &Location, numbers: Vec<f32>) -> Result<Self> {
        Ok(Self { for_all: true, ..Self::new(place, [1, numbers.len()], numbers)? })
    }

    /// It is one row for all rows of other batches.
    pub fn is_for_all(&self) -> bool {
        self.for_all
    }

    /// A tensor `[N, ...]` of the computer's memory, there.
    ///
    /// # Errors
    /// If it is elsewhere.
    pub fn of_tensor(tensor: &Tensor) -> Result<Self> {
        let numbers = with_slice::<f32, _>(tensor, |numbers| Ok(numbers.to_vec()))?;
        Self::new(&Location::default(), tensor.dims(), numbers)
    }

    /// Itself on a GPU or in the computer's memory, as `place` is: a copy, if it is not there. What is on a
    /// GPU stays on that one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn at(&self, place: &Location) -> Result<Self> {
        match self.location().is_gpu() == place.is_gpu() {
            true => Ok(self.clone()),
            false => {
                let there = Self::new(place, self.shape.clone(), self.values()?.to_vec())?;
                Ok(Self { for_all: self.for_all, ..there })
            }
        }
    }

    /// A number for each row, as `[N]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn numbers(place: &Location, numbers: Vec<f32>) -> Result<Self> {
        Self::new(place, [numbers.len()], numbers)
    }

    /// A class for each row, as `[N]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn classes(place: &Location, classes: &[u32]) -> Result<Self> {
        Self::numbers(place, classes.iter().map(|class| *class as f32).collect())
    }

    /// No numbers: an input that is left out. A closure sees an empty row of it, a kernel no address.
    ///
    /// # Errors
    /// If the device fails.
    pub fn none(place: &Location) -> Result<Self> {
        Self::new(place, [1, 0], Vec::new())
    }

    /// Itself, unless it is left out.
    pub fn given(&self) -> Option<&Self> {
        (self.width() > 0).then_some(self)
    }

    /// What a kernel has written on a GPU.
    pub(crate) fn of_array(shape: impl Into<Vec<usize>>, array: Array) -> Self {
        Self { shape: shape.into(), data: Data::Gpu(array), for_all: false }
    }

    /// A batch of this shape whose numbers are about to be written: 0 in the computer's memory, anything
    /// on a GPU.
    pub fn blank(place: &Location, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        let len = shape.iter().product();
        let data = match &place.0 {
            None => Data::Host(Arc::new(vec![0.0; len])),
            Some(home) => Data::Gpu(home.array(len)?),
        };
        Ok(Self { shape, data, for_all: false })
    }

    /// `[N, ...]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// There are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Where it is.
    pub fn location(&self) -> Location {
        match &self.data {
            Data::Host(_) => Location(None),
            Data::Gpu(array) => Location(Some(array.gpu().clone())),
        }
    }

    /// The numbers on the GPU, if they are there.
    pub(crate) fn array(&self) -> Option<&Array> {
        match &self.data {
            Data::Host(_) => None,
            Data::Gpu(array) => Some(array),
        }
    }

    /// All numbers, row by row; from a GPU when everything before is done.
    ///
    /// # Errors
    /// If the device fails.
    pub fn values(&self) -> Result<Arc<Vec<f32>>> {
        match &self.data {
            Data::Host(numbers) => Ok(numbers.clone()),
            Data::Gpu(array) => Ok(Arc::new(array.read()?)),
        }
    }

    /// As a tensor in the computer's memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values()?, self.shape.as_slice(), &Device::Cpu)?)
    }

    /// The numbers of `[N]`, row by row, as classes.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_classes(&self) -> Result<Vec<u32>> {
        Ok(self.values()?.iter().map(|class| *class as u32).collect())
    }

    /// The rows `keep`, in that order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn select(&self, keep: &[usize]) -> Result<Self> {
        let width = self.width();
        let mut shape = self.shape.clone();
        shape[0] = keep.len();
        let data = match &self.data {
            Data::Host(numbers) => Data::Host(Arc::new(
                keep.iter().flat_map(|row| &numbers[row * width..][..width]).copied().collect(),
            )),
            Data::Gpu(array) => Data::Gpu(array.select(keep, width)?),
        };
        Ok(Self { shape, data, for_all: false })
    }
}

pub use each::launch;
pub use each::{map, map_to, update};
