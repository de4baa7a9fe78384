//! From the record of a run back to what computed it: the network of a record, and the task of a job. What
//! is computed again has to be what the table says.

use super::elsewhere::IN_MEMORY;
use super::models;
use super::suite::ModelEntry;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::record::{JobRecord, ModelRecord};
use crate::rng::Randomness;
use crate::work::{self, Subject, Task};

/// The network of a record, read from its files as they are now.
///
/// # Errors
/// If a file is missing or cannot be used.
pub(crate) fn network(record: &ModelRecord) -> Result<Network> {
    if let Some(name) = record.files.iter().find_map(|file| file.strip_prefix(IN_MEMORY)) {
        return Err(Error::setting(
            format!("model {}", record.name),
            format!("it is a `{name}` that lived in a program, and is in no file"),
            "verify what the folder's own files say: --files-only",
        ));
    }
    let (path, members) = match record.files.as_slice() {
        [path] => (path.clone(), Vec::new()),
        members => (String::new(), members.to_vec()),
    };
    let average = record.average.as_deref().map(str::parse).transpose()?;
    let (name, arch) = (Some(record.name.clone()), record.arch.clone());
    let (onnx, service) = (record.onnx.clone(), record.service.clone());
    let entry =
        ModelEntry { path, members, average, name, arch, onnx, service, ..ModelEntry::default() };
    models::load(&entry, None).map(|(network, _)| network)
}

/// The task that computed a job, to compute some of its rows once more; `None` if rows of its kind are not
/// computed twice.
///
/// # Errors
/// If the record's settings cannot be used.
pub(crate) fn task(
    job: &JobRecord,
    network: &Network,
    data: &dyn Dataset,
) -> Result<Option<Box<dyn Task>>> {
    let kind = work::of(&job.work)?;
    let Some(entry) = kind.again(&job.work) else { return Ok(None) };
    let images = job.work.parameters.get("images").and_then(|n| n.parse().ok());
    let images = images.unwrap_or(job.images);
    let rng = Randomness::PerImage;
    let subject = Subject { seed: job.seed, rng, network, data, images, eps: None };
    let resolved = kind.read(&entry)?.jobs(&subject)?;
    Ok(resolved.into_iter().next().map(|resolved| resolved.task))
}
