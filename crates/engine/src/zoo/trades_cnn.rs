//! The MNIST network of TRADES (Zhang et al., ICML 2019, appendix): the one whose robust accuracy
//! many attack papers report.

use super::{Architecture, NetworkSettings, Weights};
use crate::error::Result;
use crate::nn::{Layer, flatten, max_pool, relu};

/// `SmallCNN`: four convolutions without padding, two pools, three fully connected layers; dropout
/// is the identity in evaluation.
pub(super) const SMALL_CNN: Architecture = Architecture {
    name: "trades-small-cnn",
    family: "trades-small-cnn",
    about: "SmallCNN of TRADES for MNIST",
    input_shape: [1, 28, 28],
    classes: 10,
    normalisation: None,
    build,
    ..Architecture::FIXED
};

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let mut features = w.at("feature_extractor");
    let mut layers = vec![
        features.conv_bias("conv1", 32, settings.input_shape[0], 3)?.layer(),
        relu(),
        features.conv_bias("conv2", 32, 32, 3)?.layer(),
        relu(),
        max_pool(2, 2),
        features.conv_bias("conv3", 64, 32, 3)?.layer(),
        relu(),
        features.conv_bias("conv4", 64, 64, 3)?.layer(),
        relu(),
        max_pool(2, 2),
        flatten(),
    ];
    let mut classifier = w.at("classifier");
    layers.extend([
        classifier.linear("fc1", 200, 1024)?,
        relu(),
        classifier.linear("fc2", 200, 200)?,
        relu(),
        classifier.linear("fc3", settings.classes, 200)?,
    ]);
    Ok(layers)
}
