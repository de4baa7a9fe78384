//! Certificates drawn at random, computed again with their own noise: a radius, a count or a bound that
//! was raised comes out as it was.

use super::{Rows, Subject, Verification};
use crate::bench::again::certificate_rows;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::record::{BoundRow, CertificateRow, PatchRow};

/// Computes some certificates of the job again.
pub(super) fn verify(subject: &Subject<'_>, rows: &Rows, found: &mut Verification) -> Result<()> {
    let Subject { job, network, data, settings, stop, .. } = *subject;
    let texts: Vec<String> = match rows {
        Rows::Attack(_) => return Ok(()),
        Rows::Certificate(rows) => rows.iter().map(CertificateRow::untimed).collect(),
        Rows::Patch(rows) => rows.iter().map(PatchRow::untimed).collect(),
        Rows::Bound(rows) => rows.iter().map(BoundRow::untimed).collect(),
    };
    let images = rows.images();
    let mut chosen: Vec<usize> = (0..images.len()).collect();
    let order = |number: &usize| {
        sha256(format!("{} {} {}", settings.seed, job.key, images[*number].0).as_bytes())
    };
    chosen.sort_by_cached_key(order);
    chosen.truncate(settings.certificates);
    for number in chosen {
        if stop() {
            return Err(Error::Interrupted);
        }
        let idx = images[number].0;
        let batch = data.read(&[idx])?;
        let Some(again) = certificate_rows(job, network, data.data.as_ref(), &batch)? else {
            return Ok(());
        };
        found.certificates += 1;
        if again.first() != Some(&texts[number]) {
            let problem = format!(
                "its certificate comes out otherwise: {} is {}",
                texts[number],
                again.first().map_or("none", String::as_str)
            );
            found.find(format!("{}: image {idx}", job.id), problem);
        }
    }
    Ok(())
}
