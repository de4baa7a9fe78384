//! Passes of a network as CUDA graphs. A pass of so many images in one place is always the same launches
//! with the same arguments, hundreds of them for small work: after a few times it is recorded, and from then
//! on it is one call to the driver.
//!
//! A pass runs as it is at first, so that kernels are loaded, cuDNN has its plans and the workspace is as
//! large as it has to be: while a stream is captured, nothing may be allocated, copied or waited for. A pass
//! that cannot be recorded runs as it is for good.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::HashSet;
use std::env;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaStream, result, sys};

use super::dnn::Dnn;
use super::gpu::{Address, Gpu};
use super::run::Batch;
use crate::device::Precision;
use crate::error::Result;

/// With the value `0` every launch is made on its own.
const SETTING: &str = "EPSBALL_CUDA_GRAPHS";

/// So often a pass runs before it is recorded, which costs about as much as running it: batch sizes that do
/// not come back are not worth it.
const PLAIN_RUNS: usize = 2;

/// Every bucket of batch sizes has graphs of its own, which take memory of the GPU: those that were not used for the
/// longest time are dropped.
const MOST_GRAPHS: usize = 48;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread records a graph: nothing may be allocated, copied or waited for.
pub(super) fn is_recording() -> bool {
    RECORDING.get()
}

/// The graphs of one network on one GPU.
pub(super) struct Graphs(Mutex<State>);

struct State {
    on: bool,
    /// What the addresses in graphs depend on: where the batch is, and what cuDNN has changed.
    memory: Address,
    changes: u64,
    /// Passes that run or will run as graphs; the one that was used last is last.
    passes: Vec<(Pass, Stage)>,
    /// Those that cannot be recorded.
    refused: HashSet<Pass>,
    launches: usize,
}

/// Everything that tells passes over the same memory apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pass {
    images: usize,
    precision: Precision,
    /// The memory is divided for a pullback, too.
    pullback: bool,
    /// It is the pullback itself.
    back: bool,
}

enum Stage {
    /// It has run so often.
    Plain(usize),
    Graph(Graph),
}

impl Graphs {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            on: env::var_os(SETTING).is_none_or(|value| value != "0"),
            memory: 0,
            changes: 0,
            passes: Vec::new(),
            refused: HashSet::new(),
            launches: 0,
        }))
    }

    /// Does `work`, which is launches on the GPU of `batch` and nothing else: the pullback if `back`, else
    /// the forward pass.
    pub(super) fn run(
        &self,
        batch: &Batch<'_>,
        back: bool,
        work: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Batch { gpu, images, precision, pullback, .. } = *batch;
        let pass = Pass { images, precision, pullback, back };
        if !state.on || state.refused.contains(&pass) {
            return work();
        }
        state.forget_what_moved(batch);
        let changes = state.changes;
        let launched = match state.stage(pass) {
            Stage::Plain(runs) if *runs < PLAIN_RUNS => {
                let runs = *runs + 1;
                work()?;
                // It may have moved the workspace itself.
                state.forget_what_moved(batch);
                *state.stage(pass) = Stage::Plain(runs);
                return Ok(());
            }
            Stage::Graph(graph) => graph.launch(gpu, changes),
            stage => Graph::record(gpu, &work).and_then(|graph| {
                let launched = graph.launch(gpu, changes)?;
                *stage = Stage::Graph(graph);
                Ok(launched)
            }),
        };
        match launched {
            Ok(true) => {
                state.launches += 1;
                Ok(())
            }
            // Another network has moved the workspace meanwhile.
            Ok(false) => {
                state.passes.clear();
                work()
            }
            Err(error) => {
                tracing::debug!(error, ?pass, "this pass is no CUDA graph");
                state.passes.retain(|(other, _)| *other != pass);
                state.refused.insert(pass);
                // Nothing of it has been done.
                work()
            }
        }
    }

    /// How many graphs were launched.
    #[cfg(test)]
    pub(super) fn launches(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).launches
    }

    /// Every launch on its own from now on.
    #[cfg(test)]
    pub(super) fn turn_off(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).on = false;
    }
}

