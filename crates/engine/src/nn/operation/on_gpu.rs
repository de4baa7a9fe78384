//! What a GPU is told of an operation: the numbers that its kernels read, which kernels are started with which
//! arguments on the way forward and back, and what is kept in between. All sizes are those of one image, and
//! there are no addresses: `cuda` fills them in. Nothing here knows a device.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::conv2d::Geometry;

/// How an operation runs on a GPU.
#[derive(Debug, Clone)]
pub enum OnGpu {
    /// By kernels of `kernels/`.
    Kernels(Kernels),
    /// As a convolution, by cuDNN if it can.
    Convolution(Box<Convolution>),
}

/// A convolution whose padding is the same above and below, and left and right.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// `[O, kh, kw, I / groups]`.
    pub weight: Vec<f32>,
    /// `[O]`.
    pub bias: Option<Vec<f32>>,
    /// Cut at 0.
    pub relu: bool,
    /// Everything else about it.
    pub geometry: Geometry,
}

/// An operation as launches of kernels.
#[derive(Debug, Clone)]
pub struct Kernels {
    /// Numbers that stay in the memory of the GPU.
    pub constants: Vec<Constants>,
    /// What the pullback needs of the forward pass.
    pub keeps: Keeps,
    /// From the inputs to the output.
    pub forward: Vec<Launch>,
    /// For each input, from the cotangent of the output to that of the input.
    pub pullback: Vec<Vec<Launch>>,
}

/// Constant numbers.
#[derive(Debug, Clone)]
pub enum Constants {
    /// Weights.
    Floats(Vec<f32>),
    /// Places and the like.
    Ints(Vec<i32>),
}

/// What the pullback of an operation needs of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    Nothing,
    /// The values it reads.
    Inputs,
    /// The values it reads, and so many numbers for each image besides.
    Scores(usize),
    /// A bit for each element of the output: it is above 0.
    Bits,
    /// A byte for each element of the output: where in its window the maximum was.
    Origins,
}

/// A launch of a kernel.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Elements of one image that it works on.
    pub elements: usize,
    /// Elements that one of its threads works on.
    pub each: usize,
    /// Its arguments.
    pub slots: Vec<Slot>,
}

/// An argument of a kernel, as far as an operation knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slot {
    /// Where an input is.
    X(usize),
    /// Where the output is.
    Y,
    /// Where the cotangent of the output is.
    G,
    /// Where that of the input is, which is asked for.
    Gx,
    /// Where these constants are.
    Constant(usize),
    /// What is kept, behind so many words of each image.
    Kept(usize),
    /// No address.
    Nowhere,
    /// A number of elements: so many for each image.
    Count(usize),
    /// A side, a number of channels, a choice.
    Int(usize),
    /// f32.
    Float(f32),
    /// f64.
    Double(f64),
    /// Whether the result is added to what is there, because another reader of the input wrote it.
    Add,
}

impl From<usize> for Slot {
    fn from(number: usize) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Slot {
    fn from(yes: bool) -> Self {
        Self::Int(yes.into())
    }
}

impl From<f32> for Slot {
    fn from(number: f32) -> Self {
        Self::Float(number)
    }
}

impl From<f64> for Slot {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

/// The arguments of a kernel, in its order.
macro_rules! slots {
    ($($slot:expr),* $(,)?) => { vec![$(crate::nn::operation::Slot::from($slot)),*] };
}
pub(super) use slots;

impl Launch {
    /// A kernel with a thread for each element.
    pub fn new(kernel: &'static str, elements: usize, slots: Vec<Slot>) -> Self {
        Self { kernel, elements, each: 1, slots }
    }

    /// A kernel with a thread for every eight elements of the batch.
    pub fn eights(kernel: &'static str, elements: usize, slots: Vec<Slot>) -> Self {
        Self { each: 8, ..Self::new(kernel, elements, slots) }
    }

    /// `factor` times the cotangent of `len` elements of the output, for those of the input.
    pub(super) fn scaled_cotangent(len: usize, factor: f32) -> Self {
        let slots = slots![Slot::G, factor, Slot::Gx, Slot::Count(len), Slot::Add];
        Self::eights("scale", len, slots)
    }
}

impl Kernels {
    /// A kernel forward and one back, of an operation with one input, no constants and nothing kept.
    pub(super) fn new(forward: Launch, pullback: Launch) -> Self {
        Self {
            constants: Vec::new(),
            keeps: Keeps::Nothing,
            forward: vec![forward],
            pullback: vec![vec![pullback]],
        }
    }

    /// With numbers that the kernels read.
    pub(super) fn with(mut self, constants: impl IntoIterator<Item = Vec<f32>>) -> Self {
        self.constants = constants.into_iter().map(Constants::Floats).collect();
        self
    }

