//! One GPU: its context, the kernels of `kernels/`, memory, and cuDNN where it is installed. All work of
//! a GPU is put on one stream, so it happens in the order of the calls.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, LaunchConfig,
    PushKernelArg as _, result, sys,
};
use cudarc::nvrtc::Ptx;

use super::Argument;
use super::dnn::Dnn;
use super::graph::is_recording;
use super::layout::Number;
use super::staging::Staging;
pub(super) use super::store::Memory;
use super::store::Store;
use crate::error::{Error, OUT_OF_MEMORY, Result};

/// The image that `build.rs` makes of `kernels/`.
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));

/// Threads of a block; of blocks that work on a row together, at most and at least.
const BLOCK: usize = 256;
const SMALLEST_BLOCK: usize = 32;

/// Blocks that can be started at once.
const MOST_BLOCKS: usize = i32::MAX as usize;

/// An address in the memory of the GPU.
pub(super) type Address = sys::CUdeviceptr;

/// No address: an argument that is left out.
pub(super) const NONE: Address = 0;

/// A number of elements.
pub(super) fn size(count: usize) -> Argument {
    Argument::Size(count as i64)
}

/// The arguments of a kernel, in its order.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { [$(crate::cuda::Argument::from($argument)),*] };
}
pub(super) use arguments;

/// A GPU.
pub(super) struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    /// Those that were called so far.
    kernels: Mutex<HashMap<(&'static str, Number), CudaFunction>>,
    dnn: Option<Dnn>,
    store: Arc<Store>,
    staging: Staging,
    ordinal: usize,
    memory: usize,
    /// Written to while a graph is recorded: nobody else may use the stream meanwhile.
    pub(super) recorder: RwLock<()>,
}

/// While it lives no graph is recorded by another thread, which the work of this one would become a part of.
pub(super) struct StreamUse<'a> {
    _guard: RwLockReadGuard<'a, ()>,
}

