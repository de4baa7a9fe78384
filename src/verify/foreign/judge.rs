//! The judgement: every clean image and every adversarial one is classified again, and measured against
//! the threat model.

use std::path::PathBuf;

use serde::Serialize;

use super::Foreign;
use super::read::Images;
use crate::data::{Batch, Dataset, image_digest};
use crate::digest::sha256_file;
use crate::error::{Error, Result};
use crate::model::{Classifier, predicted};
use crate::rows::{Location, Rows};
use crate::stats::wilson;
use crate::threat::{Change, Norm, Threat};

/// Version of the fields of [`Judgement`] as JSON.
pub const FOREIGN_VERSION: u32 = 1;

/// What an adversarial image is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The clean image is misclassified already.
    Misclassified,
    /// The image lies inside the threat model and is misclassified.
    Broken,
    /// The image is misclassified, but lies outside the threat model: it does not count.
    Outside,
    /// The image is classified as its label says.
    Robust,
}

/// The judgement on one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictRow {
    /// Index of the image in its data set.
    pub idx: u64,
    /// Digest of the clean image and its label, as in the tables of a run.
    pub image: String,
    /// Digest of the adversarial image and the label.
    pub adversarial: String,
    /// True class.
    pub label: u32,
    /// Predicted class of the clean image.
    pub clean: u32,
    /// Predicted class of the adversarial image.
    pub prediction: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the adversarial image lies inside the threat model, the box [0, 1] included.
    pub inside: bool,
    /// Whether all of its values lie in [0, 1]; NaN does not.
    pub in_box: bool,
    /// Largest absolute difference of a value. As the next two, NaN if the image holds NaN.
    pub linf: f64,
    /// Euclidean length of the difference.
    pub l2: f64,
    /// Sum of the absolute differences.
    pub l1: f64,
    /// Number of pixels in which a value differs.
    pub l0: u64,
    /// Number of values that differ.
    pub features: u64,
    /// Height of the smallest rectangle around these pixels; 0 if there are none.
    pub height: u64,
    /// Width of that rectangle.
    pub width: u64,
}

/// The images whose verdict is [`Verdict::Outside`], all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outside {
    /// Those that leave the box [0, 1] or hold NaN: no budget would count them.
    pub beyond_box: usize,
    /// How far the others are beyond the budget at most: a distance, or rows or columns of pixels for a
    /// patch. `None` if there are no others.
    pub excess: Option<f64>,
    /// The smallest budget that would count all the others: a radius, or a patch such as `3x4`.
    pub sufficient: Option<String>,
}

/// What adversarial images show about a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// [`FOREIGN_VERSION`].
    pub format_version: u32,
    /// The file of the images.
    pub file: PathBuf,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
    /// Name of the array of images in it; empty if it has none.
    pub array: String,
    /// What was done to its numbers to make them images, a sentence each: bytes scaled to [0, 1], channels
    /// put first.
    pub notes: Vec<String>,
    /// Name of the network.
    pub model: String,
    /// What the network computes with, as a hash; see [`crate::model::ModelInfo`].
    pub identity: String,
    /// Name of the data set.
    pub data: String,
    /// The threat model: `Linf`, `patch 2x2`.
    pub threat: String,
    /// Radius of the ball; `None` for a patch.
    pub eps: Option<f32>,
    /// Number of images, N.
    pub images: usize,
    /// Images per verdict; the four sum to N.
    pub misclassified: usize,
    /// See [`Verdict::Broken`].
    pub broken: usize,
    /// See [`Verdict::Outside`].
    pub outside: usize,
    /// See [`Verdict::Robust`].
    pub robust: usize,
    /// Images outside the threat model, whatever their verdict is.
    pub not_allowed: usize,
    /// Distance of the farthest broken image: in the norm of the ball, or in changed pixels for a patch.
    /// `None` if none is broken.
    pub farthest: Option<f64>,
    /// Share of clean images that are classified as their labels say, in [0, 1].
    pub clean_accuracy: f64,
    /// What robust accuracy is at most, by these images: the share that is robust or outside.
    pub robust_accuracy: f64,
    /// Its 95 % interval (Wilson).
    pub interval: [f64; 2],
    /// About the images outside, if there are any.
    pub about_outside: Option<Outside>,
    /// A row per image, in the order of the file.
    pub verdicts: Vec<VerdictRow>,
}

