//! DenseNet (Huang et al., CVPR 2017): a layer reads what all layers before it in its block have made. For
//! ImageNet under the names of torchvision and timm, and of the files that torchvision publishes; for CIFAR
//! in the form in which a layer puts its channels before those that it read.

use super::constants::IMAGENET;
use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, PadPixels, avg_pool, concat, global_avg_pool, max_pool, relu, seq};

/// DenseNet-121 unless the sizes say otherwise.
pub(super) const DENSENET: Architecture = Architecture {
    name: "imagenet-densenet",
    family: "imagenet-densenet",
    about: "DenseNet-121, -161, -169 or -201 for ImageNet",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[
        ("blocks", list(&[6, 12, 24, 16])),
        ("stem", Value::Number(64)),
        ("growth", Value::Number(32)),
        ("bottleneck_width", Value::Number(128)),
        ("old_names", Value::Flag(false)),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// The small DenseNet of 6, 12, 24 and 16 layers that grow by 12, unless the sizes say otherwise.
pub(super) const CIFAR_DENSENET: Architecture = Architecture {
    name: "cifar-densenet",
    family: "cifar-densenet",
    about: "DenseNet for CIFAR",
    parameters: &[
        ("blocks", list(&[6, 12, 24, 16])),
        ("stem", Value::Number(24)),
        ("growth", Value::Number(12)),
        ("bottleneck_width", Value::Number(48)),
    ],
    measure: Some(measure_cifar),
    build: build_cifar,
    ..Architecture::FIXED
};

/// What the weights are called.
struct Names {
    /// A layer of a block; both count from 0.
    layer: fn(usize, usize) -> String,
    parts: [&'static str; 4],
    /// What follows a block that is not the last: its norm and its convolution.
    transition: fn(usize) -> String,
    norm: &'static str,
    /// The channels that a layer makes come before those that it reads.
    new_first: bool,
}

const TORCHVISION: Names = Names {
    layer: |block, layer| format!("features.denseblock{}.denselayer{}", block + 1, layer + 1),
    parts: ["norm1", "conv1", "norm2", "conv2"],
    transition: |block| format!("features.transition{}", block + 1),
    norm: "norm",
    new_first: false,
};

/// Those of the published files.
const OLD: Names = Names { parts: ["norm.1", "conv.1", "norm.2", "conv.2"], ..TORCHVISION };

const CIFAR: Names = Names {
    layer: |block, layer| format!("dense{}.{layer}", block + 1),
    parts: ["bn1", "conv1", "bn2", "conv2"],
    transition: |block| format!("trans{}", block + 1),
    norm: "bn",
    new_first: true,
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let old = keys.has("features.denseblock1.denselayer1.norm.1.weight");
    let names = if old { OLD } else { TORCHVISION };
    let mut measured = measure_body(keys, &names, "features.conv0.weight", "classifier.weight")?;
    measured.parameters.insert("old_names".into(), old.into());
    Some(measured)
}

fn measure_cifar(keys: &Keys<'_>) -> Option<Measured> {
    measure_body(keys, &CIFAR, "conv1.weight", "linear.weight")
}

fn measure_body(keys: &Keys<'_>, names: &Names, stem: &str, head: &str) -> Option<Measured> {
    let mut blocks = Vec::new();
    loop {
        let there = |layer: &usize| keys.any(&format!("{}.", (names.layer)(blocks.len(), *layer)));
        match (0..).take_while(there).count() {
            0 => break,
            layers => blocks.push(layers),
        }
    }
    let last = format!("{}.{}.weight", (names.layer)(0, 0), names.parts[3]);
    let parameters = [
        ("blocks", blocks.into()),
        ("stem", keys.size(stem, 0)?.into()),
        ("growth", keys.size(&last, 0)?.into()),
        ("bottleneck_width", keys.size(&last, 1)?.into()),
    ];
    Some(Measured::new(keys.size(head, 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let stem = settings.number("stem")?;
    let names = if settings.flag("old_names")? { OLD } else { TORCHVISION };
    let mut layers = vec![
        w.conv("features.conv0", stem, settings.input_shape[0], 7)?.stride(2).padding(3).layer(),
        w.batch_norm("features.norm0", stem)?,
        relu(),
        // The pool's padding: after a ReLU zeros win over nothing.
        PadPixels::all(1).layer(),
        max_pool(3, 2),
    ];
    let features = body(w, settings, &names, &mut layers)?;
    layers.extend([w.batch_norm("features.norm5", features)?, relu(), global_avg_pool()]);
    layers.push(w.linear("classifier", settings.classes, features)?);
    Ok(layers)
}

fn build_cifar(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let stem = w.conv("conv1", settings.number("stem")?, settings.input_shape[0], 3)?;
    let mut layers = vec![stem.padding(1).layer()];
    let features = body(w, settings, &CIFAR, &mut layers)?;
    layers.extend([w.batch_norm("bn", features)?, relu(), global_avg_pool()]);
    layers.push(w.linear("linear", settings.classes, features)?);
    Ok(layers)
}

/// All blocks, and the channels that they end in.
fn body(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    names: &Names,
    layers: &mut Vec<Layer>,
) -> Result<usize> {
    let (growth, middle) = (settings.number("growth")?, settings.number("bottleneck_width")?);
    let blocks = settings.numbers("blocks")?;
    let mut channels = settings.number("stem")?;
    for (block, count) in blocks.iter().enumerate() {
        for index in 0..*count {
            let mut at = w.at((names.layer)(block, index));
            let [norm1, conv1, norm2, conv2] = names.parts;
            let made = seq([
                at.batch_norm(norm1, channels)?,
                relu(),
                at.conv(conv1, middle, channels, 1)?.layer(),
                at.batch_norm(norm2, middle)?,
                relu(),
                at.conv(conv2, growth, middle, 3)?.padding(1).layer(),
            ]);
            layers.push(match names.new_first {
                true => concat([made, Layer::Identity]),
                false => concat([Layer::Identity, made]),
            });
            channels += growth;
        }
        if block + 1 < blocks.len() {
            let mut at = w.at((names.transition)(block));
            let norm = at.batch_norm(names.norm, channels)?;
            let conv = at.conv("conv", channels / 2, channels, 1)?.layer();
            layers.extend([norm, relu(), conv, avg_pool(2, 2)]);
            channels /= 2;
        }
    }
    Ok(channels)
}
