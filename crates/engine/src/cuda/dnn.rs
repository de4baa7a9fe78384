//! Convolutions by cuDNN: forward and backward-data on NHWC tensors, each by its [`ConvolutionPlan`], which is made
//! once for every shape and number of images.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::mem::transmute;
use std::ptr::from_ref;
use std::sync::{Mutex, PoisonError};

use cudarc::cudnn::result::{self, CudnnError};
use cudarc::cudnn::sys;
use cudarc::driver::CudaStream;
use half::bf16;

use super::gpu::{Address, Gpu, Memory};
use super::graph::is_recording;
use super::plan::{ConvolutionPlan, Key};
use crate::device::Precision;
use crate::error::Result;

/// Every bucket of batch sizes has plans of its own; beyond so many they are made again.
const MOST_PLANS: usize = 1 << 14;

/// The workspace is at least this large where there is memory for it: every time that it grows, all graphs are
/// recorded again, and a smaller batch may want a larger one.
const LEAST_WORKSPACE: usize = 64 << 20;

/// The oldest version whose statuses and algorithms are those that cudarc knows, as cuDNN counts.
const OLDEST_VERSION: usize = 90_000;

/// `CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM`, which can add a bias.
const WITH_BIAS: u32 = 1;

/// cuDNN on one stream.
pub(super) struct Dnn {
    handle: sys::cudnnHandle_t,
    /// None if they could not be made.
    activations: Option<Activations>,
    state: Mutex<State>,
}

/// What follows a bias: nothing, or ReLU.
struct Activations([sys::cudnnActivationDescriptor_t; 2]);

#[derive(Default)]
struct State {
    plans: HashMap<Key, Option<ConvolutionPlan>>,
    workspace: Option<Memory>,
    /// How often the workspace has moved or plans were thrown away, which graphs may hold.
    changes: u64,
    /// It was said that a plain kernel had to do.
    warned: bool,
}

// SAFETY: a handle may be used by any thread, by one at a time; the lock around `state` sees to that.
unsafe impl Send for Dnn {}
// SAFETY: as above.
unsafe impl Sync for Dnn {}

impl Dnn {
    /// cuDNN on `stream`; `None` if it is not installed, or too old.
    pub(super) fn open(stream: &CudaStream) -> Result<Option<Self>, CudnnError> {
        // SAFETY: opens the library, as every call below does. With `candle-cuda` it is linked, so it is here.
        #[cfg(not(feature = "candle-cuda"))]
        if !unsafe { sys::is_culib_present() } {
            return Ok(None);
        }
        let version = result::get_version();
        if version < OLDEST_VERSION {
            tracing::warn!("cuDNN {} is not used: version 9 or later is needed", Self::version());
            return Ok(None);
        }
        let handle = result::create_handle()?;
        // SAFETY: both are open; CUstream and cudaStream_t are the same type by CUDA's documentation.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }?;
        let activations = Activations::new().inspect_err(|error| {
            tracing::debug!(%error, "cuDNN makes no activations");
        });
        Ok(Some(Self { handle, activations: activations.ok(), state: Mutex::default() }))
    }

    /// Version of the library, as `9.1.0`.
    pub(super) fn version() -> String {
        let version = result::get_version();
        // Up to version 8 thousands were the first part.
        let major = if version < OLDEST_VERSION { 1000 } else { 10_000 };
        format!("{}.{}.{}", version / major, version % major / 100, version % 100)
    }

