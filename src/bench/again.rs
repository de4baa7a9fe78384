//! From the record of a run back to what computed it: the network of a record, and the rows of a
//! certificate job for some of its images. What is computed again has to be what the table says.

use std::collections::BTreeMap;

use super::plan::Task;
use super::runner::SAMPLES_PER_PASS;
use super::suite::{CertificateEntry, ModelEntry, Number, OneOrMany};
use super::{certificates, models};
use crate::certify::bounds::bound_batch;
use crate::certify::patch::certify_patches;
use crate::certify::{Forget, certify_batch};
use crate::data::{Batch, Dataset};
use crate::error::Result;
use crate::model::FrozenNetwork;
use crate::record::{BoundRow, CertificateRow, JobRecord, ModelRecord, PatchRow, Work};

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
    let Some(entry) = entry(&job.work) else { return Ok(None) };
    let images = job.work.parameters().get("images").and_then(|n| n.parse().ok());
    let images = images.unwrap_or(job.images);
    let resolved = certificates::resolve(&entry, job.seed, network, data, images)?;
    let Some(resolved) = resolved.into_iter().next() else { return Ok(None) };
    let go_on = &|| false;
    let mut rows = Vec::new();
    match resolved.task {
        Task::Certificate(settings) => {
            let keeper = &mut Forget;
            certify_batch(
                network,
                batch,
                &settings,
                SAMPLES_PER_PASS,
                keeper,
                go_on,
                &mut |row| {
                    rows.push(untimed_certificate(&row));
                    Ok(())
                },
            )?;
        }
        Task::Patch(certificate) => {
            let certificate = certificate.as_ref();
            certify_patches(network, batch, certificate, SAMPLES_PER_PASS, go_on, &mut |row| {
                rows.push(untimed_patch(&row));
                Ok(())
            })?;
        }
        Task::Bound(settings) => bound_batch(network, batch, &settings, go_on, &mut |row| {
            rows.push(untimed_bound(&row));
            Ok(())
        })?,
        Task::Attack(..) => return Ok(None),
    }
    Ok(Some(rows))
}

/// A row as text, without its time.
pub(crate) fn untimed_certificate(row: &CertificateRow) -> String {
    format!("{:?}", CertificateRow { time: String::new(), ..row.clone() })
}

/// A row as text, without its time.
pub(crate) fn untimed_patch(row: &PatchRow) -> String {
    format!("{:?}", PatchRow { time: String::new(), ..row.clone() })
}

/// A row as text, without its time.
pub(crate) fn untimed_bound(row: &BoundRow) -> String {
    format!("{:?}", BoundRow { time: String::new(), ..row.clone() })
}

/// The entry of a suite that gives this work; `None` for an attack.
fn entry(work: &Work) -> Option<CertificateEntry> {
    let mut given: BTreeMap<String, String> = work.parameters().clone();
    let mut take = |name: &str| given.remove(name);
    let float = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok());
    let many =
        |values: &[f64]| OneOrMany::Many(values.iter().copied().map(Number::Float).collect());
    let mut entry = CertificateEntry::default();
    match work {
        Work::Attack { .. } => return None,
        Work::Certificate { certificate, norm, sigma, radii, .. } => {
            entry.certificate.clone_from(certificate);
            entry.norm = Some(norm.clone());
            entry.sigma = (*sigma > 0.0).then_some(Number::Float(*sigma));
            entry.radii.clone_from(radii);
            entry.mode = take("mode");
            entry.noise = take("noise");
            entry.n0 = float(take("N0")).map_or(entry.n0, |n| n as u64);
            entry.n = float(take("N")).map_or(entry.n, |n| n as u64);
            entry.alpha = float(take("alpha")).unwrap_or(entry.alpha);
            take("images");
        }
        Work::PatchCertificate { certificate, .. } => {
            entry.certificate.clone_from(certificate);
            entry.patch = OneOrMany::One(Number::Text(take("patch")?));
            take("copies");
        }
        Work::Bound { certificate, threat, eps, .. } => {
            entry.certificate.clone_from(certificate);
            entry.norm = Some(threat.clone());
            entry.eps = many(eps);
            entry.steps = take("steps").and_then(|steps| steps.parse().ok());
        }
    }
    entry.parameters =
        given.into_iter().map(|(name, value)| (name, toml::Value::String(value))).collect();
    Some(entry)
}
