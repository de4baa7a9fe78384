//! The pre-activation ResNet-18 that goes with [`super::dm_wide_resnet`]: SiLU, and 3 x 3 shortcut
//! convolutions on the block's raw input, padded like the others.

use super::constants::CIFAR10;
use super::dm_wide_resnet::same_padding;
use super::parameters::list;
use super::{Architecture, Keys, Measured, Plan, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, seq, silu, sum};

/// ResNet-18 unless the blocks say otherwise.
pub(super) const DM_PREACT_RESNET18: Architecture = Architecture {
    name: "dm-preact-resnet-18",
    family: "dm-preact-resnet-18",
    about: "pre-activation ResNet-18 with SiLU and one-sided padding for CIFAR",
    normalisation: Some(CIFAR10),
    parameters: &[("blocks", list(&[2, 2, 2, 2])), ("width", Value::Number(64))],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let blocks = keys.blocks(&["layer_0.", "layer_1.", "layer_2.", "layer_3."])?;
    let width = keys.size("conv_2d.weight", 0)?;
    let parameters = [("blocks", blocks.into()), ("width", width.into())];
    Some(Measured::new(keys.size("logits.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, plan: &Plan) -> Result<Vec<Layer>> {
    let width = plan.number("width")?;
    let mut layers = vec![w.conv("conv_2d", width, plan.input_shape[0], 3)?.padding(1).layer()];
    let mut inputs = width;
    for (stage, blocks) in plan.numbers("blocks")?.iter().enumerate() {
        let outputs = width << stage;
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer_{stage}.{index}"));
            layers.push(block(&mut at, inputs, outputs, stride)?);
            inputs = outputs;
        }
    }
    layers.extend([w.batch_norm("batchnorm", inputs)?, silu(), global_avg_pool()]);
    layers.push(w.linear("logits", plan.classes, inputs)?);
    Ok(layers)
}

fn block(w: &mut Weights<'_>, inputs: usize, outputs: usize, stride: usize) -> Result<Layer> {
    let residual = seq([
        w.batch_norm("batchnorm_0", inputs)?,
        silu(),
        same_padding(w.conv("conv_2d_1", outputs, inputs, 3)?, stride),
        w.batch_norm("batchnorm_1", outputs)?,
        silu(),
        w.conv("conv_2d_2", outputs, outputs, 3)?.padding(1).layer(),
    ]);
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        same_padding(w.conv("shortcut", outputs, inputs, 3)?, stride)
    };
    Ok(sum([residual, shortcut]))
}