    /// A number that is another one after anything has changed of what earlier convolutions used.
    pub(super) fn changes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// What `launch` gives, if [`Dnn::changes`] is still `changes`; nothing changes meanwhile.
    pub(super) fn while_unchanged<T>(&self, changes: u64, launch: impl FnOnce() -> T) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.changes == changes).then(launch)
    }

    /// How many plans there are.
    #[cfg(test)]
    pub(super) fn plans(&self) -> usize {
        self.state.lock().unwrap().plans.len()
    }

    /// Convolves `x` with `weight` into `y`; with `backward` maps the cotangent `x` of the output to that
    /// of the input. `false` if cuDNN has no algorithm for it.
    pub(super) fn convolve(
        &self,
        gpu: &Gpu,
        key: Key,
        [x, weight, y]: [Address; 3],
    ) -> Result<bool> {
        // Before the lock of the state: a thread that records a graph has both in this order.
        let _guard = gpu.use_stream();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { plans, workspace, changes, warned } = &mut *state;
        let slot = self.slot(gpu, key, plans, changes)?;
        if let Some(plan) = slot {
            let place = room(gpu, plan.workspace, workspace, changes)?;
            match self.run(plan, &key, [x, weight, y, place]) {
                Ok(()) => {
                    plan.proven = true;
                    return Ok(true);
                }
                Err(error) if plan.proven => return Err(gpu.fails("convolve", error)),
                Err(error) => tracing::debug!(%error, ?key, "cuDNN refuses its own algorithm"),
            }
            *slot = None;
        }
        if !std::mem::replace(warned, true) {
            let [h, w, c] = key.input;
            tracing::warn!(
                "cuDNN has no algorithm for a convolution of {h}x{w}x{c}, batch {}: a plain kernel takes \
                 its place",
                key.images
            );
        }
        Ok(false)
    }

    /// Convolves `x` with `weight` into `y`, adds `bias` and cuts at 0 with `relu`, in one kernel. `false` if
    /// cuDNN does not: then nothing that counts was done.
    ///
    /// Only one algorithm of cuDNN's can do it, so it does where that is the one it ranks first anyway. A
    /// NaN has to stay one, or a broken network would count as a robust one; cuDNN is asked for it and
    /// believed when a NaN has come through.
    pub(super) fn convolve_with_bias(
        &self,
        gpu: &Gpu,
        key: Key,
        [x, weight, bias, y]: [Address; 4],
        relu: bool,
    ) -> Result<bool> {
        let Some(activations) = &self.activations else { return Ok(false) };
        let _guard = gpu.use_stream();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { plans, workspace, changes, .. } = &mut *state;
        let Some(plan) = self.slot(gpu, key, plans, changes)? else { return Ok(false) };
        let known = plan.with_bias[usize::from(relu)];
        if plan.algorithm != WITH_BIAS || known == Some(false) {
            return Ok(false);
        }
        let place = room(gpu, plan.workspace, workspace, changes)?;
        let run = |bias| {
            let activation = activations.0[usize::from(relu)];
            self.run_with_bias(plan, activation, [x, weight, bias, y, place])
        };
        if known == Some(true) {
            run(bias).map_err(|error| gpu.fails("convolve", error))?;
            return Ok(true);
        }
        if is_recording() {
            return Err(gpu.fails("record a convolution", "cuDNN has not run it yet"));
        }
        let nan = match key.precision {
            Precision::Bf16 => gpu.upload(&vec![bf16::NAN; key.geometry.outputs])?,
            _ => gpu.upload(&vec![f32::NAN; key.geometry.outputs])?,
        };
        let tried = run(nan.at());
        let works = match &tried {
            Ok(()) => {
                let came_through = match key.precision {
                    Precision::Bf16 => ends(gpu, &key, y, bf16::ZERO)?.iter().all(|v| v.is_nan()),
                    _ => ends(gpu, &key, y, 0.0_f32)?.iter().all(|v| v.is_nan()),
                };
                came_through && run(bias).is_ok()
            }
            Err(_) => false,
        };
        if !works {
            let error = tried.err();
            tracing::debug!(?error, relu, ?key, "cuDNN does not add a bias as it should");
        }
        plan.with_bias[usize::from(relu)] = Some(works);
        Ok(works)
    }

    /// The plan for `key`, made if there is none yet.
    fn slot<'a>(
        &self,
        gpu: &Gpu,
        key: Key,
        plans: &'a mut HashMap<Key, Option<ConvolutionPlan>>,
        changes: &mut u64,
    ) -> Result<&'a mut Option<ConvolutionPlan>> {
        if is_recording() && !plans.contains_key(&key) {
            return Err(gpu.fails("record a convolution", "cuDNN has not run it yet"));
        }
        if plans.len() > MOST_PLANS && !is_recording() {
            plans.clear();
            *changes += 1;
        }
        Ok(match plans.entry(key) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(place) => place.insert(
                ConvolutionPlan::new(self.handle, &key, gpu.memory()).unwrap_or_else(|error| {
                    tracing::debug!(%error, ?key, "cuDNN plans nothing");
                    None
                }),
            ),
        })
    }

    /// Runs a plan on `[x, weight, bias, y, workspace]`.
    fn run_with_bias(
        &self,
        plan: &ConvolutionPlan,
        activation: sys::cudnnActivationDescriptor_t,
        [x, weight, bias, y, workspace]: [Address; 5],
    ) -> Result<(), CudnnError> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let [one, zero] = [&one, &zero].map(|number| from_ref(number).cast::<c_void>());
        // SAFETY: as for `run`; the bias has a number for each output channel. A second summand has to be
        // named, which may be `y` and is not read when its factor is 0.
        unsafe {
            result::convolution_bias_activation_forward(
                self.handle,
                one,
                plan.input,
                x as *const c_void,
                plan.weight,
                weight as *const c_void,
                plan.convolution,
                transmute::<u32, sys::cudnnConvolutionFwdAlgo_t>(plan.algorithm),
                workspace as *mut c_void,
                plan.workspace,
                zero,
                plan.output,
                y as *const c_void,
                plan.bias,
                bias as *const c_void,
                activation,
                plan.output,
                y as *mut c_void,
            )
        }
    }

    /// Runs a plan on `[x, weight, y, workspace]`.
    fn run(
        &self,
        plan: &ConvolutionPlan,
        key: &Key,
        [x, weight, y, workspace]: [Address; 4],
    ) -> Result<(), CudnnError> {
        let (one, before) = (1.0_f32, if key.add { 1.0_f32 } else { 0.0 });
        let (one, before) = (from_ref(&one).cast::<c_void>(), from_ref(&before).cast::<c_void>());
        // SAFETY: descriptors live as long as `self`; the addresses have room for the tensors they
        // describe, which the caller has from the same shapes; the workspace is as large as cuDNN asked
        // for; algorithm numbers were checked against those that the enum has.
        unsafe {
            if key.backward {
                result::convolution_backward_data(
                    self.handle,
                    one,
                    plan.weight,
                    weight as *const c_void,
                    plan.output,
                    x as *const c_void,
                    plan.convolution,
                    transmute::<u32, sys::cudnnConvolutionBwdDataAlgo_t>(plan.algorithm),
                    workspace as *mut c_void,
                    plan.workspace,
                    before,
                    plan.input,
                    y as *mut c_void,
                )
            } else {
                result::convolution_forward(
                    self.handle,
                    one,
                    plan.input,
                    x as *const c_void,
                    plan.weight,
                    weight as *const c_void,
                    plan.convolution,
                    transmute::<u32, sys::cudnnConvolutionFwdAlgo_t>(plan.algorithm),
                    workspace as *mut c_void,
                    plan.workspace,
                    before,
                    plan.output,
                    y as *mut c_void,
                )
            }
        }
    }
}

