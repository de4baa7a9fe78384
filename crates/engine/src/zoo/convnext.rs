//! ConvNeXt (Liu et al., CVPR 2022) under the names of timm and of torchvision, and with a stem of
//! several convolutions (Singh et al., NeurIPS 2023).

use super::constants::IMAGENET;
use super::parameters::list;
use super::transformer::{FINE, conv_stem, mlp, residual};
use super::{Architecture, Keys, Measured, NetworkSettings, Weights};
use crate::error::{Error, Result};
use crate::nn::{Conv2d, Layer, global_avg_pool};

/// Under the names of timm; ConvNeXt-T unless the sizes say otherwise.
pub(super) const CONVNEXT: Architecture = Architecture {
    name: "convnext",
    family: "convnext",
    about: "ConvNeXt for ImageNet",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[("blocks", list(&[3, 3, 9, 3])), ("widths", list(&[96, 192, 384, 768]))],
    measure: Some(|keys| measure(keys, &TIMM)),
    build: |w, settings| build(w, settings, &TIMM),
    ..Architecture::FIXED
};

/// Under the names of torchvision.
pub(super) const TORCHVISION_CONVNEXT: Architecture = Architecture {
    name: "torchvision-convnext",
    family: "torchvision-convnext",
    about: "ConvNeXt for ImageNet under the names of torchvision",
    measure: Some(|keys| measure(keys, &TORCHVISION)),
    build: |w, settings| build(w, settings, &TORCHVISION),
    ..CONVNEXT
};

/// With two convolutions as its stem (ConvNeXt-T and -S), or three, the last of which keeps the size
/// (-B and -L); without normalisation.
pub(super) const CONVNEXT_CONVSTEM: Architecture = Architecture {
    name: "convnext-convstem",
    family: "convnext-convstem",
    about: "ConvNeXt with a stem of several convolutions for ImageNet",
    normalisation: None,
    parameters: &[
        ("stem", list(&[48, 96])),
        ("blocks", list(&[3, 3, 9, 3])),
        ("widths", list(&[96, 192, 384, 768])),
    ],
    measure: Some(measure_convstem),
    build: build_convstem,
    ..CONVNEXT
};

/// What the weights are called.
struct Names {
    stem: [&'static str; 2],
    /// What makes the images of a stage smaller.
    downsample: fn(usize) -> String,
    blocks: fn(usize) -> String,
    conv: &'static str,
    norm: &'static str,
    mlp: [&'static str; 2],
    scale: &'static str,
    /// The shape of the scale behind its channels.
    scale_rest: &'static [usize],
    head: [&'static str; 2],
}

const TIMM: Names = Names {
    stem: ["stem.0", "stem.1"],
    downsample: |stage| format!("stages.{stage}.downsample"),
    blocks: |stage| format!("stages.{stage}.blocks."),
    conv: "conv_dw",
    norm: "norm",
    mlp: ["mlp.fc1", "mlp.fc2"],
    scale: "gamma",
    scale_rest: &[],
    head: ["head.norm", "head.fc"],
};

const TORCHVISION: Names = Names {
    stem: ["features.0.0", "features.0.1"],
    downsample: |stage| format!("features.{}", 2 * stage),
    blocks: |stage| format!("features.{}.", 2 * stage + 1),
    conv: "block.0",
    norm: "block.2",
    mlp: ["block.3", "block.5"],
    scale: "layer_scale",
    scale_rest: &[1, 1],
    head: ["classifier.0", "classifier.2"],
};

fn measure(keys: &Keys<'_>, names: &Names) -> Option<Measured> {
    keys.size(&format!("{}.weight", names.stem[0]), 0)?;
    let (mut blocks, mut widths) = (Vec::new(), Vec::new());
    for stage in 0.. {
        let prefix = (names.blocks)(stage);
        let Some(width) = keys.size(&format!("{prefix}0.{}", names.scale), 0) else { break };
        blocks.push(keys.children(&prefix));
        widths.push(width);
    }
    let classes = keys.size(&format!("{}.weight", names.head[1]), 0)?;
    (!blocks.is_empty()).then_some(())?;
    Some(Measured::new(classes, [("blocks", blocks.into()), ("widths", widths.into())]))
}

fn measure_convstem(keys: &Keys<'_>) -> Option<Measured> {
    let width = |place| keys.size(&format!("stem.stem.{}.weight", 3 * place), 0);
    let stem: Vec<usize> = (0..).map_while(width).collect();
    let names = Names { stem: ["stem.stem.0", ""], ..TIMM };
    let mut measured = measure(keys, &names)?;
    measured.parameters.insert("stem".into(), stem.into());
    Some(measured)
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings, names: &Names) -> Result<Vec<Layer>> {
    let width = settings.numbers("widths")?[0];
    let patches = w.conv_bias(names.stem[0], width, settings.input_shape[0], 4)?.stride(4).layer();
    let norm = w.layer_norm(names.stem[1], width, FINE)?;
    body(w, settings, names, vec![patches, norm])
}

fn build_convstem(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    // Two steps make the images smaller; what follows them does not.
    let steps = settings.numbers("stem")?.iter().enumerate();
    let stem = steps.map(|(place, width)| (*width, if place < 2 { 2 } else { 1 }));
    let layers = conv_stem(&mut w.at("stem.stem"), settings.input_shape[0], stem)?;
    body(w, settings, &TIMM, layers)
}

/// All behind the stem.
fn body(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    names: &Names,
    mut layers: Vec<Layer>,
) -> Result<Vec<Layer>> {
    let (blocks, widths) = (settings.numbers("blocks")?, settings.numbers("widths")?);
    if blocks.len() != widths.len() {
        return Err(Error::setting(
            "parameter widths",
            format!("has {} stages and blocks has {}", widths.len(), blocks.len()),
            "give as many numbers of channels as numbers of blocks",
        ));
    }
    for (stage, (blocks, width)) in blocks.iter().zip(widths).enumerate() {
        if stage > 0 {
            let mut at = w.at((names.downsample)(stage));
            let norm = at.layer_norm("0", widths[stage - 1], FINE)?;
            let conv = at.conv_bias("1", *width, widths[stage - 1], 2)?.stride(2).layer();
            layers.extend([norm, conv]);
        }
        for index in 0..*blocks {
            let mut at = w.at(format_args!("{}{index}", (names.blocks)(stage)));
            layers.push(block(&mut at, names, *width)?);
        }
    }
    let width = widths[widths.len() - 1];
    let norm = w.layer_norm(names.head[0], width, FINE)?;
    layers.extend([global_avg_pool(), norm, w.linear(names.head[1], settings.classes, width)?]);
    Ok(layers)
}

fn block(w: &mut Weights<'_>, names: &Names, width: usize) -> Result<Layer> {
    let weight = w.tensor(&format!("{}.weight", names.conv), &[width, 1, 7, 7])?;
    let bias = w.tensor(&format!("{}.bias", names.conv), &[width])?;
    let conv = Conv2d::new(weight, Some(bias))?.groups(width).padding(3);
    let mut branch = vec![conv.layer(), w.layer_norm(names.norm, width, FINE)?];
    branch.extend(mlp(w, names.mlp, width)?);
    let shape: Vec<usize> = [width].iter().chain(names.scale_rest).copied().collect();
    branch.push(w.layer_scale(names.scale, &shape)?);
    Ok(residual(branch))
}
