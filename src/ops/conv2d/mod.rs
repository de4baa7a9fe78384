//! Convolution of NHWC images with fixed weights: the forward pass and its pullback to the images.
//! There is no weight gradient: a network under test is frozen. Weights come packed for the matrix
//! product ([`pack_forward`], [`pack_backward`]), once per network.

mod cpu;

use candle_core::Tensor;

use crate::error::Result;
use crate::ops::for_real;

/// Zero padding of the four sides, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all sides.
    pub fn all(pixels: usize) -> Self {
        Self { top: pixels, bottom: pixels, left: pixels, right: pixels }
    }
}

/// Everything about a convolution but its weights and the size of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Zero padding.
    pub padding: Padding,
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Number of groups of channels that do not see each other.
    pub groups: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
}

impl Geometry {
    /// Height and width of the output for an input of this size; `None` if the kernel does not fit.
    pub fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let p = self.padding;
        let along = |size: usize, axis: usize| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            Some(size.checked_sub(reach)? / self.stride[axis] + 1)
        };
        Some([along(height + p.top + p.bottom, 0)?, along(width + p.left + p.right, 1)?])
    }

    /// Input channels of one group.
    pub(crate) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of one group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Length of the dot product behind one output value.
    pub(crate) fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_inputs()
    }

    /// Whether the pullback is computed as a convolution of the cotangent with the turned kernel. It
    /// needs stride 1; with very few input channels the other form has the better-shaped product.
    pub(crate) fn pullback_is_convolution(&self) -> bool {
        self.stride == [1, 1] && self.group_inputs() >= 8 && self.turned().is_some()
    }

    /// The convolution that maps the cotangent to the gradient, for stride 1.
    pub(crate) fn turned(&self) -> Option<Self> {
        let p = self.padding;
        let reach = [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1));
        Some(Self {
            padding: Padding {
                top: reach[0].checked_sub(p.top)?,
                bottom: reach[0].checked_sub(p.bottom)?,
                left: reach[1].checked_sub(p.left)?,
                right: reach[1].checked_sub(p.right)?,
            },
            inputs: self.outputs,
            outputs: self.inputs,
            ..*self
        })
    }
}

/// Packs weights `[O, I / groups, kh, kw]` for [`forward`].
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn pack_forward(weight: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    for_real!(weight, pack_forward_cpu(weight, geometry))
}

/// Packs weights `[O, I / groups, kh, kw]` for [`pullback`].
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn pack_backward(weight: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    for_real!(weight, pack_backward_cpu(weight, geometry))
}

/// Convolves `x` `[N, H, W, I]` with packed weights and adds `bias` `[O]`; gives `[N, H', W', O]`.
///
/// # Errors
/// If the kernel does not fit into the padded image or a tensor is not on the CPU.
pub fn forward(
    x: &Tensor,
    packed: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
) -> Result<Tensor> {
    for_real!(x, forward_cpu(x, packed, bias, geometry))
}

/// Gradient `[N, height, width, I]` for a cotangent `g` `[N, H', W', O]`; `size` is the input's
/// height and width, `packed` comes from [`pack_backward`].
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn pullback(
    g: &Tensor,
    packed: &Tensor,
    size: [usize; 2],
    geometry: &Geometry,
) -> Result<Tensor> {
    for_real!(g, pullback_cpu(g, packed, size, geometry))
}

use cpu::{forward_cpu, pack_backward_cpu, pack_forward_cpu, pullback_cpu};