thread_local! {
    /// This thread has a [`StreamUse`]. A second one could wait for a recorder that waits for the first. Those of two
    /// GPUs are never held together: what takes one works with that GPU alone.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

impl Drop for StreamUse<'_> {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

/// Number of GPUs that this process can see; 0 without a driver.
pub fn count() -> usize {
    // SAFETY: opens the driver's library, as every call below does; it has no other effect.
    #[cfg(not(feature = "candle-cuda"))]
    let driver = unsafe { sys::is_culib_present() };
    // Linked, or this program would not have started.
    #[cfg(feature = "candle-cuda")]
    let driver = true;
    // The second call fails where a driver is installed and no GPU is there.
    if driver { CudaContext::device_count().map_or(0, |count| count.max(0) as usize) } else { 0 }
}

/// The name of the GPU with this number, as its driver gives it.
///
/// # Errors
/// If it is not there.
pub fn name_of(ordinal: usize) -> Result<String> {
    Gpu::shared(ordinal)?.name()
}

/// The GPUs that are open, by number.
static OPEN: Mutex<Vec<(usize, Weak<Gpu>)>> = Mutex::new(Vec::new());

impl Gpu {
    /// GPU number `ordinal`, which must be below [`count`]: networks share its stream, its memory, its kernels and
    /// what cuDNN has planned. It is closed when its last owner is gone.
    pub(super) fn shared(ordinal: usize) -> Result<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.iter().find(|(number, _)| *number == ordinal);
        if let Some(gpu) = found.and_then(|(_, gpu)| gpu.upgrade()) {
            return Ok(gpu);
        }
        let gpu = Arc::new(Self::open(ordinal)?);
        open.retain(|(_, gpu)| gpu.strong_count() > 0);
        open.push((ordinal, Arc::downgrade(&gpu)));
        Ok(gpu)
    }

    /// Opens GPU number `ordinal`, which must be below [`count`].
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let fails = |what: &'static str| move |error| failed(ordinal, what, error);
        let context = CudaContext::new(ordinal).map_err(fails("open it"))?;
        // SAFETY: everything is on the one stream made below, which orders all uses of memory.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(fails("make a stream"))?;
        let module = context.load_module(Ptx::from_binary(IMAGE.to_vec())).map_err(fails(
            "load the kernels (those that CUDA 13 has compiled need driver 580 or later)",
        ))?;
        let dnn = Dnn::open(&stream).map_err(|error| failed(ordinal, "start cuDNN", error))?;
        match dnn {
            Some(_) => tracing::info!(version = Dnn::version(), "cuDNN"),
            None => tracing::warn!(
                "cuDNN is not found: convolutions run on plain kernels, many times slower; it is looked \
                 for as libcudnn.so.9, for example in LD_LIBRARY_PATH"
            ),
        }
        let (kernels, recorder) = (Mutex::default(), RwLock::default());
        let (_, memory) = result::mem_get_info().map_err(fails("read its memory"))?;
        let (store, staging) = (Store::new(context.clone(), memory), Staging::new(stream.clone()));
        Ok(Self {
            context,
            stream,
            module,
            kernels,
            dnn,
            store,
            staging,
            ordinal,
            memory,
            recorder,
        })
    }

    /// The name that the maker gave it.
    pub(super) fn name(&self) -> Result<String> {
        self.context.name().map_err(|error| self.fails("read its name", error))
    }

    /// Its compute capability.
    pub(super) fn capability(&self) -> Result<(i32, i32)> {
        let read = self.context.compute_capability();
        read.map_err(|error| self.fails("read its capability", error))
    }

    /// cuDNN, unless it is not installed.
    pub(super) fn dnn(&self) -> Option<&Dnn> {
        self.dnn.as_ref()
    }

    /// The stream of all its work.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// To be held while the stream is given work, unless this thread records or holds it already.
    pub(super) fn use_stream(&self) -> Option<StreamUse<'_>> {
        (!is_recording() && !HELD.get()).then(|| {
            let guard = self.recorder.read().unwrap_or_else(PoisonError::into_inner);
            HELD.set(true);
            StreamUse { _guard: guard }
        })
    }

    /// Bytes of memory that it has.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Bytes of free memory.
    pub(super) fn free_memory(&self) -> Result<usize> {
        self.bind()?;
        let (free, _) = result::mem_get_info().map_err(|e| self.fails("read its memory", e))?;
        Ok(free + self.store.bytes())
    }

    /// An error of this GPU.
    pub(super) fn fails(&self, what: &'static str, error: impl Display) -> Error {
        failed(self.ordinal, what, error)
    }

    /// Makes this thread's calls go to this GPU.
    pub(super) fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(|error| self.fails("use it", error))
    }

    /// Memory for `bytes` bytes, not initialised.
    pub(super) fn allocate(&self, bytes: usize) -> Result<Memory> {
        self.bind()?;
        let _guard = self.use_stream();
        // After an illegal access every call fails: a smaller batch helps only where memory is short.
        let (memory, used) = self.store.take(bytes).map_err(|error| match error {
            DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                self.fails(OUT_OF_MEMORY, error)
            }
            _ => self.fails("take memory", error),
        })?;
        if used && cfg!(debug_assertions) {
            // Who reads what he has not written shall see NaN, as in new memory of tests/emulator.
            // SAFETY: the memory has just been allocated.
            unsafe { result::memset_d8_async(memory.at(), 0xFF, bytes, self.stream.cu_stream()) }
                .map_err(|error| self.fails("fill memory", error))?;
        }
        Ok(memory)
    }

    /// A copy of `numbers` in the GPU's memory.
    pub(super) fn upload<T: Copy>(&self, numbers: &[T]) -> Result<Memory> {
        let memory = self.allocate(size_of_val(numbers))?;
        self.write(memory.at(), numbers)?;
        Ok(memory)
    }

    /// Copies `numbers` to `to`, where there is room for them.
    pub(super) fn write<T: Copy>(&self, to: Address, numbers: &[T]) -> Result<()> {
        self.bind()?;
        let _guard = self.use_stream();
        // SAFETY: the caller has allocated as much.
        unsafe { self.staging.write(to, numbers) }.map_err(|error| self.fails("copy to it", error))
    }

    /// Copies from `from` into `numbers`, after all that was asked for before.
    pub(super) fn read<T: Copy>(&self, from: Address, numbers: &mut [T]) -> Result<()> {
        self.bind()?;
        let _guard = self.use_stream();
        // SAFETY: the caller has allocated as much.
        unsafe { self.staging.read(from, numbers) }
            .map_err(|error| self.fails("copy from it", error))
    }

    /// Copies `bytes` bytes from one address to another.
    pub(super) fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        self.bind()?;
        let _guard = self.use_stream();
        // SAFETY: the caller has allocated as much at both, and they do not overlap.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }
            .map_err(|error| self.fails("copy on it", error))
    }

    /// Starts `threads` threads of kernel `name`.
    pub(super) fn launch(
        &self,
        name: &'static str,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        self.launch_for(Number::F32, name, threads, arguments)
    }

    /// Starts `threads` threads of the layers' kernel `name`, of the form for activations that are stored
    /// as `number`.
    pub(super) fn launch_for(
        &self,
        number: Number,
        name: &'static str,
        threads: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        self.start((name, number), [threads.div_ceil(BLOCK), BLOCK], arguments)
    }

    /// Starts a block of kernel `name` for each of `rows` rows of `width` numbers, whose threads work
    /// on the row together.
    pub(super) fn launch_rows(
        &self,
        name: &'static str,
        [rows, width]: [usize; 2],
        arguments: &[Argument],
    ) -> Result<()> {
        let block = width.next_power_of_two().clamp(SMALLEST_BLOCK, BLOCK);
        self.start((name, Number::F32), [rows, block], arguments)
    }

    fn start(
        &self,
        (name, number): (&'static str, Number),
        [blocks, block]: [usize; 2],
        arguments: &[Argument],
    ) -> Result<()> {
        if blocks == 0 {
            return Ok(());
        }
        if blocks > MOST_BLOCKS {
            return Err(self.fails(name, format_args!("{blocks} blocks are more than it starts")));
        }
        let kernel = self.kernel(name, number)?;
        let mut call = self.stream.launch_builder(&kernel);
        for argument in arguments {
            match argument {
                Argument::Address(address) => call.arg(address),
                Argument::Int(number) => call.arg(number),
                Argument::Size(number) => call.arg(number),
                Argument::Float(number) => call.arg(number),
                Argument::Double(number) => call.arg(number),
            };
        }
        let shape = LaunchConfig {
            grid_dim: (blocks as u32, 1, 1),
            block_dim: (block as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        let _guard = self.use_stream();
        // SAFETY: the arguments are those of the kernel, which callers write beside its name, and every
        // address has room for what the kernel's bounds, which are among them, let it touch.
        unsafe { call.launch(shape) }.map_err(|error| self.fails(name, error))?;
        Ok(())
    }

    fn kernel(&self, name: &'static str, number: Number) -> Result<CudaFunction> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(&(name, number)) {
            return Ok(kernel.clone());
        }
        let kernel = match number {
            Number::F32 => self.module.load_function(name),
            Number::Bf16 => self.module.load_function(&format!("{name}_bf16")),
        };
        let kernel = kernel.map_err(|error| self.fails(name, error))?;
        Ok(kernels.entry((name, number)).or_insert(kernel).clone())
    }
}

fn failed(ordinal: usize, what: &'static str, error: impl Display) -> Error {
    Error::Device { device: format!("cuda:{ordinal}"), what, problem: error.to_string() }
}
