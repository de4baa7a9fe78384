//! Patch certificates for a batch of images: copies of several images share the network's batches, and
//! an image that is decided leaves its places to the next. What an image asks for never depends on
//! the batch, so neither does a row.

use std::collections::VecDeque;
use std::time::Instant;

use candle_core::{DType, Device};
use rayon::prelude::*;

use super::row::PatchRow;
use super::{Examination, PatchCertificate};
use crate::certify::{batch, format_time};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::rows::{Location, Rows};

/// Certifies every image of `batch` and hands the rows to `on_row`, in order.
///
/// The network sees batches of `batch_size` images on the device of `batch.images`; the rows do not
/// depend on it. `stop` is asked before each network batch.
///
/// # Errors
/// [`Error::Interrupted`] once `stop` says so; the rows of finished images have been handed out. Else
/// if a shape does not fit, the network fails or returns NaN, or `on_row` fails.
pub fn certify_patches(
    model: &dyn Classifier,
    batch: &Batch,
    certificate: &dyn PatchCertificate,
    batch_size: usize,
    stop: &dyn Fn() -> bool,
    on_row: &mut dyn FnMut(PatchRow) -> Result<()>,
) -> Result<()> {
    batch::check(model, batch)?;
    let classes = model.info().classes;
    let model_hash: String = model.info().identity.chars().take(16).collect();
    let digests = batch.digests()?;
    let pixels = batch.images.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let pixels = pixels.flatten_all()?.to_vec1::<f32>()?;
    let length = (pixels.len() / batch.len().max(1)).max(1);
    let mut waiting = (0..batch.len()).zip(pixels.chunks_exact(length));
    let mut active: VecDeque<Active<'_>> = VecDeque::new();
    loop {
        let mut asked: usize = active.iter().map(|image| image.asked.len()).sum();
        while asked < batch_size.max(1)
            && let Some((number, pixels)) = waiting.next()
        {
            let examination = certificate.examine(batch.labels[number], classes);
            let mut image = Active::new(number, pixels, examination);
            image.ask();
            asked += image.asked.len();
            active.push_back(image);
        }
        while active.front().is_some_and(Active::decided)
            && let Some(image) = active.pop_front()
        {
            let verdict = image.examination.verdict();
            let label = batch.labels[image.number];
            on_row(PatchRow {
                idx: batch.ids[image.number],
                label,
                predict: verdict.predict,
                certified: u8::from(verdict.certified),
                correct: u8::from(verdict.predict == label),
                time: format_time(image.seconds),
                votes: verdict.votes,
                runner_up: verdict.runner_up,
                forwards: image.forwards,
                model: model_hash.clone(),
                image: digests[image.number].clone(),
            })?;
        }
        if active.is_empty() && waiting.len() == 0 {
            return Ok(());
        }
        if stop() {
            return Err(Error::Interrupted);
        }
        step(model, certificate, batch_size.max(1), &mut active)?;
    }
}

/// An image on its way.
struct Active<'a> {
    /// Position in the batch.
    number: usize,
    pixels: &'a [f32],
    examination: Box<dyn Examination + 'a>,
    /// Copies to be classified.
    asked: VecDeque<usize>,
    forwards: u64,
    seconds: f64,
}

impl<'a> Active<'a> {
    fn new(number: usize, pixels: &'a [f32], examination: Box<dyn Examination + 'a>) -> Self {
        Self { number, pixels, examination, asked: VecDeque::new(), forwards: 0, seconds: 0.0 }
    }

    /// Lets the examination go on, once everything it asked for is answered.
    fn ask(&mut self) {
        if self.asked.is_empty() {
            self.asked = self.examination.ask().into();
        }
    }

    fn decided(&self) -> bool {
        self.asked.is_empty()
    }
}

/// Runs one batch through the network.
fn step(
    model: &dyn Classifier,
    certificate: &dyn PatchCertificate,
    batch_size: usize,
    active: &mut VecDeque<Active<'_>>,
) -> Result<()> {
    let start = Instant::now();
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(batch_size);
    for (at, image) in active.iter_mut().enumerate() {
        let room = (batch_size - places.len()).min(image.asked.len());
        places.extend(image.asked.drain(..room).map(|copy| (at, copy)));
    }
    if places.is_empty() {
        return Ok(());
    }
    let logits = classify(model, certificate, active, &places)?;
    let share = start.elapsed().as_secs_f64() / places.len().max(1) as f64;
    for ((at, copy), logits) in places.iter().zip(&logits) {
        let image = &mut active[*at];
        if logits.iter().any(|z| z.is_nan()) {
            return Err(Error::setting(
                format!("model `{}`", model.info().name),
                "the logits of an image with hidden parts hold NaN",
                "look for weights that are NaN or so large that f32 overflows",
            ));
        }
        image.examination.answer(*copy, logits);
        image.forwards += 1;
        image.seconds += share;
    }
    // Only images that were answered can have something new to ask.
    for at in places.iter().map(|(at, _)| *at).collect::<std::collections::BTreeSet<_>>() {
        active[at].ask();
    }
    Ok(())
}

/// Logits of the copies at `places`: pairs of a position in `active` and the number of a copy.
fn classify(
    model: &dyn Classifier,
    certificate: &dyn PatchCertificate,
    active: &VecDeque<Active<'_>>,
    places: &[(usize, usize)],
) -> Result<Vec<Vec<f32>>> {
    let info = model.info();
    let [channels, height, width] = info.input_shape;
    let length = channels * height * width;
    let mut copies = vec![0f32; places.len() * length];
    let pixels: Vec<&[f32]> = active.iter().map(|image| image.pixels).collect();
    copies
        .par_chunks_mut(length.max(1))
        .zip(places)
        .for_each(|(out, (at, copy))| certificate.apply(*copy, pixels[*at], out));
    let copies = Rows::new(&Location::default(), [places.len(), channels, height, width], copies)?;
    let logits = model.exact_logits(&copies)?;
    if logits.shape() != [places.len(), info.classes] {
        return Err(Error::setting(
            format!("model `{}`", info.name),
            format!("logits of shape {:?} for {} classes", logits.shape(), info.classes),
            "state the number of classes that the network has",
        ));
    }
    let values = logits.values()?;
    Ok(values.chunks_exact(info.classes.max(1)).map(<[f32]>::to_vec).collect())
}