impl State {
    /// Drops all graphs if `batch` is somewhere else than they think, or cuDNN's workspace is.
    fn forget_what_moved(&mut self, batch: &Batch<'_>) {
        let changes = batch.gpu.dnn().map_or(0, Dnn::changes);
        if (self.memory, self.changes) != (batch.memory, changes) {
            self.passes.clear();
            (self.memory, self.changes) = (batch.memory, changes);
        }
    }

    /// How far a pass is, which is now the one used last.
    fn stage(&mut self, pass: Pass) -> &mut Stage {
        let entry = match self.passes.iter().position(|(other, _)| *other == pass) {
            Some(place) => self.passes.remove(place),
            None => (pass, Stage::Plain(0)),
        };
        if self.passes.len() == MOST_GRAPHS {
            self.passes.remove(0);
        }
        self.passes.push(entry);
        let last = self.passes.len() - 1;
        &mut self.passes[last].1
    }
}

/// A graph that is ready to be launched.
struct Graph {
    executable: sys::CUgraphExec,
    stream: Arc<CudaStream>,
}

// SAFETY: the driver's objects belong to no thread; this one is used by one at a time, under the lock.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` launches without doing it.
    fn record(gpu: &Gpu, work: &impl Fn() -> Result<()>) -> Result<Self, String> {
        let told = |error: &dyn Display| error.to_string();
        gpu.bind().map_err(|error| told(&error))?;
        let stream = Arc::clone(gpu.stream());
        // What others gave the stream meanwhile would become part of the graph.
        let _guard = gpu.recorder.write().unwrap_or_else(PoisonError::into_inner);
        // Other threads go on with their GPUs, so only this one's calls are under the rules of a capture.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is open, and it is not captured already: that ends below, whatever happens.
        unsafe { result::stream::begin_capture(stream.cu_stream(), mode) }
            .map_err(|error| told(&error))?;
        RECORDING.set(true);
        let worked = work();
        RECORDING.set(false);
        // SAFETY: the capture was begun above, by this thread.
        let graph = unsafe { result::stream::end_capture(stream.cu_stream()) };
        let graph = graph.map_err(|error| told(&error));
        // SAFETY: it is null or a graph, which nobody else has; executables do not need it any more.
        let destroy = |graph: sys::CUgraph| unsafe {
            if !graph.is_null() {
                let _ = result::graph::destroy(graph);
            }
        };
        if let Err(error) = worked {
            graph.map(destroy).ok();
            return Err(told(&error));
        }
        let graph = graph?;
        if graph.is_null() {
            return Err("the capture gave nothing".into());
        }
        // SAFETY: the graph was made above.
        let executable =
            unsafe { result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)) };
        destroy(graph);
        Ok(Self { executable: executable.map_err(|error| told(&error))?, stream })
    }

    /// Does what was recorded, behind all that was asked for before; `false` if cuDNN's workspace is not where it was
    /// at this number of changes: then nothing is done.
    fn launch(&self, gpu: &Gpu, changes: u64) -> Result<bool, String> {
        gpu.bind().map_err(|error| error.to_string())?;
        // Before cuDNN's lock, as everywhere. Another thread's recording would take this launch in.
        let _guard = gpu.use_stream();
        let launch = || {
            // SAFETY: the executable is there as long as `self`; the addresses in it are those of now: the memory
            // of the batch, or `forget_what_moved` had dropped it, and cuDNN's workspace, which does not move while
            // this runs.
            unsafe { result::graph::launch(self.executable, self.stream.cu_stream()) }
                .map_err(|error| error.to_string())
        };
        match gpu.dnn() {
            None => launch().map(|()| true),
            Some(dnn) => {
                dnn.while_unchanged(changes, launch).transpose().map(|done| done.is_some())
            }
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by `record`, destroyed once. The driver keeps what is under way until it is done.
        // What it returns cannot be acted upon.
        let _ = unsafe { result::graph::exec_destroy(self.executable) };
    }
}
