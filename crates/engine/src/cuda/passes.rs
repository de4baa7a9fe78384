//! Passes of a network over batches that are on its GPU, before and after: nothing waits and nothing crosses
//! the bus.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::array::{Array, SharedGpu};
use super::engine::{Engine, Part, Ready};
use super::gpu::{Address, NONE, arguments};
use super::network::Network;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::loss::Loss;

/// A batch around which the network can be pulled back.
#[derive(Debug)]
pub(crate) struct Linearised {
    images: Array,
    count: usize,
    ticket: u64,
    precision: Precision,
}

/// Address of row `row` of rows of `width` numbers.
fn at(array: &Array, row: usize, width: usize) -> Address {
    array.at() + (row * width * size_of::<f32>()) as Address
}

impl Network {
    /// Logits `[N, K]` of the images `[N, C, H, W]`.
    pub(crate) fn logits(&self, images: &Array, n: usize, precision: Precision) -> Result<Array> {
        let (mut engine, width) = (self.engine_of(images.gpu())?, self.width());
        let logits = images.gpu().array(n * self.classes)?;
        engine.in_parts(n, false, precision, |engine, first, count| {
            let batch = engine.ready(self, count, false, precision)?;
            engine.forward(&batch, self, at(images, first, width))?;
            engine.copy_logits(&batch, self, at(&logits, first, self.classes))
        })?;
        Ok(logits)
    }

    /// Logits `[N, K]`, losses `[N]` and their gradient `[N, C, H, W]` at the images.
    pub(crate) fn evaluate(
        &self,
        (images, labels, targets): (&Array, &Array, Option<&Array>),
        n: usize,
        precision: Precision,
        loss: Loss,
    ) -> Result<[Array; 3]> {
        let (mut engine, width) = (self.engine_of(images.gpu())?, self.width());
        let home = images.gpu();
        let outputs = [home.array(n * self.classes)?, home.array(n)?, home.array(n * width)?];
        let [logits, losses, gradient] = &outputs;
        engine.in_parts(n, true, precision, |engine, first, count| {
            let batch = engine.ready(self, count, true, precision)?;
            engine.forward(&batch, self, at(images, first, width))?;
            let of_part = at(logits, first, self.classes);
            engine.copy_logits(&batch, self, of_part)?;
            let arguments = arguments![
                at(losses, first, 1),
                engine.runner(precision).cotangent(&batch.of(&engine.gpu)),
                of_part,
                at(labels, first, 1),
                targets.map_or(NONE, |targets| at(targets, first, 1)),
                1_usize,
                self.classes,
                loss.number(),
            ];
            engine.gpu.launch_rows("loss", [count, self.classes], &arguments)?;
            engine.pull_to(&batch, self, at(gradient, first, width))
        })?;
        Ok(outputs)
    }

    /// Logits `[N, K]`, and the batch for [`Network::pull`].
    pub(crate) fn linearise(
        &self,
        images: &Array,
        n: usize,
        precision: Precision,
    ) -> Result<(Array, Linearised)> {
        let (mut engine, width) = (self.engine_of(images.gpu())?, self.width());
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let logits = images.gpu().array(n * self.classes)?;
        engine.in_parts(n, true, precision, |engine, first, count| {
            let batch = engine.ready(self, count, true, precision)?;
            engine.forward(&batch, self, at(images, first, width))?;
            engine.held = Some(Part { ticket, first, count });
            engine.copy_logits(&batch, self, at(&logits, first, self.classes))
        })?;
        let images = images.clone();
        Ok((logits, Linearised { images, count: n, ticket, precision }))
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)`. The forward pass is repeated if another one
    /// has come between.
    pub(crate) fn pull(&self, at_images: &Linearised, cotangent: &Array) -> Result<Array> {
        let Linearised { images, count: n, ticket, precision } = at_images;
        let (mut engine, width) = (self.engine_of(images.gpu())?, self.width());
        let gradient = images.gpu().array(n * width)?;
        engine.in_parts(*n, true, *precision, |engine, first, count| {
            let part = Part { ticket: *ticket, first, count };
            let there = engine.held == Some(part);
            let batch = engine.ready(self, count, true, *precision)?;
            if !there {
                engine.forward(&batch, self, at(images, first, width))?;
            }
            let to = engine.runner(*precision).cotangent(&batch.of(&engine.gpu));
            let bytes = count * self.classes * size_of::<f32>();
            engine.gpu.copy(at(cotangent, first, self.classes), to, bytes)?;
            engine.pull_to(&batch, self, at(&gradient, first, width))?;
            engine.held = Some(part);
            Ok(())
        })?;
        Ok(gradient)
    }

    fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The network on that GPU.
    fn engine_of(&self, home: &SharedGpu) -> Result<MutexGuard<'_, Engine>> {
        let same = |here: &SharedGpu| std::sync::Arc::ptr_eq(&here.0, &home.0);
        match self.homes.iter().position(same) {
            Some(number) => Ok(self.engines[number].lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(Error::setting(
                "images",
                "lie on a GPU where the network is not",
                "ask the network for its place before they are sent there",
            )),
        }
    }
}

impl Engine {
    /// Logits of the images `[N, C, H, W]` at `images`.
    fn forward(&mut self, batch: &Ready, network: &Network, images: Address) -> Result<()> {
        self.held = None;
        self.turn(batch, network, images)?;
        self.runner(batch.precision).forward(&batch.of(&self.gpu))
    }

    /// Copies the logits of the last forward pass to `to`.
    fn copy_logits(&self, batch: &Ready, network: &Network, to: Address) -> Result<()> {
        let logits = self.runner(batch.precision).logits(&batch.of(&self.gpu));
        self.gpu.copy(logits, to, batch.count * network.classes * size_of::<f32>())
    }
}
