//! CERTIFY and PREDICT for a batch of images: the sampling engine in front, a row per image behind.
//! A row leaves as soon as its image and those before it are done, so that the caller can write it
//! before the next network batch starts.

use serde::{Deserialize, Serialize};

use super::engine::{self, Forget, Keeper, SamplingPlan};
use super::{ABSTAIN, Sampler, Smoothing, cohen, format_time};
use crate::certify::CertificateRow;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::rng::Stream;
use crate::stats::rounding;

/// Decimals of a radius in a table; what follows is cut off.
const RADIUS_DECIMALS: u32 = 6;

/// A radius as it stands in a table.
pub(super) fn in_table(radius: f64) -> f64 {
    rounding::floor_decimals(radius, RADIUS_DECIMALS)
}

/// What PREDICT (Cohen et al. 2019, section 3.2.1) found for one image: the columns of the paper's
/// own prediction logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PredictRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// True class.
    pub label: u32,
    /// Predicted class of the smoothed classifier, -1 for ABSTAIN.
    pub predict: i64,
    /// 1 if `predict` is `label`.
    pub correct: u8,
    /// Wall time of the image as `h:mm:ss.ffffff`. Not reproducible.
    pub time: String,
}

/// Certifies every image of `batch` and hands the rows to `on_row`, in order.
///
/// The network sees batches of `batch_size` images on the device of `batch.images`; the rows do not
/// depend on it, nor on whether `keeper` knows counts of an earlier call. `stop` is asked before each
/// network batch.
///
/// # Errors
/// [`Error::Interrupted`] once `stop` says so; the rows of finished images have been handed out, the
/// counts of the others to `keeper`. Else if a setting or a shape does not fit, the network fails or
/// returns NaN, or `on_row` or `keeper` fails.
///
/// ```
/// use epsball_engine::model::file::{Declared, load};
/// use epsball_methods::certify::{Forget, Smoothing, certify_batch};
/// use epsball_methods::data;
/// # std::env::set_current_dir("../..")?;
///
/// let model =
///     load("benchmarks/models/digits-gaussian.safetensors".as_ref(), &Declared::default())?.0;
/// let batch = data::open("digits:test")?.read(&[0, 1, 2])?;
///
/// let settings = Smoothing { n: 1000, ..Smoothing::new(0.25) };
/// let mut rows = Vec::new();
/// certify_batch(&model, &batch, &settings, 500, &mut Forget, &|| false, &mut |row| {
///     rows.push(row);
///     Ok(())
/// })?;
/// // N = 1000 samples that all agree prove a radius of 0.61 at sigma = 0.25.
/// assert!(rows.len() == 3 && rows.iter().all(|row| row.radius < 0.62));
/// assert!(rows.iter().any(|row| row.correct == 1 && row.radius > 0.25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn certify_batch(
    model: &dyn Classifier,
    batch: &Batch,
    settings: &Smoothing,
    batch_size: usize,
    keeper: &mut dyn Keeper,
    stop: &dyn Fn() -> bool,
    on_row: &mut dyn FnMut(CertificateRow) -> Result<()>,
) -> Result<()> {
    settings.validate()?;
    check(model, batch)?;
    let Smoothing { norm, sigma, n0, alpha, seed, .. } = *settings;
    let model_hash: String = model.info().identity.chars().take(16).collect();
    let digests = batch.digests()?;
    let shape = model.info().input_shape;
    let (noise, dimension) = (settings.noise(shape)?, shape.iter().product());
    let rule = settings.rule(shape)?;
    let plan = SamplingPlan {
        selection: (Stream::new(seed, "smoothing-select"), n0),
        votes: Stream::new(seed, "smoothing-estimate"),
        next: &|tally| {
            let n_a = tally.votes.get(cohen::argmax(&tally.selection));
            rule.next(n_a.copied().unwrap_or(0), tally.drawn())
        },
    };
    let sampler = Sampler::new(model, noise.as_ref(), batch_size)?;
    engine::sample_batch(sampler, batch, &plan, keeper, stop, &mut |image, tally| {
        let (n, label) = (tally.drawn(), batch.labels[image]);
        let lower = |n_a, n| rule.lower(n_a, n);
        let radius = |p_low| noise.radius(norm, p_low, dimension);
        let found = cohen::certify(&tally.selection, &tally.votes, lower, radius);
        on_row(CertificateRow {
            idx: batch.ids[image],
            label,
            predict: found.prediction.map_or(ABSTAIN, i64::from),
            radius: in_table(found.radius),
            correct: u8::from(found.prediction == Some(label)),
            time: format_time(tally.seconds),
            sigma,
            n0,
            n,
            alpha,
            n_a: found.n_a,
            selected: found.selected,
            p_low: found.p_low,
            seed,
            model: model_hash.clone(),
            mode: settings.mode.name.into(),
            level: rule.level(n),
            image: digests[image].clone(),
        })
    })
}

/// Predicts every image of `batch` with the smoothed classifier and hands the rows to `on_row`, in
/// order; the rest is as in [`certify_batch`], but nothing is kept of unfinished images. N0 and the mode
/// are not used.
///
/// # Errors
/// As [`certify_batch`].
pub fn predict_batch(
    model: &dyn Classifier,
    batch: &Batch,
    settings: &Smoothing,
    batch_size: usize,
    stop: &dyn Fn() -> bool,
    on_row: &mut dyn FnMut(PredictRow) -> Result<()>,
) -> Result<()> {
    settings.validate_predict()?;
    check(model, batch)?;
    let votes = Stream::new(settings.seed, "smoothing-predict");
    let next = |tally: &engine::Tally| Some(settings.n).filter(|n| tally.drawn() < *n);
    let plan = SamplingPlan { selection: (votes, 0), votes, next: &next };
    let noise = settings.noise(model.info().input_shape)?;
    let sampler = Sampler::new(model, noise.as_ref(), batch_size)?;
    engine::sample_batch(sampler, batch, &plan, &mut Forget, stop, &mut |image, tally| {
        let prediction = cohen::predict(&tally.votes, settings.alpha);
        let label = batch.labels[image];
        on_row(PredictRow {
            idx: batch.ids[image],
            label,
            predict: prediction.map_or(ABSTAIN, i64::from),
            correct: u8::from(prediction == Some(label)),
            time: format_time(tally.seconds),
        })
    })
}

/// The images are what the network takes, and each has its name and label.
pub(super) fn check(model: &dyn Classifier, batch: &Batch) -> Result<()> {
    let expected = [&[batch.len()], model.info().input_shape.as_slice()].concat();
    if batch.images.dims() != expected || batch.labels.len() != batch.len() {
        return Err(Error::setting(
            "images",
            format!(
                "shape {:?} with {} labels, but the network `{}` takes {expected:?}",
                batch.images.dims(),
                batch.labels.len(),
                model.info().name
            ),
            "choose a data set of the network's input shape",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
