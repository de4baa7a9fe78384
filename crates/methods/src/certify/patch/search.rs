//! What the tests of all patch certificates share: small random networks, and an adversary that tries
//! every place of the patch with every content of a few values and with random contents.

use candle_core::{Device, Tensor};

use super::row::PatchRow;
use super::{PatchCertificate, certify_patches};
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Classifier, ModelInfo, Pull};
use crate::rng::Stream;
use crate::rows::Rows;
use crate::threat::Patch;

const CLASSES: usize = 3;
const HIDDEN: usize = 8;

/// Images of one network that are attacked; every one costs tens of thousands of forwards.
const MOST: usize = 5;

/// A two-layer network of random weights.
pub(super) struct Tiny {
    info: ModelInfo,
    hidden: Vec<f32>,
    output: Vec<f32>,
}

impl Tiny {
    pub(super) fn new(seed: u64, shape: [usize; 3]) -> Self {
        let pixels = shape.iter().product::<usize>();
        let (mut hidden, mut output) =
            (vec![0.0; HIDDEN * (pixels + 1)], vec![0.0; CLASSES * HIDDEN]);
        Stream::new(seed, "tiny").draw(0, 0).normal(&mut hidden);
        Stream::new(seed, "tiny").draw(0, 1).normal(&mut output);
        let mut info = ModelInfo::new("tiny", shape, CLASSES);
        info.parameters = hidden.len() + output.len();
        info.sha256 = "0123456789abcdef0123456789abcdef".into();
        Self { info, hidden, output }
    }
}

impl Classifier for Tiny {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        let mut logits = Vec::with_capacity(images.len() * CLASSES);
        for row in images.values()?.chunks_exact(images.width()) {
            let mut hidden = [0.0; HIDDEN];
            for (h, weights) in hidden.iter_mut().zip(self.hidden.chunks_exact(row.len() + 1)) {
                // Pixels around zero, so that hidden parts say nothing.
                let sum: f32 = row.iter().zip(weights).map(|(x, w)| (x - 0.5) * w).sum();
                *h = (sum + weights[row.len()]).max(0.0);
            }
            let logit = |weights: &[f32]| hidden.iter().zip(weights).map(|(h, w)| h * w).sum();
            logits.extend(self.output.chunks_exact(HIDDEN).map(|w| -> f32 { logit(w) }));
        }
        Rows::new(&images.location(), [images.len(), CLASSES], logits)
    }

    fn linearise(&self, _: &Rows) -> Result<(Rows, Pull<'_>)> {
        Err(candle_core::Error::Msg("certificates need no gradients".into()).into())
    }
}

/// Images of random binary pixels.
pub(super) fn images(seed: u64, count: usize, [c, h, w]: [usize; 3]) -> Vec<Vec<f32>> {
    (0..count as u64)
        .map(|image| {
            let mut pixels = vec![0.0; c * h * w];
            Stream::new(seed, "images").draw(image, 0).uniform(&mut pixels);
            pixels.iter().map(|u| f32::from(u8::from(*u > 0.5))).collect()
        })
        .collect()
}

pub(super) fn rows(
    network: &dyn Classifier,
    certificate: &dyn PatchCertificate,
    images: &[Vec<f32>],
    labels: &[u32],
    batch_size: usize,
) -> Vec<PatchRow> {
    let [c, h, w] = network.info().input_shape;
    let images = Tensor::from_vec(images.concat(), (labels.len(), c, h, w), &Device::Cpu).unwrap();
    let ids = (0..labels.len() as u64).collect();
    let batch = Batch { ids, images, labels: labels.to_vec() };
    let mut rows = Vec::new();
    certify_patches(network, &batch, certificate, batch_size, &|| false, &mut |row| {
        // Not reproducible, so out of the way of comparisons.
        rows.push(PatchRow { time: String::new(), ..row });
        Ok(())
    })
    .unwrap();
    rows
}

/// Certifies `images` under the labels that the defence gives them and attacks the certified ones,
/// [`MOST`] of them, with every content of `values` and some random ones at every place of `patch`.
/// Returns how many were attacked and how many of these the adversary moved to another class.
pub(super) fn certified_and_broken(
    network: &dyn Classifier,
    certificate: &dyn PatchCertificate,
    images: &[Vec<f32>],
    patch: Patch,
    values: &[f32],
) -> (usize, usize) {
    let clean = rows(network, certificate, images, &vec![0; images.len()], 256);
    let labels: Vec<u32> = clean.iter().map(|row| row.predict).collect();
    let certified = rows(network, certificate, images, &labels, 256);
    let (mut count, mut broken) = (0, 0);
    for row in certified.iter().filter(|row| row.certified == 1).take(MOST) {
        count += 1;
        let attacks = adversaries(&images[row.idx as usize], network, patch, values);
        // Under another label the defence does not spend forwards on certifying these.
        let labels = vec![(row.label + 1) % CLASSES as u32; attacks.len()];
        let found = rows(network, certificate, &attacks, &labels, 4096);
        broken += usize::from(found.iter().any(|found| found.predict != row.label));
    }
    (count, broken)
}

fn adversaries(
    image: &[f32],
    network: &dyn Classifier,
    patch: Patch,
    values: &[f32],
) -> Vec<Vec<f32>> {
    let shape = network.info().input_shape;
    let area = shape[0] * patch.height * patch.width;
    let contents = values.len().pow(area as u32);
    let mut attacks = Vec::new();
    for place in 0..patch.places(shape) {
        let elements: Vec<usize> =
            patch.elements(patch.place(place, shape), shape).map(|(i, _)| i).collect();
        for content in 0..contents + 8 {
            let mut attacked = image.to_vec();
            let mut random = vec![0.0; area];
            Stream::new(7, "contents").draw(place as u64, content as u32).uniform(&mut random);
            let mut rest = content;
            for (element, random) in elements.iter().zip(random) {
                let value = if content < contents { values[rest % values.len()] } else { random };
                attacked[*element] = value;
                rest /= values.len();
            }
            attacks.push(attacked);
        }
    }
    attacks
}
