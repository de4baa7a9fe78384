//! The ResNets for CIFAR of He et al. (CVPR 2016, section 4.2): 6n + 2 layers, widths 16, 32, 64,
//! shortcuts of option A (every second pixel, zero channels around), so a shortcut has no weights.

use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, residual};
use crate::error::{Error, Result};
use crate::nn::{Layer, PadChannels, Subsample, global_avg_pool, relu, seq, sum};

/// Of any depth and width. The normalisation is ImageNet's, as in the published checkpoints of this form.
pub(super) const RESNET_A: Architecture = Architecture {
    name: "cifar-resnet-a",
    family: "cifar-resnet-a",
    about: "CIFAR ResNet with option-A shortcuts: 20, 32, 44, 56, 110 layers",
    normalisation: Some((&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])),
    parameters: &[("depth", Value::Number(20)), ("width", Value::Number(16))],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// n = 3.
pub(super) const RESNET20_A: Architecture = Architecture {
    name: "cifar-resnet20-a",
    about: "CIFAR ResNet-20 with option-A shortcuts",
    ..RESNET_A
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let residual::Sizes { blocks, width, bottleneck: None, .. } = residual::measure(keys, 3)?
    else {
        return None;
    };
    // Shortcuts with weights are those of another family.
    if blocks.iter().any(|n| *n != blocks[0]) || keys.any("layer2.0.shortcut.") {
        return None;
    }
    let parameters = [("depth", (6 * blocks[0] + 2).into()), ("width", width.into())];
    Some(Measured::new(keys.size("linear.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (depth, width) = (settings.number("depth")?, settings.number("width")?);
    let blocks = match depth.checked_sub(2) {
        Some(n) if n > 0 && n % 6 == 0 => n / 6,
        _ => {
            let problem = format!("is {depth}, a ResNet of this form has 6n + 2 layers");
            let remedy = "give a depth such as 20, 56 or 110";
            return Err(Error::setting("parameter depth", problem, remedy));
        }
    };
    let mut layers = vec![
        w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", width)?,
        relu(),
    ];
    let mut inputs = width;
    for stage in 0..3 {
        let outputs = width << stage;
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer{}.{index}", stage + 1));
            layers.push(block(&mut at, inputs, outputs, stride)?);
            inputs = outputs;
        }
    }
    layers.extend([global_avg_pool(), w.linear("linear", settings.classes, inputs)?]);
    Ok(layers)
}

fn block(w: &mut Weights<'_>, inputs: usize, outputs: usize, stride: usize) -> Result<Layer> {
    let residual = residual::basic(w, [inputs, outputs], stride)?;
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        let missing = outputs - inputs;
        let (before, after) = (missing / 2, missing - missing / 2);
        seq([Subsample(stride).layer(), PadChannels { before, after }.layer()])
    };
    Ok(seq([sum([residual, shortcut]), relu()]))
}
