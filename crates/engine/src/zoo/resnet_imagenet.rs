//! ResNet, Wide ResNet and ResNeXt for ImageNet, under the names of torchvision.

use super::constants::IMAGENET;
use super::parameters::list;
use super::residual::{self, Stages};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, PadPixels, global_avg_pool, max_pool, relu};

/// Of any depth and width.
pub(super) const RESNET: Architecture = Architecture {
    name: "imagenet-resnet",
    family: "imagenet-resnet",
    about: "ResNet, Wide ResNet or ResNeXt for ImageNet",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[
        ("blocks", list(&[3, 4, 6, 3])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(true)),
        ("bottleneck_width", Value::Number(64)),
        ("groups", Value::Number(1)),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// Basic blocks.
pub(super) const RESNET18: Architecture = Architecture {
    name: "imagenet-resnet-18",
    about: "ResNet-18 for ImageNet",
    parameters: &[
        ("blocks", list(&[2, 2, 2, 2])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(false)),
        ("bottleneck_width", Value::Number(64)),
        ("groups", Value::Number(1)),
    ],
    ..RESNET
};

/// Bottleneck blocks.
pub(super) const RESNET50: Architecture =
    Architecture { name: "imagenet-resnet-50", about: "ResNet-50 for ImageNet", ..RESNET };

/// Bottlenecks of twice the width.
pub(super) const WIDE_RESNET50_2: Architecture = Architecture {
    name: "imagenet-wide-resnet-50-2",
    about: "Wide ResNet-50-2 for ImageNet",
    parameters: &[
        ("blocks", list(&[3, 4, 6, 3])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(true)),
        ("bottleneck_width", Value::Number(128)),
        ("groups", Value::Number(1)),
    ],
    ..RESNET
};

/// Bottlenecks of 32 groups with 4 channels.
pub(super) const RESNEXT50_32X4D: Architecture = Architecture {
    name: "imagenet-resnext-50-32x4d",
    about: "ResNeXt-50 32x4d for ImageNet",
    parameters: &[
        ("blocks", list(&[3, 4, 6, 3])),
        ("width", Value::Number(64)),
        ("bottleneck", Value::Flag(true)),
        ("bottleneck_width", Value::Number(128)),
        ("groups", Value::Number(32)),
    ],
    ..RESNET
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let sizes = residual::measure(keys, 4)?;
    if keys.size("conv1.weight", 2)? != 7 {
        return None;
    }
    let parameters = [
        ("blocks", sizes.blocks.into()),
        ("width", sizes.width.into()),
        ("bottleneck", sizes.bottleneck.is_some().into()),
        ("bottleneck_width", sizes.bottleneck.unwrap_or(sizes.width).into()),
        ("groups", sizes.groups.into()),
    ];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let mut layers = vec![
        w.conv("conv1", width, settings.input_shape[0], 7)?.stride(2).padding(3).layer(),
        w.batch_norm("bn1", width)?,
        relu(),
        // The pool's padding: after a ReLU zeros win over nothing.
        PadPixels::all(1).layer(),
        max_pool(3, 2),
    ];
    let middle = settings.number("bottleneck_width")?;
    let stages = Stages {
        blocks: settings.numbers("blocks")?,
        width,
        bottleneck: settings.flag("bottleneck")?.then_some(middle),
        groups: settings.number("groups")?,
        shortcut: "downsample",
    };
    let (stages, features) = stages.build(w)?;
    layers.extend(stages);
    layers.extend([global_avg_pool(), w.linear("fc", settings.classes, features)?]);
    Ok(layers)
}
