//! Wide ResNets whose stages have their own depths and widths: WRN-34-R (Huang et al., NeurIPS 2021)
//! with the blocks of [`super::wide_resnet`], and WRN-A4 (Huang et al., CVPR 2023) mostly with SiLU, and a
//! shortcut convolution wherever the size changes.

use super::constants::CIFAR10;
use super::parameters::list;
use super::{
    Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation, wide_resnet,
};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, relu};

/// WRN-34-R unless the sizes say otherwise.
pub(super) const WRN_34_R: Architecture = Architecture {
    name: "wrn-34-r",
    family: "wrn-34-r",
    about: "Wide ResNet 34-R for CIFAR",
    parameters: &[
        ("stem", Value::Number(16)),
        ("blocks", list(&[5, 5, 5])),
        ("widths", list(&[320, 640, 512])),
    ],
    measure: Some(|keys| measure(keys, "bn1.weight")),
    build: |w, settings| {
        let (mut layers, features) = stages(w, settings, "convShortcut", relu)?;
        layers.extend([w.batch_norm("bn1", features)?, relu(), global_avg_pool()]);
        layers.push(w.linear("fc", settings.classes, features)?);
        Ok(layers)
    },
    ..Architecture::FIXED
};

/// WRN-A4 unless the sizes say otherwise.
pub(super) const WRN_A4: Architecture = Architecture {
    name: "wrn-a4",
    family: "wrn-a4",
    about: "Wide ResNet A4 with SiLU for CIFAR",
    normalisation: Some(CIFAR10),
    parameters: &[
        ("stem", Value::Number(16)),
        ("blocks", list(&[27, 28, 13])),
        ("widths", list(&[160, 448, 384])),
        activation::by_default("silu"),
    ],
    measure: Some(|keys| Some(measure(keys, "norm1.weight")?.assume_activation("silu"))),
    build: |w, settings| {
        let act = activation::of(settings)?;
        let (mut layers, features) = stages(w, settings, "shortcut.0", act)?;
        layers.extend([w.batch_norm("norm1", features)?, act(), global_avg_pool()]);
        layers.push(w.linear("fc", settings.classes, features)?);
        Ok(layers)
    },
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>, last_norm: &str) -> Option<Measured> {
    let stages = 0..keys.children("blocks.");
    if !keys.has(last_norm) || stages.is_empty() {
        return None;
    }
    let names: Vec<String> = stages.map(|stage| format!("blocks.{stage}.layer.")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let width = |name: &&str| keys.size(&format!("{name}0.conv1.weight"), 0);
    let widths = names.iter().map(width).collect::<Option<Vec<usize>>>()?;
    let parameters = [
        ("stem", keys.size("stem_conv.weight", 0)?.into()),
        ("blocks", keys.blocks(&names)?.into()),
        ("widths", widths.into()),
    ];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

/// Everything up to the last norm, and the channels there.
fn stages(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    shortcut: &str,
    act: fn() -> Layer,
) -> Result<(Vec<Layer>, usize)> {
    let mut inputs = settings.number("stem")?;
    let mut layers =
        vec![w.conv("stem_conv", inputs, settings.input_shape[0], 3)?.padding(1).layer()];
    let (blocks, widths) = (settings.numbers("blocks")?, settings.numbers("widths")?);
    for (stage, (blocks, outputs)) in blocks.iter().zip(widths).enumerate() {
        for index in 0..*blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("blocks.{stage}.layer.{index}"));
            let activation = |_: &mut Weights<'_>| Ok(act());
            let block = wide_resnet::Block { inputs, outputs: *outputs, stride, shortcut };
            layers.extend(block.build(&mut at, &activation)?);
            inputs = *outputs;
        }
    }
    Ok((layers, inputs))
}
