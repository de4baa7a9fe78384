//! The small network of Wong and Kolter (ICML 2018) for MNIST, which the verification literature (CROWN-IBP,
//! SDP-FO, alpha-beta-CROWN, VNN-COMP) calls CNN-A, for images of any size.

use super::lenet::pair;
use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, flatten, relu};

/// Two 4 x 4 convolutions of stride 2 and two fully connected layers; the keys are positions in a
/// sequential module.
pub(super) const CNN_A: Architecture = Architecture {
    name: "cnn-a",
    family: "cnn-a",
    about: "CNN-A of the verification literature for images of any size",
    input_shape: [1, 28, 28],
    parameters: &[("channels", list(&[16, 32])), ("hidden", Value::Number(100))],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// For CIFAR-10, with the normalisation of the published file.
pub(super) const CIFAR_CNN_A: Architecture = Architecture {
    name: "cifar-cnn-a",
    about: "CNN-A of the verification literature for CIFAR-10",
    input_shape: [3, 32, 32],
    normalisation: Some((
        &[125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0],
        &[63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0],
    )),
    ..CNN_A
};

/// Side of the convolutions' kernels.
const KERNEL: usize = 4;

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let channels = ["0.weight", "2.weight"].map(|name| keys.size(name, 0));
    let channels = channels.into_iter().collect::<Option<Vec<usize>>>()?;
    // Both convolutions halve the sides. An image may have up to three more pixels a side, which its
    // last rows and columns of windows leave out.
    let side = keys.size("5.weight", 1)?.checked_div(channels[1])?.isqrt().checked_mul(4)?;
    if keys.size("0.weight", 2)? != KERNEL {
        return None;
    }
    let parameters = [("channels", channels.into()), ("hidden", keys.size("5.weight", 0)?.into())];
    let shape = [keys.size("0.weight", 1)?, side, side];
    Some(Measured::new(keys.size("7.weight", 0)?, parameters).of_images(shape))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let ([first, second], hidden) = (pair(settings, "channels")?, settings.number("hidden")?);
    let [inputs, height, width] = settings.input_shape;
    let features = second * (height / 4) * (width / 4);
    Ok(vec![
        w.conv_bias("0", first, inputs, KERNEL)?.stride(2).padding(1).layer(),
        relu(),
        w.conv_bias("2", second, first, KERNEL)?.stride(2).padding(1).layer(),
        relu(),
        flatten(),
        w.linear("5", hidden, features)?,
        relu(),
        w.linear("7", settings.classes, hidden)?,
    ])
}
