//! CNN-A of the verification literature (used by CROWN-IBP, SDP-FO and alpha-beta-CROWN) for
//! CIFAR-10.

use super::{Architecture, Plan, Weights};
use crate::error::Result;
use crate::nn::{Layer, flatten, relu};

/// Two 4 x 4 convolutions of stride 2 and two fully connected layers; the keys are positions in a
/// sequential module.
pub(super) const CNN_A: Architecture = Architecture {
    name: "cifar-cnn-a",
    family: "cifar-cnn-a",
    about: "CNN-A of the verification literature for CIFAR-10",
    input_shape: [3, 32, 32],
    classes: 10,
    normalisation: Some((
        &[125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0],
        &[63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0],
    )),
    build,
    ..Architecture::FIXED
};

fn build(w: &mut Weights<'_>, plan: &Plan) -> Result<Vec<Layer>> {
    Ok(vec![
        w.conv_bias("0", 16, plan.input_shape[0], 4)?.stride(2).padding(1).layer(),
        relu(),
        w.conv_bias("2", 32, 16, 4)?.stride(2).padding(1).layer(),
        relu(),
        flatten(),
        w.linear("5", 100, 2048)?,
        relu(),
        w.linear("7", plan.classes, 100)?,
    ])
}
