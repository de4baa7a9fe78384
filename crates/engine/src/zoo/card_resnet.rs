//! The two networks of CARD (Diffenderfer et al., NeurIPS 2021) for CIFAR: a ResNet-18 in which the
//! names are those for ImageNet, and a wide pre-activation ResNet of binary weights, whose norms have
//! no weights of their own and whose identity branches read the activated input.

use super::parameters::list;
use super::residual::{self, Stages};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, relu, seq, sum};

/// ResNet-18 of learning rate rewinding.
pub(super) const LRR_RESNET18: Architecture = Architecture {
    name: "card-lrr-resnet-18",
    family: "card-lrr-resnet-18",
    about: "ResNet-18 of CARD (LRR) for CIFAR",
    normalisation: Some((&[0.491, 0.482, 0.447], &[0.247, 0.243, 0.262])),
    parameters: &[("blocks", list(&[2, 2, 2, 2])), ("width", Value::Number(64))],
    measure: Some(measure_lrr),
    build: build_lrr,
    ..Architecture::FIXED
};

/// Wide pre-activation ResNet-18 of edge popup and biprop.
pub(super) const WIDE_PREACT_RESNET: Architecture = Architecture {
    name: "card-wide-preact-resnet-18",
    family: "card-wide-preact-resnet-18",
    about: "wide pre-activation ResNet-18 of CARD (binary weights) for CIFAR",
    parameters: &[("blocks", list(&[2, 2, 2, 2])), ("width", Value::Number(128))],
    measure: Some(measure_wide),
    build: build_wide,
    ..Architecture::FIXED
};

fn measure_lrr(keys: &Keys<'_>) -> Option<Measured> {
    let sizes = residual::measure(keys, 4)?;
    if sizes.bottleneck.is_some() || keys.size("conv1.weight", 2)? != 3 {
        return None;
    }
    let parameters = [("blocks", sizes.blocks.into()), ("width", sizes.width.into())];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

fn build_lrr(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let mut layers = vec![
        w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", width)?,
        relu(),
    ];
    let blocks = settings.numbers("blocks")?;
    let stages = Stages { blocks, width, bottleneck: None, groups: 1, shortcut: "downsample" };
    let (stages, features) = stages.build(w)?;
    layers.extend(stages);
    layers.extend([global_avg_pool(), w.linear("fc", settings.classes, features)?]);
    Ok(layers)
}

fn measure_wide(keys: &Keys<'_>) -> Option<Measured> {
    let sizes = residual::measure(keys, 4)?;
    if keys.has("bn1.weight") {
        return None;
    }
    let parameters = [("blocks", sizes.blocks.into()), ("width", sizes.width.into())];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

fn build_wide(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let mut layers = vec![w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer()];
    let mut inputs = width;
    for (stage, blocks) in settings.numbers("blocks")?.iter().enumerate() {
        let outputs = width << stage;
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer{}.{index}", stage + 1));
            layers.extend(wide_block(&mut at, inputs, outputs, stride)?);
            inputs = outputs;
        }
    }
    layers.extend([w.batch_norm_fixed("bn1", inputs)?, relu(), global_avg_pool()]);
    layers.push(w.pointwise("fc", settings.classes, inputs, false)?);
    Ok(layers)
}

fn wide_block(
    w: &mut Weights<'_>,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> Result<Vec<Layer>> {
    let residual = seq([
        w.conv("conv1", outputs, inputs, 3)?.stride(stride).padding(1).layer(),
        w.batch_norm_fixed("bn2", outputs)?,
        relu(),
        w.conv("conv2", outputs, outputs, 3)?.padding(1).layer(),
    ]);
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        let mut at = w.at("shortcut");
        let conv = at.conv("0", outputs, inputs, 1)?.stride(stride).layer();
        seq([conv, at.batch_norm_fixed("1", outputs)?])
    };
    Ok(vec![w.batch_norm_fixed("bn1", inputs)?, relu(), sum([residual, shortcut])])
}
