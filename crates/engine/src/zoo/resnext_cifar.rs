//! ResNeXt for CIFAR (Xie et al., CVPR 2017): three stages of bottlenecks with grouped convolutions,
//! under the names in which the networks of AugMix are published.

use super::residual::EXPANSION;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, relu, seq, sum};

/// ResNeXt-29 4x32d unless the sizes say otherwise.
pub(super) const RESNEXT29: Architecture = Architecture {
    name: "cifar-resnext-29",
    family: "cifar-resnext-29",
    about: "ResNeXt-29 4x32d for CIFAR",
    normalisation: Some((&[0.5, 0.5, 0.5], &[0.5, 0.5, 0.5])),
    parameters: &[
        ("depth", Value::Number(29)),
        ("width", Value::Number(64)),
        ("bottleneck_width", Value::Number(128)),
        ("groups", Value::Number(4)),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let blocks = keys.blocks(&["stage_1.", "stage_2.", "stage_3."])?;
    if blocks.iter().any(|n| *n != blocks[0]) {
        return None;
    }
    let middle = keys.size("stage_1.0.conv_conv.weight", 0)?;
    let parameters = [
        ("depth", (9 * blocks[0] + 2).into()),
        ("width", keys.size("conv_1_3x3.weight", 0)?.into()),
        ("bottleneck_width", middle.into()),
        ("groups", middle.checked_div(keys.size("stage_1.0.conv_conv.weight", 1)?)?.into()),
    ];
    Some(Measured::new(keys.size("classifier.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let depth = settings.number("depth")?;
    let Some(blocks) = depth.checked_sub(2).filter(|n| *n > 0 && n % 9 == 0).map(|n| n / 9) else {
        let problem = format!("is {depth}, such a ResNeXt has 9n + 2 layers");
        return Err(crate::Error::setting("parameter depth", problem, "give a depth such as 29"));
    };
    let (width, middle) = (settings.number("width")?, settings.number("bottleneck_width")?);
    let mut layers = vec![
        w.conv("conv_1_3x3", width, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn_1", width)?,
        relu(),
    ];
    let mut inputs = width;
    for stage in 0..3 {
        let outputs = (width << stage) * EXPANSION;
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("stage_{}.{index}", stage + 1));
            let channels = [inputs, middle << stage, outputs];
            layers.extend([block(&mut at, channels, stride, settings.number("groups")?)?, relu()]);
            inputs = outputs;
        }
    }
    layers.extend([global_avg_pool(), w.linear("classifier", settings.classes, inputs)?]);
    Ok(layers)
}

fn block(
    w: &mut Weights<'_>,
    [inputs, middle, outputs]: [usize; 3],
    stride: usize,
    groups: usize,
) -> Result<Layer> {
    let residual = seq([
        w.conv("conv_reduce", middle, inputs, 1)?.layer(),
        w.batch_norm("bn_reduce", middle)?,
        relu(),
        w.conv_groups("conv_conv", middle, middle, 3, groups)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn", middle)?,
        relu(),
        w.conv("conv_expand", outputs, middle, 1)?.layer(),
        w.batch_norm("bn_expand", outputs)?,
    ]);
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        let mut at = w.at("downsample");
        let conv = at.conv("0", outputs, inputs, 1)?.stride(stride).layer();
        seq([conv, at.batch_norm("1", outputs)?])
    };
    Ok(sum([residual, shortcut]))
}
