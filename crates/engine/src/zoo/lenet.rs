//! LeNet-5 (LeCun et al., Proceedings of the IEEE 1998) as it is written in PyTorch: two 5 x 5 convolutions,
//! each with activation and pool, and three fully connected layers. Most have ReLU and max pools where the
//! original had tanh and trained averages.

use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::{Error, Result};
use crate::nn::{Layer, avg_pool, flatten, max_pool};

/// Of any widths and for images of any size.
pub(super) const LENET: Architecture = Architecture {
    name: "lenet",
    family: "lenet",
    about: "LeNet-5 for MNIST or CIFAR",
    input_shape: [1, 28, 28],
    parameters: &[
        ("channels", list(&[6, 16])),
        ("hidden", list(&[120, 84])),
        ("padded", Value::Flag(true)),
        ("average_pool", Value::Flag(false)),
        ("sequential_names", Value::Flag(false)),
        activation::by_default("relu"),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// Side of the convolutions' kernels.
const KERNEL: usize = 5;

/// Zero pixels on each side of a padded image, so that the first convolution keeps its size.
const PADDING: usize = 2;

/// The layers by name, and by their positions in a sequential module.
const NAMES: [[&str; 5]; 2] = [["conv1", "conv2", "fc1", "fc2", "fc3"], ["0", "3", "7", "9", "11"]];

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let sequential = keys.has("11.weight");
    let [first, second, hidden, more, head] = NAMES[usize::from(sequential)];
    let size = |name: &str, axis| keys.size(&format!("{name}.weight"), axis);
    let (channels, kernel) = (size(first, 1)?, size(first, 2)?);
    let widths = vec![size(first, 0)?, size(second, 0)?];
    if kernel != KERNEL || size(second, 2)? != KERNEL {
        return None;
    }
    let side = size(hidden, 1)?.checked_div(widths[1])?.isqrt();
    // 5 x 5 pixels at the end are left of 28 x 28 with padding or of 32 x 32 without.
    let either = side == 5;
    let padded = either && channels == 1;
    let pixels = side.checked_mul(4)?.checked_add(if padded { 8 } else { 12 })?;
    let parameters = [
        ("channels", widths.into()),
        ("hidden", vec![size(hidden, 0)?, size(more, 0)?].into()),
        ("padded", padded.into()),
        ("average_pool", false.into()),
        ("sequential_names", sequential.into()),
    ];
    let mut measured =
        Measured::new(size(head, 0)?, parameters).of_images([channels, pixels, pixels]);
    if either {
        let (here, there) = ("28 x 28 pixels with two zeros around them", "32 x 32 without");
        let (assumed, other, side) = if padded { (here, there, 32) } else { (there, here, 28) };
        let text = format!(
            "the shapes fit images of {here} and of {there}; {assumed} are assumed, and --arch \
             lenet:padded={}:input_shape={channels},{side},{side} says {other}",
            !padded
        );
        measured = measured.doubt("padded", text);
    }
    let text = "names and shapes do not tell how it pools; maxima are assumed, and --arch \
                lenet:average_pool=true says averages";
    Some(measured.doubt("average_pool", text).assume_activation("relu"))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let act = activation::of(settings)?;
    let pool = if settings.flag("average_pool")? { avg_pool(2, 2) } else { max_pool(2, 2) };
    let padding = if settings.flag("padded")? { PADDING } else { 0 };
    let ([first, second], [hidden, more]) =
        (pair(settings, "channels")?, pair(settings, "hidden")?);
    let names = NAMES[usize::from(settings.flag("sequential_names")?)];
    let [channels, height, width] = settings.input_shape;
    let left = |side: usize| {
        let halved = (side + 2 * padding).saturating_sub(KERNEL - 1) / 2;
        halved.saturating_sub(KERNEL - 1) / 2
    };
    Ok(vec![
        w.conv_bias(names[0], first, channels, KERNEL)?.padding(padding).layer(),
        act(),
        pool.clone(),
        w.conv_bias(names[1], second, first, KERNEL)?.layer(),
        act(),
        pool,
        flatten(),
        w.linear(names[2], hidden, second * left(height) * left(width))?,
        act(),
        w.linear(names[3], more, hidden)?,
        act(),
        w.linear(names[4], settings.classes, more)?,
    ])
}

/// The two numbers of the list `name`.
pub(super) fn pair(settings: &NetworkSettings, name: &str) -> Result<[usize; 2]> {
    match settings.numbers(name)? {
        [first, second] => Ok([*first, *second]),
        other => Err(Error::setting(
            format!("parameter {name}"),
            format!("has {} numbers instead of two", other.len()),
            "correct the parameters of the model file or convert the checkpoint again",
        )),
    }
}
