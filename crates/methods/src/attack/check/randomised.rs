//! Whether the network answers the same image differently from one forward to the next. Attacks that
//! follow one draw of its randomness overestimate it.

use super::{Check, Subject, When, logits};
use crate::error::Result;
use crate::model::predictions;

pub(super) const CHECK: Check = Check {
    name: "randomised",
    meaning: "Equal images get different answers: gradients of a single draw mislead the attack, and \
robust accuracy may be too high.",
    remedy: "Use version = \"rand\", which averages gradients over draws, and declare the model \
randomised.",
    when: When::Before(seen),
    misleads: true,
    single: false,
};

/// Forwards of every image.
const FORWARDS: usize = 5;

/// Largest L2 distance between two outputs of one image, each normalised to length 1.
const TOLERANCE: f64 = 1e-4;

fn seen(subject: &Subject<'_>) -> Result<Option<String>> {
    let averaged = |part: &crate::attack::Configured| {
        part.parameters.get("eot_iter").is_some_and(|draws| draws != "1")
    };
    if subject.parts.iter().any(averaged) {
        return Ok(None);
    }
    let mut outputs: Vec<Vec<f64>> = Vec::new();
    let mut correct: Vec<usize> = Vec::new();
    for forward in 0..FORWARDS {
        let logits = match forward {
            0 => subject.logits.clone(),
            _ => logits(subject.model, subject.batch, subject.size)?,
        };
        let right = predictions(&logits)?.into_iter().zip(&subject.batch.labels);
        correct.push(right.filter(|(prediction, label)| prediction == *label).count());
        let classes = logits.width().max(1);
        outputs.push(logits.values()?.chunks_exact(classes).flat_map(normalised).collect());
    }
    let classes = outputs[0].len() / subject.batch.len();
    let mut largest = 0.0_f64;
    for (i, a) in outputs.iter().enumerate() {
        for b in &outputs[i + 1..] {
            for (a, b) in a.chunks_exact(classes).zip(b.chunks_exact(classes)) {
                largest = largest.max(length(a.iter().zip(b).map(|(a, b)| a - b)));
            }
        }
    }
    let differ = largest > TOLERANCE || correct.iter().any(|count| *count != correct[0]);
    Ok(if differ {
        let images = subject.batch.len();
        Some(format!(
            "randomised forward: {FORWARDS} passes over {images} images differ by up to {largest:.2} \
of the logits' length"
        ))
    } else {
        subject.model.info().randomised.then(|| "randomised forward, as declared".into())
    })
}

fn normalised(z: &[f32]) -> Vec<f64> {
    let length = length(z.iter().map(|v| f64::from(*v))) + 1e-10;
    z.iter().map(|v| f64::from(*v) / length).collect()
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
