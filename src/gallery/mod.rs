//! Adversarial images to look at: of every attack of a run that has saved them a few, beside their clean images, with
//! what lies between the two magnified and what the network says of both. `picture.rs` makes the pictures, `page.rs`
//! the page that shows them.

mod page;
mod picture;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use self::picture::{difference, png};
use crate::bench::{Indexed, again};
use crate::data;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::loss::argmax;
use crate::model::{Classifier as _, FrozenNetwork};
use crate::record::{JobRecord, RunRecord};
use crate::work::{self, AttackRow, Keyed};

/// What to show.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Only jobs whose names hold this text.
    pub job: Option<String>,
    /// Images of each rank, at least 1.
    pub each: usize,
    /// Where networks are asked.
    pub device: Device,
}

/// The images of a run.
#[derive(Debug, Clone)]
pub struct Gallery {
    /// Name of the suite.
    pub title: String,
    /// The attacks that have saved images, in the order of the run.
    pub jobs: Vec<Wall>,
    /// Names of the attacks that have saved none.
    pub without: Vec<String>,
}

/// The images of one attack.
#[derive(Debug, Clone)]
pub struct Wall {
    /// Name of the job.
    pub job: String,
    /// Threat model in words: `Linf 0.1`.
    pub threat: String,
    /// Images that it broke.
    pub broken: usize,
    /// Images that it was about: those classified correctly.
    pub attacked: usize,
    /// The images, by rank.
    pub exhibits: Vec<Exhibit>,
}

/// One adversarial image beside its clean one.
#[derive(Debug, Clone)]
pub struct Exhibit {
    /// Why it is shown.
    pub rank: Rank,
    /// Index in the data set.
    pub idx: u64,
    /// The true class.
    pub label: u32,
    /// What the network says of the clean image.
    pub clean: Answer,
    /// What it says of the adversarial one.
    pub adversarial: Answer,
    /// Distance in the norm of the threat model, or the changed pixels of a patch, in words.
    pub distance: String,
    /// Passes that the attack spent on it.
    pub passes: u64,
    /// The attack, or the part of an ensemble, that found it.
    pub by: String,
    /// What the difference is multiplied by in its picture.
    pub factor: f32,
    /// Clean image, adversarial image and magnified difference as PNG files.
    pub pictures: [Vec<u8>; 3],
}

/// Why an image is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Among the smallest distances.
    Closest,
    /// Around the median distance.
    Median,
    /// Among those that took most passes.
    Hardest,
}

impl std::fmt::Display for Rank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Closest => "closest",
            Self::Median => "median",
            Self::Hardest => "hardest",
        })
    }
}

/// The class that a network sees, and the probability that its softmax gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The class.
    pub class: u32,
    /// Its probability, in [0, 1].
    pub confidence: f64,
}

/// `3 (99.8 %)`.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.1} %)", self.class, 100.0 * self.confidence)
    }
}

impl Gallery {
    /// Chooses and makes the pictures of the run in `folder`; `stop` is asked between attacks.
    ///
    /// # Errors
    /// If the folder is no run, no job has saved images, or models or images are not where the run says.
    pub fn of(folder: &Path, settings: &Settings, stop: &dyn Fn() -> bool) -> Result<Self> {
        let record = RunRecord::read(folder)?;
        let device = settings.device.resolve()?;
        let (mut jobs, mut without) = (Vec::new(), Vec::new());
        let mut networks: BTreeMap<&str, FrozenNetwork> = BTreeMap::new();
        let mut sets: BTreeMap<&str, Indexed> = BTreeMap::new();
        let wanted =
            |job: &&JobRecord| settings.job.as_ref().is_none_or(|part| job.id.contains(part));
        for job in record.jobs.iter().filter(wanted) {
            if stop() {
                return Err(Error::Interrupted);
            }
            let table = folder.join(&job.file);
            let rows = work::of(&job.work)?.rows(&table, &job.key)?;
            let Some(rows) = Keyed::<AttackRow>::of(rows.as_ref()) else { continue };
            let saved = table.with_extension("adversarial.safetensors");
            if !saved.exists() {
                without.push(job.id.clone());
                continue;
            }
            let model = record.models.iter().find(|model| model.name == job.model);
            let data = record.data.iter().find(|data| data.name == job.data);
            let (Some(model), Some(data)) = (model, data) else { continue };
            if !networks.contains_key(&*model.name) {
                let mut network = again::network(model)?;
                network.place(&device, Precision::F32)?;
                networks.insert(&model.name, network);
            }
            if !sets.contains_key(&*data.name) {
                sets.insert(&data.name, Indexed::open(&data.spec)?);
            }
            let (network, data) = (&networks[&*model.name], &sets[&*data.name]);
            jobs.push(wall(job, &rows.rows, &saved, network, data, settings.each)?);
        }
        if jobs.is_empty() {
            let remedy = "run the same again with --save-adversarial: what is done stays";
            let problem = match without.len() {
                0 => "no attack is there that was asked for",
                _ => "no attack of this run has saved any",
            };
            return Err(Error::file(folder, "adversarial images", problem, remedy));
        }
        Ok(Self { title: record.name, jobs, without })
    }
}

