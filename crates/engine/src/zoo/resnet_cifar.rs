//! ResNet-18, -50 and their like with a stem for 32 x 32 images: a 3 x 3 convolution, no pool. The
//! form in which CIFAR networks of the widths of ImageNet are published.

use super::parameters::list;
use super::residual::{self, Stages};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, relu};

/// Of any depth and width.
pub(super) const RESNET: Architecture = Architecture {
    name: "cifar-resnet",
    family: "cifar-resnet",
    about: "ResNet with a 3 x 3 stem for CIFAR",
    parameters: &[
        ("blocks", list(&[2, 2, 2, 2])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(false)),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// Basic blocks.
pub(super) const RESNET18: Architecture = Architecture {
    name: "cifar-resnet-18",
    about: "ResNet-18 with a 3 x 3 stem for CIFAR",
    ..RESNET
};

/// Bottleneck blocks.
pub(super) const RESNET50: Architecture = Architecture {
    name: "cifar-resnet-50",
    about: "ResNet-50 with a 3 x 3 stem for CIFAR",
    parameters: &[
        ("blocks", list(&[3, 4, 6, 3])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(true)),
    ],
    ..RESNET
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let sizes = residual::measure(keys, 4)?;
    let parameters = [
        ("blocks", sizes.blocks.into()),
        ("width", sizes.width.into()),
        ("bottleneck", sizes.bottleneck.is_some().into()),
    ];
    Some(Measured::new(keys.size("linear.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let mut layers = vec![
        w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", width)?,
        relu(),
    ];
    let stages = Stages {
        blocks: settings.numbers("blocks")?,
        width,
        bottleneck: settings.flag("bottleneck")?.then_some(width),
        groups: 1,
        shortcut: "shortcut",
    };
    let (stages, features) = stages.build(w)?;
    layers.extend(stages);
    layers.extend([global_avg_pool(), w.linear("linear", settings.classes, features)?]);
    Ok(layers)
}
