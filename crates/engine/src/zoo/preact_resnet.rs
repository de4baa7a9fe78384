//! The pre-activation ResNet-18 for CIFAR (He et al., ECCV 2016) in the forms that are published with
//! adversarial training: the shortcut convolution reads the block's input, or the input after its
//! first norm and activation; and there may be a norm before the head. The names of the weights do not tell
//! the first from the second, nor the activation, which Pang et al. (ICLR 2021) varied.

use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, seq, sum};

/// The shortcut reads the block's input; no norm before the head.
pub(super) const PREACT_RESNET18: Architecture = Architecture {
    name: "preact-resnet-18",
    family: "preact-resnet-18",
    about: "pre-activation ResNet-18 for CIFAR",
    parameters: &[
        ("blocks", list(&[2, 2, 2, 2])),
        ("width", Value::Number(64)),
        ("activated_shortcut", Value::Flag(false)),
        ("norm_before_head", Value::Flag(false)),
        activation::by_default("relu"),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// The shortcut reads the activated input; norm and ReLU before the head.
pub(super) const PREACT_RESNET18_V2: Architecture = Architecture {
    name: "preact-resnet-18-v2",
    about: "pre-activation ResNet-18 for CIFAR, activated shortcuts, norm before the head",
    parameters: &[
        ("blocks", list(&[2, 2, 2, 2])),
        ("width", Value::Number(64)),
        ("activated_shortcut", Value::Flag(true)),
        ("norm_before_head", Value::Flag(true)),
        activation::by_default("relu"),
    ],
    ..PREACT_RESNET18
};

const STAGES: [&str; 4] = ["layer1.", "layer2.", "layer3.", "layer4."];

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    if keys.has("bn1.weight") || !keys.has("layer1.0.bn1.weight") || keys.any("layer1.0.bn0.") {
        return None;
    }
    // The published networks with a norm before the head have activated shortcuts, the others have
    // not.
    let norm = keys.has("bn.weight");
    let parameters = [
        ("blocks", keys.blocks(&STAGES)?.into()),
        ("width", keys.size("conv1.weight", 0)?.into()),
        ("activated_shortcut", norm.into()),
        ("norm_before_head", norm.into()),
        // Nearly all that is published in this form has ReLU, so this is no doubt.
        activation::by_default("relu"),
    ];
    let assumed = if norm {
        "the activated input is assumed, as usual with a norm before the head"
    } else {
        "the raw input is assumed, as usual without a norm before the head"
    };
    let text =
        format!("names and shapes do not tell what the shortcut convolutions read; {assumed}");
    let measured = Measured::new(keys.size("linear.weight", 0)?, parameters);
    Some(measured.doubt("activated_shortcut", text))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let (activated, act) = (settings.flag("activated_shortcut")?, activation::of(settings)?);
    let mut layers = vec![w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer()];
    let mut inputs = width;
    for (stage, blocks) in settings.numbers("blocks")?.iter().enumerate() {
        let outputs = width << stage;
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer{}.{index}", stage + 1));
            layers.extend(block(&mut at, [inputs, outputs], stride, activated, act)?);
            inputs = outputs;
        }
    }
    if settings.flag("norm_before_head")? {
        layers.extend([w.batch_norm("bn", inputs)?, act()]);
    }
    layers.extend([global_avg_pool(), w.linear("linear", settings.classes, inputs)?]);
    Ok(layers)
}

fn block(
    w: &mut Weights<'_>,
    [inputs, outputs]: [usize; 2],
    stride: usize,
    activated: bool,
    act: fn() -> Layer,
) -> Result<Vec<Layer>> {
    let activate = [w.batch_norm("bn1", inputs)?, act()];
    let mut residual = vec![
        w.conv("conv1", outputs, inputs, 3)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn2", outputs)?,
        act(),
        w.conv("conv2", outputs, outputs, 3)?.padding(1).layer(),
    ];
    if stride == 1 && inputs == outputs {
        residual.splice(0..0, activate);
        return Ok(vec![sum([seq(residual), Layer::Identity])]);
    }
    let shortcut = w.conv("shortcut.0", outputs, inputs, 1)?.stride(stride).layer();
    if activated {
        let [norm, act] = activate;
        return Ok(vec![norm, act, sum([seq(residual), shortcut])]);
    }
    residual.splice(0..0, activate);
    Ok(vec![sum([seq(residual), shortcut])])
}
