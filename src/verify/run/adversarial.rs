//! The rows of an attack, looked at again: what the network says of each clean image, and whether every
//! saved adversarial image is the one of its row, lies where the row says, and is still misclassified.

use super::{Finding, Subject, Verification};
use crate::attack::Criterion;
use crate::data::{self, Batch};
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork, predicted};
use crate::network::Network;
use crate::ops::with_slice;
use crate::record::JobRecord;
use crate::results::Region;
use crate::threat::{Change, PatchSize, Threat};
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
        // A service computes as it does.
        if let (true, Some(network)) = (settings.in_f64, network.engine()) {
            judge_in_f64(job, &own[..there.len()], network, &clean, &images, found)?;
        }
    }
    Ok(())
}

/// Judges the saved `images` of `rows`, whose clean images come first in `clean`.
fn judge(
    job: &JobRecord,
    rows: &[AttackRow],
    network: &Network,
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

/// Asks the network in f64 about the saved `images` of the `rows` that were broken, and about their clean images.
fn judge_in_f64(
    job: &JobRecord,
    rows: &[AttackRow],
    network: &FrozenNetwork,
    clean: &Batch,
    images: &Batch,
    found: &mut Verification,
) -> Result<()> {
    let broken: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].adversarial()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let classes = |batch: &Batch| -> Result<Vec<u32>> {
        let logits = network.logits_in_f64(&batch.rows()?.select(&broken)?)?;
        Ok(logits.chunks_exact(network.info().classes).map(largest).collect())
    };
    let answers = classes(clean)?.into_iter().zip(classes(images)?);
    for (row, (before, after)) in broken.iter().map(|i| &rows[*i]).zip(answers) {
        found.in_f64 += 1;
        let problem = if before != row.label {
            format!("in f64 its clean image is classified as {before} already, not {}", row.label)
        } else if !Criterion::new(row.label, row.target).met_by(after) {
            format!("in f64 its adversarial image is classified as {after}")
        } else {
            continue;
        };
        found
            .by_rounding
            .push(Finding { place: format!("{}: image {}", job.id, row.idx), problem });
    }
    Ok(())
}

/// Number of the largest logit; the first one of equals.
fn largest(z: &[f64]) -> u32 {
    z.iter().enumerate().fold(0, |best, (i, v)| if *v > z[best] { i } else { best }) as u32
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
    // Most tables do not say how many values were changed, or where.
    let (counted, placed) = (says.features.is_some(), row.top.is_some());
    let features = is.features.filter(|_| counted);
    let is = Change { features, place: is.place.filter(|_| placed), ..is };
    if is != says {
        return Some(format!("the saved image differs from the clean one by {is:?}, not {says:?}"));
    }
    if x.iter().any(|value| !(0.0..=1.0).contains(value)) {
        return Some("the saved image leaves the box [0, 1]".into());
    }
    if class != row.prediction || class == row.label {
        return Some(format!("the saved image is classified as {class}, not {}", row.prediction));
    }
    (!inside(job, row, (x, x0, shape)))
        .then(|| "the saved image lies outside the threat model".to_owned())
}

/// Whether the image of `row` lies inside the threat model that the job ran under: the row says it but for patches that
/// are no rectangles, of which the image `x` has to.
fn inside(job: &JobRecord, row: &AttackRow, (x, x0, shape): (&[f32], &[f32], [usize; 3])) -> bool {
    match Region::new(&job.work.threat, job.work.eps.last().copied()) {
        _ if job.work.is("minimal") => true,
        Region::Anywhere => false,
        Region::Form(words, _) => {
            // The words of a mask do not say its pixels; the file that has them is recorded.
            let patch = job.work.facts.get("mask").map_or(words.as_str(), String::as_str);
            let patch = patch.strip_prefix("patch ").unwrap_or(patch).parse::<PatchSize>();
            let threat = patch.and_then(|patch| patch.resolve(shape)).map(Threat::Patch);
            threat.is_ok_and(|threat| threat.to_string() == words && threat.allows(x, x0, shape))
        }
        region => region.holds_own(&row.change()),
    }
}
