//! The ResNets for CIFAR of He et al. (CVPR 2016, section 4.2): 6n + 2 layers, widths 16, 32, 64,
//! shortcuts of option A (every second pixel, zero channels around), so a shortcut has no weights.

use super::{Architecture, Plan, Weights};
use crate::error::Result;
use crate::nn::{Layer, PadChannels, Subsample, global_avg_pool, relu, seq, sum};

/// n = 3. The normalisation is ImageNet's, as in the published checkpoints of this form.
pub(super) const RESNET20_A: Architecture = Architecture {
    name: "cifar-resnet20-a",
    family: "cifar-resnet20-a",
    about: "CIFAR ResNet-20 with option-A shortcuts",
    input_shape: [3, 32, 32],
    classes: 10,
    normalisation: Some((&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])),
    build,
    ..Architecture::FIXED
};

fn build(w: &mut Weights<'_>, plan: &Plan) -> Result<Vec<Layer>> {
    let mut layers = vec![
        w.conv("conv1", 16, plan.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", 16)?,
        relu(),
    ];
    let mut inputs = 16;
    for (stage, outputs) in [(1, 16), (2, 32), (3, 64)] {
        for index in 0..3 {
            let stride = if stage > 1 && index == 0 { 2 } else { 1 };
            let mut block_weights = w.at(format_args!("layer{stage}.{index}"));
            layers.push(block(&mut block_weights, inputs, outputs, stride)?);
            inputs = outputs;
        }
    }
    layers.extend([global_avg_pool(), w.linear("linear", plan.classes, 64)?]);
    Ok(layers)
}

fn block(w: &mut Weights<'_>, inputs: usize, outputs: usize, stride: usize) -> Result<Layer> {
    let residual = seq([
        w.conv("conv1", outputs, inputs, 3)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn1", outputs)?,
        relu(),
        w.conv("conv2", outputs, outputs, 3)?.padding(1).layer(),
        w.batch_norm("bn2", outputs)?,
    ]);
    let shortcut = if stride == 1 && inputs == outputs {
        Layer::Identity
    } else {
        let around = (outputs - inputs) / 2;
        seq([Subsample(stride).layer(), PadChannels { before: around, after: around }.layer()])
    };
    Ok(seq([sum([residual, shortcut]), relu()]))
}