    /// With something kept for the pullback.
    pub(super) fn keeping(mut self, keeps: Keeps) -> Self {
        self.keeps = keeps;
        self
    }

    /// A function of each of `len` elements, number `kind` of `kernels/map.cu` with its constants.
    pub(super) fn map(kind: usize, len: usize, [alpha, beta]: [f32; 2]) -> Self {
        let count = Slot::Count(len);
        let forward = slots![kind, Slot::X(0), Slot::Y, count, alpha, beta];
        let back = slots![kind, Slot::X(0), Slot::G, Slot::Gx, count, alpha, beta, Slot::Add];
        Self::new(Launch::new("map", len, forward), Launch::new("map_pullback", len, back))
            .keeping(Keeps::Inputs)
    }

    /// A function of all values of an image, a thread for each image.
    pub(super) fn of_whole(names: [&'static str; 2], shape: Shape) -> Self {
        Self::of_rows(names, Shape::Flat(shape.len()))
    }

    /// A function of the channels of every pixel, or of a vector, a thread for each.
    pub(super) fn of_rows([kernel, pullback]: [&'static str; 2], shape: Shape) -> Self {
        let length = shape.channels();
        let rows = shape.len() / length.max(1);
        let count = Slot::Count(rows);
        let forward = slots![Slot::X(0), Slot::Y, count, length];
        let back = slots![Slot::X(0), Slot::G, Slot::Gx, count, length, Slot::Add];
        Self::new(Launch::new(kernel, rows, forward), Launch::new(pullback, rows, back))
            .keeping(Keeps::Inputs)
    }

    /// Number `index[i]` of an image of `from` as number `i` of one of `to`, a constant where that is negative;
    /// without an index, all of them as they are.
    pub(super) fn moves(from: Shape, to: Shape, index: Option<&[i32]>, fill: f32) -> Self {
        // In bf16 images are stored otherwise than vectors.
        let [kernel, pullback] = match (from, to) {
            (Shape::Image { .. }, Shape::Flat(_)) => ["pick_vector", "pick_vector_pullback"],
            (Shape::Flat(_), Shape::Image { .. }) => ["pick_image", "pick_image_pullback"],
            _ => ["pick", "pick_pullback"],
        };
        let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
        let constant = |which| if index.is_some() { Slot::Constant(which) } else { Slot::Nowhere };
        let (of_input, of_output) = (from.len(), to.len());
        let forward = slots![Slot::X(0), constant(0), Slot::Y, count, of_input, of_output, fill];
        let [starts, places] = [1, 2].map(constant);
        let back = slots![Slot::G, starts, places, Slot::Gx, all, of_input, of_output, Slot::Add];
        let forward = Launch::new(kernel, to.len(), forward);
        let kernels = Self::new(forward, Launch::new(pullback, from.len(), back));
        let constants = index.map(|index| {
            let [starts, places] = readers(index, from.len());
            [index.to_vec(), starts, places].map(Constants::Ints).into()
        });
        Self { constants: constants.unwrap_or_default(), ..kernels }
    }

    /// Rows of the outputs of several inputs side by side: every input has `lengths` of the numbers of a
    /// row of the output.
    pub(super) fn side_by_side(inputs: &[Shape], lengths: &[usize]) -> Self {
        let whole: usize = lengths.iter().sum();
        let (mut forward, mut pullback, mut first) = (Vec::new(), Vec::new(), 0);
        for (i, (input, length)) in inputs.iter().zip(lengths).enumerate() {
            let (len, count) = (input.len(), Slot::Count(input.len()));
            let place = slots![Slot::X(i), Slot::Y, count, whole, first, *length];
            forward.push(Launch::new("place", len, place));
            let part = slots![Slot::G, Slot::Gx, count, whole, first, *length, Slot::Add];
            pullback.push(vec![Launch::new("part", len, part)]);
            first += length;
        }
        Self { constants: Vec::new(), keeps: Keeps::Nothing, forward, pullback }
    }
}

impl From<Kernels> for OnGpu {
    fn from(kernels: Kernels) -> Self {
        Self::Kernels(kernels)
    }
}

/// For each of `count` places the elements of `index` that name it, in ascending order: where those of each
/// place begin, and the elements.
fn readers(index: &[i32], count: usize) -> [Vec<i32>; 2] {
    let mut read: Vec<(i32, i32)> =
        index.iter().zip(0..).filter(|(place, _)| **place >= 0).map(|(p, i)| (*p, i)).collect();
    read.sort_unstable();
    let starts =
        (0..=count).map(|place| read.partition_point(|(p, _)| (*p as usize) < place) as i32);
    [starts.collect(), read.iter().map(|(_, element)| *element).collect()]
}

/// The numbers of a tensor, in row-major order.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
