//! The two small networks of the bundled digits (1 x 8 x 8): small enough for a full benchmark in
//! seconds on a laptop, deep enough to be attacked in earnest.

use super::{Architecture, NetworkSettings, Weights};
use crate::error::Result;
use crate::nn::{Layer, flatten, relu};

/// Three convolutions and two fully connected layers.
pub(super) const CNN: Architecture = Architecture {
    name: "digits-cnn",
    family: "digits-cnn",
    about: "three convolutions and two fully connected layers for 8 x 8 digits",
    input_shape: [1, 8, 8],
    classes: 10,
    normalisation: None,
    build: cnn,
    ..Architecture::FIXED
};

/// Two hidden layers.
pub(super) const MLP: Architecture = Architecture {
    name: "digits-mlp",
    family: "digits-mlp",
    about: "two hidden layers of 128 for 8 x 8 digits",
    input_shape: [1, 8, 8],
    classes: 10,
    normalisation: None,
    build: mlp,
    ..Architecture::FIXED
};

fn cnn(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let [c, height, width] = settings.input_shape;
    let halved = height.div_ceil(2) * width.div_ceil(2);
    Ok(vec![
        w.conv_bias("conv1", 16, c, 3)?.padding(1).layer(),
        relu(),
        w.conv_bias("conv2", 32, 16, 3)?.padding(1).stride(2).layer(),
        relu(),
        w.conv_bias("conv3", 32, 32, 3)?.padding(1).layer(),
        relu(),
        flatten(),
        w.linear("fc1", 64, 32 * halved)?,
        relu(),
        w.linear("fc2", settings.classes, 64)?,
    ])
}

fn mlp(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let inputs = settings.input_shape.iter().product();
    Ok(vec![
        flatten(),
        w.linear("fc1", 128, inputs)?,
        relu(),
        w.linear("fc2", 128, 128)?,
        relu(),
        w.linear("fc3", settings.classes, 128)?,
    ])
}
