//! A network on one or several GPUs: batches in, logits, gradients or classes out. Every GPU has an
//! [`Engine`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::Noisy;
use super::array::SharedGpu;
#[cfg(test)]
use super::dnn::Dnn;
use super::engine::Engine;
use super::gpu::Gpu;
use crate::device::Precision;
use crate::error::Result;
use crate::nn::Program;

/// Images at a time for attacks, for each GPU: enough to fill it, few enough that little work is lost when
/// a run is killed in the middle of them.
const ENOUGH_IMAGES: usize = 512;

/// A frozen network in the memory of some GPUs.
pub(crate) struct Network {
    pub(super) homes: Vec<SharedGpu>,
    /// One for each of them.
    pub(super) engines: Vec<Mutex<Engine>>,
    pub(super) shape: [usize; 3],
    pub(super) classes: usize,
    next: AtomicUsize,
    /// Searches that were given a home.
    housed: AtomicUsize,
    pub(super) tickets: AtomicU64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("gpus", &self.engines.len()).finish_non_exhaustive()
    }
}

impl Network {
    /// Copies `program`, which maps images to `classes` logits, to the GPUs with these numbers: in f32, and in
    /// what searches in `precision` need.
    pub(crate) fn open(
        program: &Program,
        classes: usize,
        gpus: &[usize],
        precision: Precision,
    ) -> Result<Self> {
        let homes = gpus.iter().map(|ordinal| Ok(SharedGpu(Gpu::shared(*ordinal)?)));
        Self::open_on(program, classes, homes.collect::<Result<_>>()?, precision)
    }

    /// The same for another program, on the GPUs of this one, which are open already.
    pub(crate) fn open_beside(
        &self,
        program: &Program,
        classes: usize,
        precision: Precision,
    ) -> Result<Self> {
        Self::open_on(program, classes, self.homes.clone(), precision)
    }

    /// The same on GPUs that are open.
    pub(super) fn open_on(
        program: &Program,
        classes: usize,
        homes: Vec<SharedGpu>,
        precision: Precision,
    ) -> Result<Self> {
        let [h, w, c] = program.input().sides();
        let (program, shape) = (Arc::new(program.evenly_padded()?), [c, h, w]);
        let engines = homes
            .iter()
            .map(|SharedGpu(gpu)| {
                Ok(Mutex::new(Engine::new(gpu.clone(), &program, shape, precision)?))
            })
            .collect::<Result<_>>()?;
        let (next, housed, tickets) = Default::default();
        Ok(Self { homes, engines, shape, classes, next, housed, tickets })
    }

    /// Number of batches that can be worked on at the same time.
    pub(crate) fn lanes(&self) -> usize {
        self.engines.len()
    }

    /// Images at a time that fill the GPUs and fit into their memory, for searches in `precision`.
    pub(crate) fn batch(&self, precision: Precision) -> usize {
        let of = |engine: &Mutex<Engine>| {
            let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            engine.form(precision).most[1].min(ENOUGH_IMAGES)
        };
        self.engines.iter().map(of).sum()
    }

    /// The class of every noisy copy, `None` where a logit is NaN. Noise, network and the search for the
    /// largest logit stay on the GPUs, which share the copies.
    pub(crate) fn noisy_classes(
        &self,
        noisy: &Noisy<'_>,
        precision: Precision,
    ) -> Result<Vec<Option<u32>>> {
        let share = noisy.copies.len().div_ceil(self.engines.len()).max(1);
        let parts: Vec<&[(u32, crate::rng::Draw)]> = noisy.copies.chunks(share).collect();
        let classes = parts
            .into_par_iter()
            .map(|copies| {
                let mut engine = self.free_engine();
                engine.noisy_classes(self, noisy, copies, precision)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(classes.into_iter().flatten().collect())
    }

    /// Where batches that stay on a GPU should be: on one GPU after the other.
    pub(crate) fn gpu(&self) -> SharedGpu {
        self.homes[self.housed.fetch_add(1, Ordering::Relaxed) % self.homes.len()].clone()
    }

    /// How many graphs were launched so far.
    #[cfg(test)]
    pub(super) fn graph_launches(&self) -> usize {
        let of = |engine: &Mutex<Engine>| {
            let engine = engine.lock().unwrap();
            let forms = std::iter::once(&engine.exact).chain(&engine.half);
            forms.map(|form| form.runner.graphs.launches()).sum::<usize>()
        };
        self.engines.iter().map(of).sum()
    }

    /// How many plans cuDNN has made on its GPUs, for this network and for others there.
    #[cfg(test)]
    pub(super) fn plans(&self) -> usize {
        self.homes.iter().filter_map(|home| home.0.dnn()).map(Dnn::plans).sum()
    }

    /// The same network without graphs.
    #[cfg(test)]
    pub(super) fn without_graphs(self) -> Self {
        for engine in &self.engines {
            let engine = engine.lock().unwrap();
            for form in std::iter::once(&engine.exact).chain(&engine.half) {
                form.runner.graphs.turn_off();
            }
        }
        self
    }

    /// A GPU that is idle, or the next one when it will be.
    fn free_engine(&self) -> MutexGuard<'_, Engine> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.engines.len();
        for number in (start..self.engines.len()).chain(0..start) {
            if let Ok(engine) = self.engines[number].try_lock() {
                return engine;
            }
        }
        self.engines[start].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
