//! Whether the gradient is zero where APGD begins: the attack then has nothing to climb. The published
//! code looks inside its runs on the difference of logits ratio; here the random start is drawn once
//! more, so that the attack does not know of it.

use super::{Check, Subject, When};
use crate::attack::apgd::random_start;
use crate::attack::gradient::ball;
use crate::error::Result;
use crate::loss::Loss;
use crate::model::predictions;
use crate::rng::Stream;
use crate::rows::{self, Rows, Twin};
use crate::threat::Norm;

pub(super) const CHECK: Check = Check {
    name: "zero-gradients",
    meaning: "Where APGD begins the loss has no slope at these images: attacks by gradients cannot \
move, and robust accuracy may be too high.",
    remedy: "Look for rounding, clipping or saturated activations in the forward; attack without \
gradients (square), or differentiate a smooth stand-in.",
    when: When::Before(seen),
    misleads: true,
};

fn seen(subject: &Subject<'_>) -> Result<Option<String>> {
    let (norm, eps) = ball(&subject.threat);
    let stream = Stream::new(subject.seed, "check zero-gradients");
    let (mut zero, mut attacked) = (0, 0);
    for chunk in subject.chunks() {
        let (first, images) = chunk?;
        let predicted = predictions(&subject.model.logits(&images)?)?;
        let label = |row: usize| subject.batch.labels[first + row];
        let correct: Vec<usize> =
            (0..predicted.len()).filter(|row| predicted[*row] == label(*row)).collect();
        if correct.is_empty() {
            continue;
        }
        let place = subject.model.home();
        let clean = images.select(&correct)?.at(&place)?;
        let noise = rows::map(Twin::NONE, [&clean], |row, _, out| {
            let draw = stream.draw(subject.batch.ids[first + correct[row]], 0);
            match norm {
                Norm::Linf => draw.uniform(out),
                Norm::L2 | Norm::L1 => draw.normal(out),
            }
        })?;
        let start = rows::map(Twin::NONE, [&clean, &noise], |_, [x0, t], x| {
            random_start(norm, x0, t, eps, x);
        })?;
        let labels: Vec<u32> = correct.iter().map(|row| label(*row)).collect();
        let (labels, none) = (Rows::classes(&place, &labels)?, Rows::none(&place)?);
        let gradient = subject.model.evaluate(&start, Loss::Dlr, &labels, &none)?.gradient;
        let slopes = gradient.values()?;
        zero +=
            slopes.chunks_exact(gradient.width()).filter(|g| g.iter().all(|v| *v == 0.0)).count();
        attacked += correct.len();
    }
    Ok((zero > 0).then(|| format!("zero gradients on {zero} of {attacked} images")))
}
