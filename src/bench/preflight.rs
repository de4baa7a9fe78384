//! What can be found out before the work starts: that models and data fit, that networks return
//! logits, that every image and label can be used.

use crate::attack::check::like_probabilities;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Classifier, predictions};

/// Images that a network is tried on before the work starts.
const FIRST: usize = 64;

/// The outputs are finite and do not look like probabilities. A network that gives one answer whatever
/// it sees is told: no attack breaks a constant.
pub(super) fn returns_logits(
    model: &dyn Classifier,
    data: &dyn Dataset,
    probabilities_declared: bool,
) -> Result<()> {
    let first: Vec<usize> = (0..data.info().len.min(FIRST)).collect();
    let batch = data.read(&first)?;
    let logits = model.logits(&batch.rows()?)?;
    let subject = || format!("model {}", model.info().name);
    if !logits.values()?.iter().all(|v| v.is_finite()) {
        return Err(Error::setting(
            subject(),
            "returns NaN or infinity on the first images",
            "check the weights and the normalisation",
        ));
    }
    let classes = predictions(&logits)?;
    let one = |classes: &[u32]| classes.iter().all(|class| *class == classes[0]);
    if !one(&batch.labels) && one(&classes) {
        tracing::warn!(
            "{} answers class {} for each of the first {} images: see whether its weights and its \
             normalisation are the right ones",
            subject(),
            classes[0],
            classes.len()
        );
    }
    if like_probabilities(&logits)? && !probabilities_declared {
        return Err(Error::setting(
            subject(),
            "returns probabilities: gradients vanish there and attacks look weaker than they are",
            "remove the softmax at the end, or set probabilities = true to attack it as it is",
        ));
    }
    Ok(())
}

/// Every image can be read and every label is one of `classes`, if networks have any; the readers check
/// the pixels. Returns the index and the digest of each image.
pub(super) fn readable(
    data: &dyn Dataset,
    classes: Option<usize>,
    batch: usize,
) -> Result<Vec<(u64, String)>> {
    let mut images = Vec::with_capacity(data.info().len);
    for batch in crate::data::batches(data, batch) {
        let batch = batch?;
        images.extend(batch.ids.iter().copied().zip(batch.digests()?));
        let Some(classes) = classes else { continue };
        if let Some(i) = batch.labels.iter().position(|label| *label as usize >= classes) {
            return Err(Error::setting(
                format!("label of image {} of {}", batch.ids[i], data.info().name),
                format!("is {}, the networks have {classes} classes", batch.labels[i]),
                "choose the data set the networks were trained for",
            ));
        }
    }
    Ok(images)
}