/// Judges the images of `foreign`, which are about those of `data`, as attacks on `model` under `threat`.
/// Row i is about image i of `data`, or about the image that `ids` in the file names. `batch` images are
/// classified at a time (0 counts as 1), on which nothing depends; `stop` is asked in between.
///
/// # Errors
/// If the file cannot be read or is not about these images, its labels are others, the network fails, or
/// with [`Error::Interrupted`] if it was stopped.
pub fn judge_foreign(
    foreign: &Foreign,
    model: &dyn Classifier,
    data: &dyn Dataset,
    threat: &Threat,
    batch: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Judgement> {
    let (info, shape) = (model.info(), model.info().input_shape);
    if data.info().shape != shape {
        let (name, has) = (&data.info().name, data.info().shape);
        let problem = format!("takes images {shape:?}, {name} has {has:?}");
        let remedy = "choose the data set that the network was trained for";
        return Err(Error::setting(format!("model {}", info.name), problem, remedy));
    }
    let images = Images::open(foreign, data)?;
    let count = images.positions.len();
    let mut verdicts = Vec::with_capacity(count);
    for first in (0..count).step_by(batch.max(1)) {
        if stop() {
            return Err(Error::Interrupted);
        }
        let rows = first..first.saturating_add(batch.max(1)).min(count);
        let clean = data.read(&images.positions[rows.clone()])?;
        compare_labels(foreign, &images, first, &clean)?;
        let pixels = images.read(rows)?;
        verdicts.extend(judge(model, &clean, pixels, threat)?);
    }
    let of = |verdict| verdicts.iter().filter(|row| row.verdict == verdict).count();
    let (outside, robust) = (of(Verdict::Outside), of(Verdict::Robust));
    let share = |n: usize| n as f64 / count.max(1) as f64;
    let (low, high) = wilson::interval((robust + outside) as u64, count as u64, 0.95);
    let misclassified = of(Verdict::Misclassified);
    Ok(Judgement {
        format_version: FOREIGN_VERSION,
        file: foreign.path.clone(),
        sha256: sha256_file(&foreign.path)?,
        array: images.name.clone(),
        notes: images.notes.clone(),
        model: info.name.clone(),
        identity: info.identity.clone(),
        data: data.info().name.clone(),
        threat: threat.to_string(),
        eps: match threat {
            Threat::Ball { eps, .. } => Some(*eps),
            Threat::Patch(_) => None,
        },
        images: count,
        misclassified,
        broken: of(Verdict::Broken),
        outside,
        robust,
        not_allowed: verdicts.iter().filter(|row| !row.inside).count(),
        farthest: verdicts
            .iter()
            .filter(|row| row.verdict == Verdict::Broken)
            .map(|row| row.distance(threat))
            .reduce(f64::max),
        clean_accuracy: share(count - misclassified),
        robust_accuracy: share(robust + outside),
        interval: [low, high],
        about_outside: (outside > 0).then(|| about_outside(&verdicts, threat)),
        verdicts,
    })
}

/// Refuses labels of the file that are not those of the data set; row `first` of the file is the first of
/// `clean`.
fn compare_labels(foreign: &Foreign, images: &Images, first: usize, clean: &Batch) -> Result<()> {
    let Some(labels) = &images.labels else { return Ok(()) };
    for ((row, said), (is, idx)) in
        labels.iter().enumerate().skip(first).zip(clean.labels.iter().zip(&clean.ids))
    {
        if *said != i128::from(*is) {
            let problem = format!("row {row} has label {said}, and image {idx} has label {is}");
            let remedy =
                "give the data set that the file is about, with its images in the same order";
            return Err(Error::file(&foreign.path, "labels", problem, remedy));
        }
    }
    Ok(())
}

/// The verdicts on the images `pixels`, which are about those of `clean`.
fn judge(
    model: &dyn Classifier,
    clean: &Batch,
    pixels: Vec<f32>,
    threat: &Threat,
) -> Result<Vec<VerdictRow>> {
    let shape = model.info().input_shape;
    let length = shape.iter().product::<usize>().max(1);
    let (originals, digests) = (clean.rows()?, clean.digests()?);
    let before = predicted(model, &originals, &model.exact_logits(&originals)?)?;
    let images = Rows::new(&Location::default(), originals.shape(), pixels)?;
    let after = predicted(model, &images, &model.exact_logits(&images)?)?;
    let (pixels, originals) = (images.values()?, originals.values()?);
    let pairs = pixels.chunks_exact(length).zip(originals.chunks_exact(length));
    let row = |(i, (x, x0)): (usize, (&[f32], &[f32]))| {
        let (label, is) = (clean.labels[i], Change::of(x, x0, shape));
        let inside = threat.allows(x, x0, shape);
        // The largest difference is found by comparing, which passes over NaN.
        let linf = if x.iter().any(|value| value.is_nan()) { f64::NAN } else { is.linf };
        let verdict = match (before[i] == label, after[i] == label, inside) {
            (false, _, _) => Verdict::Misclassified,
            (true, true, _) => Verdict::Robust,
            (true, false, true) => Verdict::Broken,
            (true, false, false) => Verdict::Outside,
        };
        VerdictRow {
            idx: clean.ids[i],
            image: digests[i].clone(),
            adversarial: image_digest(label, shape, x),
            label,
            clean: before[i],
            prediction: after[i],
            verdict,
            inside,
            in_box: x.iter().all(|value| (0.0..=1.0).contains(value)),
            linf,
            l2: is.l2,
            l1: is.l1,
            l0: is.l0,
            features: is.features.unwrap_or_default(),
            height: is.height,
            width: is.width,
        }
    };
    Ok(pairs.enumerate().map(row).collect())
}

/// What keeps the images outside from counting.
fn about_outside(verdicts: &[VerdictRow], threat: &Threat) -> Outside {
    let outside = || verdicts.iter().filter(|row| row.verdict == Verdict::Outside);
    let others = || outside().filter(|row| row.in_box);
    let beyond_box = outside().filter(|row| !row.in_box).count();
    let (excess, sufficient) = match threat {
        _ if others().count() == 0 => (None, None),
        Threat::Ball { eps, .. } => {
            let largest = others().map(|row| row.distance(threat)).fold(0.0, f64::max);
            (Some(largest - f64::from(*eps)), Some(largest.to_string()))
        }
        Threat::Patch(patch) => {
            let largest = |side: fn(&VerdictRow) -> u64| others().map(side).max().unwrap_or(0);
            let height = largest(|row| row.height).max(patch.height as u64);
            let width = largest(|row| row.width).max(patch.width as u64);
            let excess = (height - patch.height as u64).max(width - patch.width as u64);
            (Some(excess as f64), Some(format!("{height}x{width}")))
        }
    };
    Outside { beyond_box, excess, sufficient }
}

impl VerdictRow {
    /// Distance from the clean image: in the norm of the ball, or in changed pixels for a patch.
    fn distance(&self, threat: &Threat) -> f64 {
        match threat {
            Threat::Ball { norm: Norm::Linf, .. } => self.linf,
            Threat::Ball { norm: Norm::L2, .. } => self.l2,
            Threat::Ball { norm: Norm::L1, .. } => self.l1,
            Threat::Ball { norm: Norm::L0, .. } => self.features as f64,
            Threat::Ball { norm: Norm::L0Pixels, .. } | Threat::Patch(_) => self.l0 as f64,
        }
    }
}
