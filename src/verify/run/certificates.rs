//! Certificates and accuracies under corruptions, drawn at random and computed again, the former with their
//! own noise: a radius, a count or a bound that was raised comes out as it was.

use super::{Subject, Verification};
use crate::bench::again;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::work::{self, Rows};

/// Computes some certificates of the job again.
pub(super) fn verify(
    subject: &Subject<'_>,
    rows: &dyn Rows,
    found: &mut Verification,
) -> Result<()> {
    let Subject { job, network, data, settings, stop, .. } = *subject;
    let Some(task) = again::task(job, network, data.data.as_ref())? else { return Ok(()) };
    let texts = rows.untimed();
    let (images, sizes) = (rows.images(), rows.sizes());
    let by_image = work::of(&job.work)?.by_image();
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
        let again = task.again(network, &|images| data.read(images), (idx, sizes[number]))?;
        let Some(again) = again else { continue };
        let (count, row, what) = match by_image {
            true => (&mut found.certificates, format!("image {idx}"), "certificate"),
            false => (&mut found.corruptions, format!("row {}", number + 1), "accuracy"),
        };
        *count += 1;
        if again != texts[number] {
            let problem = format!("its {what} comes out otherwise: {} is {again}", texts[number]);
            found.find(format!("{}: {row}", job.id), problem);
        }
    }
    Ok(())
}
