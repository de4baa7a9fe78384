//! What every step does on a GPU: the launches that its operation described, with addresses filled in, or a
//! convolution.

use half::bf16;

use super::Argument;
use super::convolution::Work;
use super::gpu::{Address, Gpu, Memory, NONE, size};
use super::layout::Number;
use super::run::{Batch, Runner};
use crate::error::Result;
use crate::nn::{Constants, Convolution, Keeps, Kernels, Launch, OnGpu, Slot};

/// An operation with its numbers in the memory of the GPU.
pub(super) struct Prepared {
    /// In the order in which the operation names them.
    pub(super) constants: Vec<Memory>,
    pub(super) keeps: Keeps,
    how: How,
}

enum How {
    /// Forward, and for each input back.
    Kernels(Vec<Launch>, Vec<Vec<Launch>>),
    Convolution(Work),
}

impl Prepared {
    /// Copies the numbers of an operation to `gpu`, for values that are stored as `number`.
    pub(super) fn new(gpu: &Gpu, operation: OnGpu, number: Number) -> Result<Self> {
        match operation {
            OnGpu::Kernels(Kernels { constants, keeps, forward, pullback }) => {
                let upload = |numbers: &Constants| match numbers {
                    Constants::Floats(numbers) => gpu.upload(numbers),
                    Constants::Ints(numbers) => gpu.upload(numbers),
                };
                let constants = constants.iter().map(upload).collect::<Result<_>>()?;
                Ok(Self { constants, keeps, how: How::Kernels(forward, pullback) })
            }
            OnGpu::Convolution(convolution) => {
                let Convolution { weight, bias, relu, geometry } = *convolution;
                let work = Work { geometry, relu, bias: bias.is_some() };
                let bias = bias.unwrap_or_default();
                let constants = match number {
                    Number::F32 => vec![gpu.upload(&weight)?, gpu.upload(&bias)?],
                    Number::Bf16 => {
                        let half = |numbers: &[f32]| {
                            let numbers: Vec<bf16> =
                                numbers.iter().map(|w| bf16::from_f32(*w)).collect();
                            gpu.upload(&numbers)
                        };
                        vec![half(&weight)?, gpu.upload(&bias)?, half(&bias)?]
                    }
                };
                let keeps = if relu { Keeps::Bits } else { Keeps::Nothing };
                Ok(Self { constants, keeps, how: How::Convolution(work) })
            }
        }
    }

    /// Where constants are; nowhere, if there are none.
    pub(super) fn constant(&self, which: usize) -> Address {
        match self.constants.get(which) {
            Some(memory) if memory.bytes() > 0 => memory.at(),
            _ => NONE,
        }
    }
}

impl Runner {
    /// Computes the value that step `i` makes.
    pub(super) fn step(&self, batch: &Batch<'_>, i: usize) -> Result<()> {
        match &self.steps[i].how {
            How::Kernels(forward, _) => {
                forward.iter().try_for_each(|launch| self.launch(batch, i, launch, (NONE, false)))
            }
            How::Convolution(work) => self.convolve(batch, i, work),
        }
    }

    /// The cotangent of the value that step `i` reads as its input number `which`; `add` if it has been
    /// written to before.
    pub(super) fn step_back(
        &self,
        batch: &Batch<'_>,
        i: usize,
        which: usize,
        add: bool,
    ) -> Result<()> {
        let gx = self.cotangent_of(batch, self.program.steps()[i].inputs[which]);
        match &self.steps[i].how {
            How::Kernels(_, pullback) => {
                let mut launches = pullback.get(which).into_iter().flatten();
                launches.try_for_each(|launch| self.launch(batch, i, launch, (gx, add)))
            }
            How::Convolution(work) => self.convolve_back(batch, i, work, (gx, add)),
        }
    }

    /// Starts a kernel of step `i`; on the way back the result goes to `gx`.
    fn launch(
        &self,
        batch: &Batch<'_>,
        i: usize,
        launch: &Launch,
        (gx, add): (Address, bool),
    ) -> Result<()> {
        let (inputs, y, n) = (&self.program.steps()[i].inputs, i + 1, batch.images);
        let argument = |slot: &Slot| match *slot {
            Slot::X(which) => self.value(batch, inputs[which]).into(),
            Slot::Y => self.value(batch, y).into(),
            Slot::G => self.cotangent_of(batch, y).into(),
            Slot::Gx => gx.into(),
            Slot::Constant(which) => self.steps[i].constant(which).into(),
            Slot::Kept(words) => match self.kept(batch, i) {
                NONE => NONE.into(),
                kept => (kept + 4 * (words * n) as Address).into(),
            },
            Slot::Nowhere => NONE.into(),
            Slot::Count(elements) => size(n * elements),
            Slot::Int(number) => number.into(),
            Slot::Float(number) => number.into(),
            Slot::Double(number) => number.into(),
            Slot::Add => add.into(),
        };
        let arguments: Vec<Argument> = launch.slots.iter().map(argument).collect();
        let threads = (n * launch.elements).div_ceil(launch.each);
        batch.gpu.launch_for(self.number_of(i), launch.kernel, threads, &arguments)
    }
}
