//! Whether different images get the same logits, to the last bit: a dead network, or one that does not see its
//! input.

use std::collections::{HashMap, HashSet};

use super::{Check, Subject, When};
use crate::data::image_digest;

pub(super) const CHECK: Check = Check {
    name: "constant-outputs",
    meaning: "Different images get the same logits, to the last bit: the network does not see what changes \
between them, and what is robust there is no achievement.",
    remedy: "Look for dead activations, a wrong normalisation or a wrong range of pixels.",
    when: When::Before(|subject: &Subject<'_>| {
        let images = subject.batch.rows()?;
        let shape = subject.model.info().input_shape;
        let pixels = images.values()?;
        // An image that occurs under several labels is one.
        let pixels =
            pixels.chunks_exact(images.width().max(1)).map(|image| image_digest(0, shape, image));
        let outputs = subject.logits.values()?;
        let outputs = outputs.chunks_exact(subject.logits.width().max(1)).map(bits);
        let mut with: HashMap<Vec<u32>, HashSet<String>> = HashMap::new();
        let mut all = HashSet::new();
        for (image, output) in pixels.zip(outputs) {
            all.insert(image.clone());
            with.entry(output).or_default().insert(image);
        }
        let most = with.values().map(HashSet::len).max().unwrap_or(0);
        // Two images may meet by chance, at a rounding network.
        let many = most > 1 && 10 * most >= all.len();
        Ok(many.then(|| format!("the same logits for {most} of {} different images", all.len())))
    }),
    misleads: true,
    single: true,
};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
