//! Randomized smoothing as work: an entry of a suite, the task it becomes, and the counts of images that
//! are under way.

mod counts;
mod entry;

use self::counts::JobCounts;
use super::remaining::{Place, Remaining, SAMPLES_PER_PASS};
use super::{Certificate, Task};
use crate::bench::runner::Progress;
use crate::bench::suite::{CertificateEntry, Number};
use crate::certify::{Forget, Smoothing, certify_batch};
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Classifier as _, FrozenNetwork};
use crate::record::{CertificateRow, Row as _, Work};

/// CERTIFY.
pub(super) const COHEN: Certificate = Certificate {
    name: "cohen",
    threats: "L2 L1 Linf L0",
    about: "randomized smoothing (Cohen et al. 2019), in any --mode",
    resolve: entry::resolve,
};

/// CERTIFY with its settings.
struct SmoothingTask(Smoothing);

impl Task for SmoothingTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (place.network(), place.stop);
        let work = Remaining::open(place)?;
        let done = work.rows.iter().map(CertificateRow::idx);
        let classes = network.info().classes;
        let mut counts = JobCounts::open(&work.path, &place.record.key, classes, done)?;
        work.image_by_image(progress, |batch, on_row| {
            let counts = &mut counts;
            certify_batch(network, batch, &self.0, SAMPLES_PER_PASS, counts, stop, on_row)
        })?;
        counts.finish()
    }

    fn rows(&self, network: &FrozenNetwork, batch: &Batch) -> Result<Option<Vec<String>>> {
        let (mut rows, keeper) = (Vec::new(), &mut Forget);
        certify_batch(network, batch, &self.0, SAMPLES_PER_PASS, keeper, &|| false, &mut |row| {
            rows.push(row.untimed());
            Ok(())
        })?;
        Ok(Some(rows))
    }
}

/// The entry that gives this work again.
pub(super) fn entry_of(work: &Work) -> Option<CertificateEntry> {
    let Work::Certificate { certificate, norm, sigma, radii, parameters, .. } = work else {
        return None;
    };
    let mut given = parameters.clone();
    let mut take = |name: &str| given.remove(name);
    let mut entry = CertificateEntry {
        certificate: certificate.clone(),
        norm: Some(norm.clone()),
        sigma: (*sigma > 0.0).then_some(Number::Float(*sigma)),
        radii: radii.clone(),
        mode: take("mode"),
        noise: take("noise"),
        n0: take("N0")?.parse().ok()?,
        n: take("N")?.parse().ok()?,
        alpha: take("alpha")?.parse().ok()?,
        ..CertificateEntry::default()
    };
    take("images");
    entry.parameters =
        given.into_iter().map(|(name, value)| (name, toml::Value::String(value))).collect();
    Some(entry)
}
