//! Training of small networks: standard, adversarial (PGD), TRADES and Gaussian augmentation. It is
//! here so that the bundled models can be made again by anyone, not as a training framework. Weight
//! gradients come from candle's autograd through the program's reference reading, on the CPU; the adversarial
//! images come from the frozen engine, rebuilt on the current weights, on a GPU if there is one.

mod method;

use candle_core::{D, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

pub use method::Method;

use crate::data::Dataset;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::{FrozenNetwork, ModelInfo};
use crate::rng::Stream;
use crate::zoo::{Architecture, Fresh, NetworkSettings};

/// How to train.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What is minimised.
    pub method: Method,
    /// Passes over the data.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Learning rate of AdamW at the start; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Seed of the initial weights, the order of the images and all noise.
    pub seed: u64,
    /// Where the network under attack runs, resolved.
    pub device: Device,
}

/// How an epoch went.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub number: usize,
    /// Mean loss over the images.
    pub loss: f64,
    /// Share of the (perturbed) training images that were classified correctly.
    pub accuracy: f64,
}

/// Trains a fresh network; `after` hears of every epoch and may stop the training with an error.
///
/// # Errors
/// If the data do not fit the architecture, a setting cannot be used, or `after` says so.
pub fn train(
    architecture: &Architecture,
    settings: &NetworkSettings,
    data: &dyn Dataset,
    recipe: &Recipe,
    mut after: impl FnMut(&Epoch) -> Result<()>,
) -> Result<Fresh> {
    if data.info().shape != settings.input_shape {
        return Err(Error::setting(
            "data",
            format!(
                "images are {:?}, the network takes {:?}",
                data.info().shape,
                settings.input_shape
            ),
            "choose a data set of the network's input shape",
        ));
    }
    recipe.method.fits(settings.input_shape)?;
    let mut weights = Fresh::new(recipe.seed);
    let program = architecture.program(&mut weights, settings)?;
    let variables = weights.variables.values().cloned().collect();
    let mut optimiser = AdamW::new(
        variables,
        ParamsAdamW {
            lr: recipe.learning_rate,
            weight_decay: recipe.weight_decay,
            ..ParamsAdamW::default()
        },
    )?;
    let steps = recipe.epochs * data.info().len.div_ceil(recipe.batch);
    let mut step = 0;
    let mut before: Option<FrozenNetwork> = None;
    for number in 1..=recipe.epochs {
        let (mut loss_sum, mut correct) = (0.0, 0.0);
        for indices in shuffled(data.info().len, recipe.seed, number).chunks(recipe.batch) {
            let progress = step as f64 / steps as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            optimiser.set_learning_rate(recipe.learning_rate * cosine);
            let batch = data.read(indices)?;
            let labels = Tensor::new(batch.labels.as_slice(), batch.images.device())?;
            // A new program packs the current weights for the frozen engine.
            let mut frozen = FrozenNetwork::new(
                info(architecture, settings),
                architecture.program(&mut weights, settings)?,
            );
            // The GPU stays open from step to step.
            match &before {
                None => frozen.place(&recipe.device, Precision::F32)?,
                Some(before) => frozen.place_beside(before)?,
            }
            let stream = Stream::new(recipe.seed, "training noise").restart(number as u32);
            let seen = recipe.method.perturb(&frozen, &batch, stream)?;
            before = Some(frozen);
            let logits = program.reference(&seen)?;
            let loss = recipe.method.loss(&program, &batch.images, &logits, &labels)?;
            optimiser.backward_step(&loss)?;
            loss_sum += f64::from(loss.to_scalar::<f32>()?) * indices.len() as f64;
            let hits = logits.argmax(D::Minus1)?.eq(&labels)?.to_dtype(candle_core::DType::F64)?;
            correct += hits.sum_all()?.to_scalar::<f64>()?;
            step += 1;
        }
        let len = data.info().len as f64;
        after(&Epoch { number, loss: loss_sum / len, accuracy: correct / len })?;
    }
    Ok(weights)
}

/// The order of the images in an epoch (Fisher and Yates).
fn shuffled(len: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let draw = Stream::new(seed, "training order").draw(epoch as u64, 0);
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, draw.below(i as u32, i + 1));
    }
    order
}

fn info(architecture: &Architecture, settings: &NetworkSettings) -> ModelInfo {
    let mut info = ModelInfo::new("training", settings.input_shape, settings.classes);
    info.architecture = architecture.name.into();
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use crate::zoo;

    #[test]
    fn an_order_is_a_permutation_that_changes_with_the_epoch() {
        let (a, b) = (shuffled(100, 0, 1), shuffled(100, 0, 2));
        assert_ne!(a, b);
        for mut order in [a, b] {
            order.sort_unstable();
            assert_eq!(order, (0..100).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_method_learns() {
        let architecture = zoo::find("digits-mlp").unwrap();
        let digits = data::Subset::first(data::open("digits:train").unwrap(), 200).unwrap();
        for method in ["standard", "pgd", "trades", "gaussian"] {
            let recipe = Recipe {
                method: Method::new(method, crate::threat::Norm::Linf, 0.05, 3, 6.0, 0.1).unwrap(),
                epochs: 4,
                batch: 50,
                learning_rate: 5e-3,
                weight_decay: 0.0,
                seed: 0,
                device: std::env::var("EPSBALL_TEST_DEVICE")
                    .map_or(Device::Cpu, |device| device.parse().unwrap()),
            };
            let mut losses = Vec::new();
            let after = |epoch: &Epoch| {
                losses.push(epoch.loss);
                Ok(())
            };
            train(architecture, &architecture.settings(), &digits, &recipe, after).unwrap();
            assert!(losses[3] < 0.8 * losses[0], "{method}: {losses:?}");
        }
    }
}
