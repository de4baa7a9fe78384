//! From the record of a run back to what computed it: the network of a record, and the rows of a
//! certificate job for some of its images. What is computed again has to be what the table says.

use super::models;
use super::suite::ModelEntry;
use super::work::{Subject, entry_of, resolve_certificate};
use crate::data::{Batch, Dataset};
use crate::error::Result;
use crate::model::FrozenNetwork;
use crate::record::{JobRecord, ModelRecord};

/// The network of a record, read from its files as they are now.
///
/// # Errors
/// If a file is missing or cannot be used.
pub(crate) fn network(record: &ModelRecord) -> Result<FrozenNetwork> {
    let (path, members) = match record.files.as_slice() {
        [path] => (path.clone(), Vec::new()),
        members => (String::new(), members.to_vec()),
    };
    let average = record.average.as_deref().map(str::parse).transpose()?;
    let (name, arch) = (Some(record.name.clone()), record.arch.clone());
    let entry = ModelEntry { path, members, average, name, arch, ..ModelEntry::default() };
    models::load(&entry, None).map(|(network, _)| network)
}

/// The rows of a certificate job for the images of `batch`, each as text without its time; `None` for an
/// attack.
///
/// # Errors
/// If the network fails or the record's settings cannot be used.
pub(crate) fn certificate_rows(
    job: &JobRecord,
    network: &FrozenNetwork,
    data: &dyn Dataset,
    batch: &Batch,
) -> Result<Option<Vec<String>>> {
    let Some(entry) = entry_of(&job.work) else { return Ok(None) };
    let images = job.work.parameters().get("images").and_then(|n| n.parse().ok());
    let images = images.unwrap_or(job.images);
    let resolved = resolve_certificate(&entry, &Subject { seed: job.seed, network, data, images })?;
    match resolved.first() {
        Some(resolved) => resolved.task.rows(network, batch),
        None => Ok(None),
    }
}
