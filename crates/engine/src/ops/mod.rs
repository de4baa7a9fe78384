//! The hot operations of the frozen engine, on NHWC tensors. An operation has a CPU form here; the
//! layers of `nn` call it by name and never see a slice. Every form is deterministic and treats each
//! image alone: the bits of an image do not depend on its place in a batch or on the batch's size.
//! Operations run on the calling thread; the network above splits a batch over threads by image.

pub mod activation;
pub mod affine;
pub mod attention;
pub mod bf16;
pub mod conv2d;
pub mod covariance_attention;
pub mod elementwise;
mod fresh;
pub mod layer_norm;
pub mod layout;
pub mod multiply;
mod normal;
pub mod pick;
pub mod pool;
pub mod product;
pub mod scratch;

use candle_core::{Storage, Tensor, WithDType};

use crate::error::Result;

/// f32, in which networks run, and f64, in which their gradients are tested.
pub trait Real: WithDType + num_traits::Float + num_traits::NumAssignOps + Default {
    /// The standard normal distribution function and its density.
    fn normal(self) -> (Self, Self);
}

impl Real for f32 {
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        normal::narrow(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        normal::wide(self)
    }
}

/// Calls `$f::<f32>` or `$f::<f64>` according to the type of a tensor.
macro_rules! for_real {
    ($tensor:expr, $f:ident ( $($arg:expr),* $(,)? )) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => $f::<f32>($($arg),*),
            candle_core::DType::F64 => $f::<f64>($($arg),*),
            other => Err(candle_core::Error::Msg(format!(
                "{} works on f32 and f64 tensors, not on {other:?}", stringify!($f)
            )).into()),
        }
    };
}
pub(crate) use for_real;

/// Lends the elements of a CPU tensor, in row-major order.
///
/// # Errors
/// If the tensor is on another device or of another type.
pub fn with_slice<T: WithDType, R>(
    tensor: &Tensor,
    read: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(candle_core::Error::Msg("this operation runs on CPU tensors".into()).into());
    };
    let all = T::cpu_storage_as_slice(storage)?;
    read(&all[layout.start_offset()..][..layout.shape().elem_count()])
}
