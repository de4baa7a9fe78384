//! Passes of a network over batches that lie on its GPU already, and stay there: nothing waits and nothing
//! crosses the bus.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::array::{Array, Home};
use super::gpu::{Address, NONE, arguments};
use super::network::{Engine, Network, Part};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::loss::Loss;

/// A batch around which the network can be pulled back.
#[derive(Debug)]
pub(crate) struct Around {
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
    pub(crate) fn logits_there(
        &self,
        images: &Array,
        n: usize,
        precision: Precision,
    ) -> Result<Array> {
        let (mut engine, width) = (self.engine_of(images.home())?, self.width());
        let logits = images.home().array(n * self.classes)?;
        engine.in_parts(n, false, precision, |engine, first, count| {
            let batch = engine.ready(self, count, false, precision)?;
            engine.held = None;
            engine.turn(&batch, self, at(images, first, width))?;
            let inside = batch.of(&engine.gpu);
            engine.runner(precision).forward(&inside)?;
            let to = at(&logits, first, self.classes);
            engine.gpu.copy(engine.runner(precision).logits(&inside), to, 4 * count * self.classes)
        })?;
        Ok(logits)
    }

    /// Logits `[N, K]`, losses `[N]` and their gradient `[N, C, H, W]` at the images.
    pub(crate) fn losses_there(
        &self,
        (images, labels, targets): (&Array, &Array, Option<&Array>),
        n: usize,
        precision: Precision,
        loss: Loss,
    ) -> Result<[Array; 3]> {
        let (mut engine, width) = (self.engine_of(images.home())?, self.width());
        let home = images.home();
        let outputs = [home.array(n * self.classes)?, home.array(n)?, home.array(n * width)?];
        let [logits, losses, gradient] = &outputs;
        engine.in_parts(n, true, precision, |engine, first, count| {
            let batch = engine.ready(self, count, true, precision)?;
            engine.held = None;
            engine.turn(&batch, self, at(images, first, width))?;
            let inside = batch.of(&engine.gpu);
            engine.runner(precision).forward(&inside)?;
            let z = engine.runner(precision).logits(&inside);
            let to = at(logits, first, self.classes);
            engine.gpu.copy(z, to, 4 * count * self.classes)?;
            let arguments = arguments![
                at(losses, first, 1),
                engine.runner(precision).cotangent(&inside),
                to,
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

    /// Logits `[N, K]`, and the batch for [`Network::pull_there`].
    pub(crate) fn linearise_there(
        &self,
        images: &Array,
        n: usize,
        precision: Precision,
    ) -> Result<(Array, Around)> {
        let (mut engine, width) = (self.engine_of(images.home())?, self.width());
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let logits = images.home().array(n * self.classes)?;
        engine.in_parts(n, true, precision, |engine, first, count| {
            let batch = engine.ready(self, count, true, precision)?;
            engine.turn(&batch, self, at(images, first, width))?;
            let inside = batch.of(&engine.gpu);
            engine.runner(precision).forward(&inside)?;
            engine.held = Some(Part { ticket, first, count });
            let to = at(&logits, first, self.classes);
            engine.gpu.copy(engine.runner(precision).logits(&inside), to, 4 * count * self.classes)
        })?;
        Ok((logits, Around { images: images.clone(), count: n, ticket, precision }))
    }

    /// Gradient `[N, C, H, W]` of `sum(logits * cotangent)`. The forward pass is repeated if another one
    /// has come between.
    pub(crate) fn pull_there(&self, around: &Around, cotangent: &Array) -> Result<Array> {
        let Around { images, count: n, ticket, precision } = around;
        let (mut engine, width) = (self.engine_of(images.home())?, self.width());
        let gradient = images.home().array(n * width)?;
        engine.in_parts(*n, true, *precision, |engine, first, count| {
            let part = Part { ticket: *ticket, first, count };
            let there = engine.held == Some(part);
            let batch = engine.ready(self, count, true, *precision)?;
            let inside = batch.of(&engine.gpu);
            if !there {
                engine.turn(&batch, self, at(images, first, width))?;
                engine.runner(*precision).forward(&inside)?;
            }
            let from = at(cotangent, first, self.classes);
            engine.gpu.copy(
                from,
                engine.runner(*precision).cotangent(&inside),
                4 * count * self.classes,
            )?;
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
    fn engine_of(&self, home: &Home) -> Result<MutexGuard<'_, Engine>> {
        let same = |here: &Home| std::sync::Arc::ptr_eq(&here.0, &home.0);
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
