//! Adversarial images to look at: of every attack of a run that has saved them a few, beside their clean images, with
//! what lies between the two magnified and what the network says of both. `wall.rs` chooses them, attack by attack,
//! `confusion.rs` counts what they are taken for, `picture.rs` makes the pictures, `page.rs` the page that shows them.

mod confusion;
mod page;
mod picture;
#[cfg(test)]
mod tests;
mod wall;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::confusion::Confusion;
use self::wall::Site;
use crate::bench::{Indexed, again};
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::{JobRecord, ModelRecord, RunRecord};
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
    /// Threat model and goal in words: `Linf`, `L2, least likely class`.
    pub threat: String,
    /// Images that it broke at each eps, or at any distance where it has none.
    pub broken: Vec<Broken>,
    /// Images that it was about: those classified correctly.
    pub attacked: usize,
    /// Images whose adversarial images are not in the file that was saved.
    pub unsaved: usize,
    /// What the broken images are taken for; `None` without any, or of too many classes.
    pub confusion: Option<Confusion>,
    /// The images, by rank.
    pub exhibits: Vec<Exhibit>,
}

/// How many images an attack broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The budget in words, `eps 0.1`; empty if the attack has none.
    pub budget: String,
    /// Images with an adversarial image within the budget.
    pub images: usize,
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
    /// The answer of the network for the adversarial image.
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
    /// Among those that took most passes; for an attack that minimises the distance, among the farthest.
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
    /// Its probability, in [0, 1]; none of a network that tells classes only.
    pub confidence: Option<f64>,
}

/// `3 (99.8 %)`.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.confidence {
            Some(confidence) => write!(f, "{} ({:.1} %)", self.class, 100.0 * confidence),
            None => self.class.fmt(f),
        }
    }
}

impl Gallery {
    /// Chooses and makes the pictures of the run in `folder`; `stop` is asked between attacks.
    ///
    /// # Errors
    /// If the folder is no run, no job has saved images, or models or images are not those of the run.
    pub fn of(folder: &Path, settings: &Settings, stop: &dyn Fn() -> bool) -> Result<Self> {
        let record = RunRecord::read(folder)?;
        let device = settings.device.resolve()?;
        let (mut jobs, mut without) = (Vec::new(), Vec::new());
        let mut networks: BTreeMap<&str, Network> = BTreeMap::new();
        let mut sets: BTreeMap<&str, Indexed> = BTreeMap::new();
        let part = settings.job.as_ref().map(|part| part.to_lowercase());
        let wanted = |job: &&JobRecord| {
            part.as_ref().is_none_or(|part| job.id.to_lowercase().contains(part))
        };
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
                is_that_of(&network, model)?;
                network.place(&device, Precision::F32)?;
                networks.insert(&model.name, network);
            }
            if !sets.contains_key(&*data.name) {
                sets.insert(&data.name, Indexed::open(&data.spec)?);
            }
            let (network, data) = (&networks[&*model.name], &sets[&*data.name]);
            jobs.push(Site { job, saved: &saved, network, data }.wall(&rows.rows, settings.each)?);
        }
        if !jobs.is_empty() {
            return Ok(Self { title: record.name, jobs, without });
        }
        let none = |problem: &str, remedy: String| {
            Err(Error::file(folder, "adversarial images", problem, remedy))
        };
        if without.is_empty() && settings.job.is_some() {
            let ids: Vec<&str> = record.jobs.iter().map(|job| &*job.id).collect();
            let name = settings.job.as_deref().unwrap_or_default();
            return Err(Error::unknown("job", name, ids));
        }
        if without.is_empty() {
            return none(
                "no job of this run is an attack",
                "name the folder of another run".into(),
            );
        }
        none(
            "no attack of this run has saved any",
            "run the same again with --save-adversarial: what is done stays".into(),
        )
    }
}

/// # Errors
/// If the files of a model have another network in them than when the run was made.
fn is_that_of(network: &Network, record: &ModelRecord) -> Result<()> {
    if network.info().identity == record.identity {
        return Ok(());
    }
    Err(Error::setting(
        format!("model {}", record.name),
        "it is another network than that of the run",
        "put the file back that was attacked, or run the attack again in another folder",
    ))
}
