//! The pre-activation ResNet-18 that goes with [`super::dm_wide_resnet`]: the same choice of activations,
//! and 3 x 3 shortcut convolutions on the block's raw input, padded like the others.

use super::constants::CIFAR10;
use super::dm_wide_resnet::same_padding;
use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, seq, sum};

/// ResNet-18 unless the blocks say otherwise.
pub(super) const DM_PREACT_RESNET18: Architecture = Architecture {
    name: "dm-preact-resnet-18",
    family: "dm-preact-resnet-18",
    about: "pre-activation ResNet-18 with SiLU or ReLU and one-sided padding for CIFAR",
    normalisation: Some(CIFAR10),
    parameters: &[
        ("blocks", list(&[2, 2, 2, 2])),
        ("width", Value::Number(64)),
        activation::by_default("silu"),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let blocks = keys.blocks(&["layer_0.", "layer_1.", "layer_2.", "layer_3."])?;
    let width = keys.size("conv_2d.weight", 0)?;
    let parameters = [("blocks", blocks.into()), ("width", width.into())];
    Some(Measured::new(keys.size("logits.weight", 0)?, parameters).assume_activation("silu"))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (width, act) = (settings.number("width")?, activation::of(settings)?);
    let mut layers = vec![w.conv("conv_2d", width, settings.input_shape[0], 3)?.padding(1).layer()];
    let mut inputs = width;
    for (stage, blocks) in settings.numbers("blocks")?.iter().enumerate() {
        let outputs = width << stage;
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer_{stage}.{index}"));
            layers.push(block(&mut at, [inputs, outputs], stride, act)?);
            inputs = outputs;
        }
    }
    layers.extend([w.batch_norm("batchnorm", inputs)?, act(), global_avg_pool()]);
    layers.push(w.linear("logits", settings.classes, inputs)?);
    Ok(layers)
}

fn block(
    w: &mut Weights<'_>,
    [inputs, outputs]: [usize; 2],
    stride: usize,
    act: fn() -> Layer,
) -> Result<Layer> {
    let residual = seq([
        w.batch_norm("batchnorm_0", inputs)?,
        act(),
        same_padding(w.conv("conv_2d_1", outputs, inputs, 3)?, stride),
        w.batch_norm("batchnorm_1", outputs)?,
        act(),
        w.conv("conv_2d_2", outputs, outputs, 3)?.padding(1).layer(),
    ]);
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        same_padding(w.conv("shortcut", outputs, inputs, 3)?, stride)
    };
    Ok(sum([residual, shortcut]))
}
