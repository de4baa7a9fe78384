//! The ensemble of Chen et al. (CVPR 2020, adversarial self-supervised pre-training): pre-activation
//! ResNet-50s in one file. Its output is the mean of their probabilities, which attacks take for
//! logits, as the published evaluation does.

use super::constants::IMAGENET;
use super::parameters::list;
use super::residual::EXPANSION;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, mean, relu, seq, softmax, sum};

/// Three ResNet-50s unless the sizes say otherwise.
pub(super) const PRETRAINED_ENSEMBLE: Architecture = Architecture {
    name: "pretrained-ensemble",
    family: "pretrained-ensemble",
    about: "mean of the probabilities of three pre-activation ResNet-50s for CIFAR",
    normalisation: Some(IMAGENET),
    parameters: &[
        ("members", Value::Number(3)),
        ("blocks", list(&[3, 4, 6, 3])),
        ("width", Value::Number(64)),
    ],
    measure: Some(measure),
    // The members again, under other names.
    unused: |name| ["branch1.", "branch2.", "branch3."].iter().any(|b| name.starts_with(b)),
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let stages = [1, 2, 3, 4].map(|stage| format!("models.0.layer{stage}."));
    let parameters = [
        ("members", keys.children("models.").into()),
        ("blocks", keys.blocks(&stages.each_ref().map(String::as_str))?.into()),
        ("width", keys.size("models.0.conv1.weight", 0)?.into()),
    ];
    Some(Measured::new(keys.size("models.0.linear.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let each = (0..settings.number("members")?)
        .map(|i| {
            let mut layers = member(&mut w.at(format_args!("models.{i}")), settings)?;
            layers.push(softmax());
            Ok(seq(layers))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(vec![mean(each)])
}

fn member(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let width = settings.number("width")?;
    let mut layers = vec![
        w.conv("conv1", width, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", width)?,
        relu(),
    ];
    let mut inputs = width;
    for (stage, blocks) in settings.numbers("blocks")?.iter().enumerate() {
        let middle = width << stage;
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("layer{}.{index}", stage + 1));
            layers.extend(block(&mut at, [inputs, middle, EXPANSION * middle], stride)?);
            inputs = EXPANSION * middle;
        }
    }
    layers.extend([global_avg_pool(), w.linear("linear", settings.classes, inputs)?]);
    Ok(layers)
}

/// An identity adds the raw input, a shortcut convolution reads the activated one.
fn block(
    w: &mut Weights<'_>,
    [inputs, middle, outputs]: [usize; 3],
    stride: usize,
) -> Result<Vec<Layer>> {
    let activate = [w.batch_norm("bn0", inputs)?, relu()];
    let residual = [
        w.conv("conv1", middle, inputs, 1)?.layer(),
        w.batch_norm("bn1", middle)?,
        relu(),
        w.conv("conv2", middle, middle, 3)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn2", middle)?,
        relu(),
        w.conv("conv3", outputs, middle, 1)?.layer(),
    ];
    if stride == 1 && inputs == outputs {
        let residual = activate.into_iter().chain(residual).collect::<Vec<_>>();
        return Ok(vec![sum([seq(residual), Layer::Identity])]);
    }
    let mut at = w.at("shortcut");
    let conv = at.conv("0", outputs, inputs, 1)?.stride(stride).layer();
    let shortcut = seq([conv, at.batch_norm("1", outputs)?]);
    Ok(activate.into_iter().chain([sum([seq(residual), shortcut])]).collect())
}
