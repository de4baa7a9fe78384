//! Plans of convolutions: cuDNN's descriptors for a shape and batch size, and the algorithm that its
//! heuristics rank first, of those that give the same bits every time and whose workspace is not too large.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::transmute;

use cudarc::cudnn::result::{self, CudnnError};
use cudarc::cudnn::sys;

use crate::device::Precision;
use crate::ops::conv2d::Geometry;

/// Workspaces larger than this and than a 32nd of the memory of the GPU are refused.
const MOST_WORKSPACE: usize = 512 << 20;

/// Numbers of algorithms that cuDNN knows, for either direction.
const FORWARD_ALGORITHMS: u32 = 8;
const BACKWARD_ALGORITHMS: u32 = 6;

/// `[H, W, C]`.
type Sides = [usize; 3];

/// One convolution as cuDNN has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) images: usize,
    pub(super) input: Sides,
    pub(super) output: Sides,
    pub(super) geometry: Geometry,
    /// In bf16 the tensors are, the weight and the bias among them.
    pub(super) precision: Precision,
    pub(super) backward: bool,
    /// The result is added to what is there. cuDNN may refuse that of an algorithm that it has run otherwise.
    pub(super) add: bool,
}

/// Descriptors and the algorithm.
pub(super) struct ConvolutionPlan {
    pub(super) input: sys::cudnnTensorDescriptor_t,
    pub(super) output: sys::cudnnTensorDescriptor_t,
    pub(super) bias: sys::cudnnTensorDescriptor_t,
    pub(super) weight: sys::cudnnFilterDescriptor_t,
    pub(super) convolution: sys::cudnnConvolutionDescriptor_t,
    pub(super) algorithm: u32,
    pub(super) workspace: usize,
    /// Whether it can add a bias, without and with ReLU; not tried yet if nothing.
    pub(super) with_bias: [Option<bool>; 2],
    /// It has run once: what it refuses from then on is an error.
    pub(super) proven: bool,
}

/// What cuDNN says of an algorithm. The fields that cudarc has as enums are numbers here: a newer cuDNN
/// may use values that they do not know.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Performance {
    algorithm: u32,
    status: u32,
    time: f32,
    memory: usize,
    determinism: u32,
    math: u32,
    reserved: [c_int; 3],
}

const _: () = assert!(
    size_of::<Performance>() == size_of::<sys::cudnnConvolutionFwdAlgoPerf_t>()
        && size_of::<Performance>() == size_of::<sys::cudnnConvolutionBwdDataAlgoPerf_t>()
);

impl ConvolutionPlan {
    /// Descriptors, and the first algorithm that will do; `None` if there is none. `memory` is that of the GPU,
    /// in bytes.
    pub(super) fn new(
        handle: sys::cudnnHandle_t,
        key: &Key,
        memory: usize,
    ) -> Result<Option<Self>, CudnnError> {
        let mut plan = Self::described(key)?;
        let Self { input, output, weight, convolution, .. } = plan;
        let mut found = [Performance::default(); 16];
        let (asked, mut count) = (found.len() as c_int, 0);
        let list = found.as_mut_ptr();
        // SAFETY: `found` has room for as many entries as are asked for, of cuDNN's own layout.
        unsafe {
            if key.backward {
                result::get_convolution_backward_data_algorithm(
                    handle,
                    weight,
                    output,
                    convolution,
                    input,
                    asked,
                    &mut count,
                    list.cast(),
                )?;
            } else {
                result::get_convolution_forward_algorithm(
                    handle,
                    input,
                    weight,
                    convolution,
                    output,
                    asked,
                    &mut count,
                    list.cast(),
                )?;
            }
        }
        let known = if key.backward { BACKWARD_ALGORITHMS } else { FORWARD_ALGORITHMS };
        let tensor = sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
        let converting = sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION as u32;
        let chosen = found[..count.max(0) as usize].iter().find(|one| {
            one.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS as u32
                && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC as u32
                && one.memory <= MOST_WORKSPACE.max(memory / 32)
                && one.algorithm < known
                && one.math != converting
                // One that computes in less than f32 is none for f32.
                && (key.precision != Precision::F32 || one.math != tensor as u32)
        });
        let Some(chosen) = chosen else { return Ok(None) };
        plan.algorithm = chosen.algorithm;
        // SAFETY: the descriptors are the plan's own; the algorithm number was checked.
        plan.workspace = unsafe {
            if chosen.math == tensor as u32 {
                result::set_convolution_math_type(convolution, tensor)?;
            }
            if key.backward {
                result::get_convolution_backward_data_workspace_size(
                    handle,
                    weight,
                    output,
                    convolution,
                    input,
                    transmute::<u32, sys::cudnnConvolutionBwdDataAlgo_t>(chosen.algorithm),
                )
            } else {
                result::get_convolution_forward_workspace_size(
                    handle,
                    input,
                    weight,
                    convolution,
                    output,
                    transmute::<u32, sys::cudnnConvolutionFwdAlgo_t>(chosen.algorithm),
                )
            }
        }?;
        Ok(Some(plan))
    }

    /// The descriptors of a convolution, without an algorithm yet.
    fn described(key: &Key) -> Result<Self, CudnnError> {
        let plan = Self {
            input: result::create_tensor_descriptor()?,
            output: result::create_tensor_descriptor()?,
            bias: result::create_tensor_descriptor()?,
            weight: result::create_filter_descriptor()?,
            convolution: result::create_convolution_descriptor()?,
            algorithm: 0,
            workspace: 0,
            with_bias: [None; 2],
            proven: false,
        };
        let Geometry { kernel: [kh, kw], stride, padding, dilation, groups, inputs, outputs } =
            key.geometry;
        let int = |number: usize| number as c_int;
        let float = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
        let nhwc = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let (number, math) = match key.precision {
            Precision::F32 => (float, sys::cudnnMathType_t::CUDNN_FMA_MATH),
            Precision::Tf32 => (float, sys::cudnnMathType_t::CUDNN_DEFAULT_MATH),
            Precision::Bf16 => (
                sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
                sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            ),
        };
        // SAFETY: all descriptors have just been made.
        unsafe {
            for (descriptor, [h, w, c]) in [(plan.input, key.input), (plan.output, key.output)] {
                let sides = [int(key.images), int(c), int(h), int(w)];
                result::set_tensor4d_descriptor(descriptor, nhwc, number, sides)?;
            }
            result::set_tensor4d_descriptor(plan.bias, nhwc, number, [1, int(outputs), 1, 1])?;
            let sides = [int(outputs), int(inputs / groups), int(kh), int(kw)];
            result::set_filter4d_descriptor(plan.weight, number, nhwc, sides)?;
            result::set_convolution2d_descriptor(
                plan.convolution,
                int(padding.top),
                int(padding.left),
                int(stride[0]),
                int(stride[1]),
                int(dilation[0]),
                int(dilation[1]),
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                float,
            )?;
            result::set_convolution_group_count(plan.convolution, int(groups))?;
            result::set_convolution_math_type(plan.convolution, math)?;
        }
        Ok(plan)
    }
}

impl Drop for ConvolutionPlan {
    fn drop(&mut self) {
        // SAFETY: made by `plan`, destroyed once. What they return cannot be acted upon.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.input);
            let _ = result::destroy_tensor_descriptor(self.output);
            let _ = result::destroy_tensor_descriptor(self.bias);
            let _ = result::destroy_filter_descriptor(self.weight);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}