/// Where cuDNN may write `bytes` bytes; a larger place is another one.
fn room(
    gpu: &Gpu,
    bytes: usize,
    workspace: &mut Option<Memory>,
    changes: &mut u64,
) -> Result<Address> {
    if let Some(memory) = workspace
        && memory.bytes() >= bytes
    {
        return Ok(memory.at());
    }
    *workspace = None;
    *changes += 1;
    let memory = match gpu.allocate(bytes.max(LEAST_WORKSPACE)) {
        Err(error) if error.is_out_of_memory() && bytes < LEAST_WORKSPACE => gpu.allocate(bytes),
        other => other,
    };
    Ok(workspace.insert(memory?).at())
}

/// The first and the last pixel of the output `y`.
fn ends<T: Copy>(gpu: &Gpu, key: &Key, y: Address, zero: T) -> Result<Vec<T>> {
    let channels = key.geometry.outputs;
    let last = key.images * key.output.iter().product::<usize>() - channels;
    let mut numbers = vec![zero; 2 * channels];
    let (first, second) = numbers.split_at_mut(channels);
    gpu.read(y, first)?;
    gpu.read(y + (last * size_of::<T>()) as Address, second)?;
    Ok(numbers)
}

impl Activations {
    fn new() -> Result<Self, CudnnError> {
        use sys::cudnnActivationMode_t::{CUDNN_ACTIVATION_IDENTITY, CUDNN_ACTIVATION_RELU};
        let create = result::create_activation_descriptor;
        let made = Self([create()?, create()?]);
        use sys::cudnnNanPropagation_t::{CUDNN_NOT_PROPAGATE_NAN, CUDNN_PROPAGATE_NAN};
        // NaN goes through the identity anyway, and cuDNN may refuse to fuse what promises it.
        let kinds = [
            (CUDNN_ACTIVATION_IDENTITY, CUDNN_NOT_PROPAGATE_NAN),
            (CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN),
        ];
        for (descriptor, (mode, nan)) in made.0.into_iter().zip(kinds) {
            // SAFETY: the descriptor has just been made. The last number bounds ReLU from above.
            unsafe { result::set_activation_descriptor(descriptor, mode, nan, f64::MAX) }?;
        }
        Ok(made)
    }
}

impl Drop for Activations {
    fn drop(&mut self) {
        for descriptor in self.0 {
            // SAFETY: made by `new`, destroyed once. What it returns cannot be acted upon.
            let _ = unsafe { sys::cudnnDestroyActivationDescriptor(descriptor) };
        }
    }
}

impl Drop for Dnn {
    fn drop(&mut self) {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).plans.clear();
        // SAFETY: nothing uses it any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}
