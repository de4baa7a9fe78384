//! Results of a network that no suite can open, such as one that lives in a program of the user's: what an attack
//! left of its images becomes a job of a run folder, which boards and comparisons read like any other.

use std::path::Path;

use super::grow::{end_session, finish_jobs, grow};
use super::networks::Networks;
use super::plan::{How, Plan};
use super::{names, session};
use crate::data::list_digest;
use crate::device::Precision;
use crate::error::Result;
use crate::model::ModelInfo;
use crate::onnx::OnnxForm;
use crate::record::{DataRecord, FORMAT_VERSION, ModelRecord, RunRecord, ServiceForm};
use crate::rng::Randomness;
use crate::work::{AttackEntry, AttackedImages, attack_jobs, keep};

/// How the path of a network begins that lives in a program and is in no file.
pub(super) const IN_MEMORY: &str = "python:";

/// An attack that was run elsewhere.
pub struct Elsewhere<'a> {
    /// The network; its name is the one in tables.
    pub model: &'a ModelInfo,
    /// Where the network lies, if it is in a file.
    pub file: Option<String>,
    /// Name of the data set.
    pub data: String,
    /// Where it lies, `FORMAT:PATH`; `None` if it is in no file.
    pub spec: Option<String>,
    /// The attack, as a suite names it.
    pub attack: AttackEntry,
    /// Seed of its randomness.
    pub seed: u64,
    /// Where the network ran, and in which arithmetic.
    pub place: (String, Precision),
    /// Source of its random numbers, and for [`Randomness::Torch`] the images of a batch.
    pub rng: (Randomness, usize),
    /// What it left.
    pub kept: AttackedImages<'a>,
}

/// Adds the attack to the run in `folder`, which is made if it is not there.
///
/// # Errors
/// If a name or a setting cannot be used, the folder holds something that contradicts it, or a file cannot be
/// written.
pub fn keep_elsewhere(folder: &Path, found: &Elsewhere<'_>) -> Result<()> {
    let Elsewhere { model, kept, .. } = found;
    names::check("model", &model.name)?;
    names::check("data", &found.data)?;
    let images: Vec<(u64, String)> =
        kept.rows.iter().map(|row| (row.idx, row.image.clone())).collect();
    let digests: Vec<String> = images.iter().map(|(_, digest)| digest.clone()).collect();
    let (rng, batch) = found.rng;
    let (device, precision) = &found.place;
    let how = How::new(found.seed, rng, batch, device, *precision);
    let model_record = ModelRecord {
        name: model.name.clone(),
        files: vec![
            found.file.clone().unwrap_or_else(|| format!("{IN_MEMORY}{}", model.architecture)),
        ],
        average: None,
        arch: None,
        onnx: OnnxForm::default(),
        service: ServiceForm::default(),
        architecture: model.architecture.clone(),
        sha256: model.sha256.clone(),
        identity: model.identity.clone(),
        parameters: model.parameters,
        note: String::new(),
        published: None,
    };
    let data_record = DataRecord {
        name: found.data.clone(),
        spec: found.spec.clone().unwrap_or_else(|| format!("{IN_MEMORY}{}", found.data)),
        sha256: String::new(),
        shape: kept.shape,
        images: kept.rows.len(),
        digest: list_digest(&digests),
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut plan = Plan {
        record: RunRecord {
            format_version: FORMAT_VERSION,
            name,
            sessions: Vec::new(),
            models: vec![model_record],
            data: vec![data_record],
            jobs: Vec::new(),
        },
        session: session::begin(device, *precision),
        save_adversarial: kept.images.is_some(),
        batch: None,
        shard: None,
        rows_of: Vec::new(),
        networks: Networks::default(),
        data: Vec::new(),
        images: vec![images],
        jobs: Vec::new(),
    };
    let jobs = attack_jobs(&found.attack, found.seed, rng, kept.shape)?;
    // Nothing is left to be computed.
    plan.add(&how, (0, 0), None, jobs)?;
    for grown in grow(&plan, folder)? {
        if let Some(damage) = grown.damage {
            return Err(damage);
        }
        keep(folder, &grown.record, kept)?;
        finish_jobs(folder, &[grown.record])?;
    }
    end_session(folder, &plan.session, session::now())
}
