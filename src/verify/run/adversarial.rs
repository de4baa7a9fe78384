//! The rows of an attack, looked at again: what the network says of each clean image, and whether every
//! saved adversarial image is the one of its row, lies where the row says, and is still misclassified.

use super::{Subject, Verification};
use crate::data::{self, Batch};
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork, predicted};
use crate::ops::with_slice;
use crate::record::JobRecord;
use crate::results::Region;
use crate::threat::Change;
use crate::work::AttackRow;

/// Looks at the `rows` of the job.
pub(super) fn verify(
    subject: &Subject<'_>,
    rows: &[AttackRow],
    found: &mut Verification,
) -> Result<()> {
    let Subject { folder, job, network, data, settings, stop } = *subject;
    let saved = folder.join(&job.file).with_extension("adversarial.safetensors");
    let saved = match saved.exists() {
        true => Some(data::open(&format!("safetensors:{}", saved.display()))?),
        false => None,
    };
    let count = saved.as_ref().map_or(0, |saved| saved.info().len);
    if count > rows.len() {
        let problem = format!("{count} adversarial images were saved for {} rows", rows.len());
        found.find(&job.id, problem);
    }
    let numbers: Vec<usize> = (0..rows.len()).collect();
    for part in numbers.chunks(settings.batch.max(1)) {
        if stop() {
            return Err(Error::Interrupted);
        }
        let own = &rows[part[0]..part[0] + part.len()];
        let clean = data.read(&own.iter().map(|row| row.idx).collect::<Vec<_>>())?;
        // Every answer of a randomised network is another draw.
        if !network.info().randomised {
            let images = clean.rows()?;
            let classes = predicted(network, &images, &network.exact_logits(&images)?)?;
            found.clean += own.len();
            for (row, class) in own.iter().zip(classes) {
                if row.clean != class {
                    let problem =
                        format!("its clean image is classified as {class}, not {}", row.clean);
                    found.find(format!("{}: image {}", job.id, row.idx), problem);
                }
            }
        }
        let there: Vec<usize> = part.iter().copied().filter(|number| *number < count).collect();
        let Some(saved) = saved.as_ref().filter(|_| !there.is_empty()) else { continue };
        let images = saved.read(&there)?;
        judge(job, &own[..there.len()], network, &clean, &images, found)?;
    }
    Ok(())
}

/// Judges the saved `images` of `rows`, whose clean images come first in `clean`.
fn judge(
    job: &JobRecord,
    rows: &[AttackRow],
    network: &FrozenNetwork,
    clean: &Batch,
    images: &Batch,
    found: &mut Verification,
) -> Result<()> {
    let asked = images.rows()?;
    let classes = predicted(network, &asked, &network.exact_logits(&asked)?)?;
    let shape = network.info().input_shape;
    let length = shape.iter().product::<usize>().max(1);
    let digests = images.digests()?;
    with_slice::<f32, _>(&images.images, |pixels| {
        with_slice::<f32, _>(&clean.images, |originals| {
            let images = pixels.chunks_exact(length).zip(originals.chunks_exact(length));
            let all = rows.iter().zip(images).zip(&digests).zip(&classes);
            for (((row, (x, x0)), digest), class) in all {
                found.adversarial += 1;
                if let Some(problem) = wrong(job, row, x, x0, shape, digest, *class) {
                    found.find(format!("{}: image {}", job.id, row.idx), problem);
                }
            }
            Ok(())
        })
    })
}

/// What is wrong with the saved image `x` of `row`, if anything.
fn wrong(
    job: &JobRecord,
    row: &AttackRow,
    x: &[f32],
    x0: &[f32],
    shape: [usize; 3],
    digest: &str,
    class: u32,
) -> Option<String> {
    if digest != row.adversarial {
        return Some("the saved image is not the adversarial image of its row".into());
    }
    if row.found == 0 || !row.clean_correct() {
        return None;
    }
    let says = row.change();
    let is = Change::of(x, x0, shape);
    // Most tables do not say how many values were changed.
    let is = Change { features: is.features.filter(|_| says.features.is_some()), ..is };
    if is != says {
        return Some(format!("the saved image differs from the clean one by {is:?}, not {says:?}"));
    }
    if x.iter().any(|value| !(0.0..=1.0).contains(value)) {
        return Some("the saved image leaves the box [0, 1]".into());
    }
    if class != row.prediction || class == row.label {
        return Some(format!("the saved image is classified as {class}, not {}", row.prediction));
    }
    (!inside(job, row)).then(|| "the saved image lies outside the threat model".to_owned())
}

/// Whether the image lies inside the threat model that the job ran under.
fn inside(job: &JobRecord, row: &AttackRow) -> bool {
    let region = Region::new(&job.work.threat, job.work.eps.last().copied());
    job.work.is("minimal") || (region != Region::Anywhere && region.holds(&row.change()))
}