/// The images of a job.
fn wall(
    job: &JobRecord,
    rows: &[AttackRow],
    saved: &Path,
    network: &FrozenNetwork,
    data: &Indexed,
    each: usize,
) -> Result<Wall> {
    let images = data::open(&format!("safetensors:{}", saved.display()))?;
    let there = &rows[..rows.len().min(images.info().len)];
    let chosen = choose(there, each);
    let mut exhibits = Vec::new();
    if !chosen.is_empty() {
        let numbers: Vec<usize> = chosen.iter().map(|(number, _)| *number).collect();
        let indices: Vec<u64> = numbers.iter().map(|number| rows[*number].idx).collect();
        let (clean, adversarial) = (data.read(&indices)?.rows()?, images.read(&numbers)?.rows()?);
        let answers = [answers(network, &clean)?, answers(network, &adversarial)?];
        let (clean, adversarial) = (clean.values()?, adversarial.values()?);
        let shape = network.info().input_shape;
        let length = shape.iter().product::<usize>().max(1);
        for (at, (number, rank)) in chosen.into_iter().enumerate() {
            let row = &rows[number];
            let of = |images: &[f32]| images[at * length..][..length].to_vec();
            let (x0, x) = (of(&clean), of(&adversarial));
            let (between, factor) = difference(&x, &x0);
            exhibits.push(Exhibit {
                rank,
                idx: row.idx,
                label: row.label,
                clean: answers[0][at],
                adversarial: answers[1][at],
                distance: match job.work.threat.starts_with("patch") {
                    true => format!("{} pixels", row.distance),
                    false => format!("{:.4}", row.distance),
                },
                passes: row.forwards + row.backwards,
                by: row.by.clone(),
                factor,
                pictures: [png(&x0, shape)?, png(&x, shape)?, png(&between, shape)?],
            });
        }
    }
    let eps: Vec<String> =
        job.work.eps.iter().map(|eps| crate::results::format::eps(*eps)).collect();
    Ok(Wall {
        job: job.id.clone(),
        threat: [&[job.work.threat.clone()][..], &eps].concat().join(" "),
        broken: rows.iter().filter(|row| row.adversarial()).count(),
        attacked: rows.iter().filter(|row| row.clean_correct()).count(),
        exhibits,
    })
}

/// Numbers of the rows to show, rank by rank, each once: the closest by distance, those around the median, and of the
/// others those that took most passes. Of equals the first in the table.
fn choose(rows: &[AttackRow], each: usize) -> Vec<(usize, Rank)> {
    let mut near: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].adversarial()).collect();
    near.sort_by(|a, b| rows[*a].distance.total_cmp(&rows[*b].distance));
    let middle = near.len().saturating_sub(each) / 2;
    let mut hard = near.clone();
    hard.sort_by_key(|at| std::cmp::Reverse(rows[*at].forwards + rows[*at].backwards));
    let mut chosen: Vec<(usize, Rank)> = Vec::new();
    for (order, rank) in
        [(&near[..], Rank::Closest), (&near[middle..], Rank::Median), (&hard[..], Rank::Hardest)]
    {
        let new: Vec<usize> = order
            .iter()
            .copied()
            .filter(|at| chosen.iter().all(|(other, _)| other != at))
            .take(each)
            .collect();
        chosen.extend(new.into_iter().map(|at| (at, rank)));
    }
    chosen
}

/// What the network says of each image.
fn answers(network: &FrozenNetwork, images: &crate::rows::Rows) -> Result<Vec<Answer>> {
    let logits = network.exact_logits(images)?;
    let width = logits.width().max(1);
    let answer = |z: &[f32]| {
        let class = argmax(z);
        let sum: f64 = z.iter().map(|v| (f64::from(*v) - f64::from(z[class])).exp()).sum();
        Answer { class: class as u32, confidence: 1.0 / sum }
    };
    Ok(logits.values()?.chunks_exact(width).map(answer).collect())
}
