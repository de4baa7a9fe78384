//! The kinds of work that a job can be, a room or a file for each: how an entry of a suite becomes jobs,
//! and how what is left of a job is computed. Attacks have a list of their own ([`crate::attack::ALL`]);
//! a certificate is one line in [`CERTIFICATES`], with what resolves its entry.

mod attack;
mod bound;
mod fields;
mod journal;
mod patch;
mod remaining;
mod smoothing;

pub(super) use attack::resolve as resolve_attack;
pub(super) use journal::Journal;
pub(super) use remaining::BATCH;
pub use remaining::Place;

use super::runner::Progress;
use super::suite::CertificateEntry;
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::model::FrozenNetwork;
use crate::record::Work;

/// What a job does. Its settings are decided, and its record says them.
pub trait Task: Send + Sync {
    /// Does what is left of the job at `place`.
    ///
    /// # Errors
    /// If the network, the data or a file fails; [`Error::Interrupted`] if the caller asked to stop.
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()>;

    /// Safety checks belong to the job: their record lies beside its table.
    fn checked(&self) -> bool {
        false
    }

    /// The rows for the images of `batch`, each as text without its time; `None` if rows of this kind
    /// are not computed twice.
    ///
    /// # Errors
    /// If the network fails.
    fn rows(&self, network: &FrozenNetwork, batch: &Batch) -> Result<Option<Vec<String>>> {
        let _ = (network, batch);
        Ok(None)
    }
}

/// A job of an entry, before it is known under which name and in which file.
pub(super) struct Resolved {
    /// What tells it from the model's other jobs.
    pub(super) stem: String,
    pub(super) work: Work,
    pub(super) task: Box<dyn Task>,
}

/// A certificate that a suite can name.
pub struct Certificate {
    /// Its name.
    pub name: &'static str,
    /// What it proves something about: norms, or patches.
    pub threats: &'static str,
    /// What it is, with its source, in one line.
    pub about: &'static str,
    /// The jobs of an entry.
    resolve: fn(&CertificateEntry, &Subject<'_>) -> Result<Vec<Resolved>>,
}

/// What a certificate is resolved for.
pub(super) struct Subject<'a> {
    pub(super) seed: u64,
    pub(super) network: &'a FrozenNetwork,
    pub(super) data: &'a dyn Dataset,
    /// Images of the job.
    pub(super) images: usize,
}

/// Every certificate.
pub const CERTIFICATES: &[Certificate] = &[
    smoothing::COHEN,
    bound::IBP,
    bound::CROWN_IBP,
    bound::FAST_LIN,
    bound::CROWN,
    patch::PATCHCLEANSER,
    patch::COLUMN_SMOOTHING,
    patch::ROW_SMOOTHING,
    patch::BLOCK_SMOOTHING,
];

/// The jobs of `entry`.
pub(super) fn resolve_certificate(
    entry: &CertificateEntry,
    subject: &Subject<'_>,
) -> Result<Vec<Resolved>> {
    match CERTIFICATES.iter().find(|known| known.name == entry.certificate) {
        Some(certificate) => (certificate.resolve)(entry, subject),
        None => {
            let known = CERTIFICATES.iter().map(|known| known.name);
            Err(Error::unknown("certificate", &*entry.certificate, known))
        }
    }
}

/// Refuses the first of these fields that was given: the certificate has no use for it.
pub(super) fn refuse_unused(
    entry: &CertificateEntry,
    fields: &[&str],
    remedy: impl Fn(&str) -> String,
) -> Result<()> {
    let given = |field: &&&str| match **field {
        "sigma" => entry.sigma.is_some(),
        "noise" => entry.noise.is_some(),
        "mode" => entry.mode.is_some(),
        "norm" => entry.norm.is_some(),
        "radii" => !entry.radii.is_empty(),
        "eps" => !entry.eps.values().is_empty(),
        "steps" => entry.steps.is_some(),
        "patch" => !entry.patch.values().is_empty(),
        "parameters" => !entry.parameters.is_empty(),
        _ => false,
    };
    match fields.iter().find(given) {
        None => Ok(()),
        Some(field) => Err(Error::setting(
            format!("certificate {}", entry.certificate),
            format!("has no use for {field}"),
            remedy(field),
        )),
    }
}

/// The entry that gives this work again; `None` for an attack.
pub(super) fn entry_of(work: &Work) -> Option<CertificateEntry> {
    match work {
        Work::Attack { .. } => None,
        Work::Certificate { .. } => smoothing::entry_of(work),
        Work::PatchCertificate { .. } => patch::entry_of(work),
        Work::Bound { .. } => bound::entry_of(work),
    }
}
