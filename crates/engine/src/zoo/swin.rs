//! Swin transformer (Liu et al., ICCV 2021) under the names of timm, new and old, and of torchvision;
//! the form of MIMIR (Xu et al., 2023) has the old names and another epsilon.

use super::constants::IMAGENET;
use super::parameters::list;
use super::transformer::{FINE, attention, mlp, residual};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::{Error, Result};
use crate::nn::{Attention, Layer, PatchMerge, global_avg_pool};

/// Under the names of timm; Swin-B unless the sizes say otherwise.
pub(super) const SWIN: Architecture = Architecture {
    name: "swin",
    family: "swin",
    about: "Swin transformer for ImageNet",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[
        ("width", Value::Number(128)),
        ("blocks", list(&[2, 2, 18, 2])),
        ("heads", list(&[4, 8, 16, 32])),
        ("window", Value::Number(7)),
        ("old_names", Value::Flag(false)),
        ("fine_epsilon", Value::Flag(false)),
    ],
    measure: Some(measure_timm),
    // Numbers that follow from the sizes.
    unused: |name| name.ends_with(".relative_position_index") || name.ends_with(".attn_mask"),
    build: build_timm,
};

/// Swin-B of MIMIR, without normalisation.
pub(super) const MIMIR_SWIN_BASE: Architecture = Architecture {
    name: "mimir-swin-base",
    about: "Swin-B of MIMIR for ImageNet",
    normalisation: None,
    parameters: &[
        ("width", Value::Number(128)),
        ("blocks", list(&[2, 2, 18, 2])),
        ("heads", list(&[4, 8, 16, 32])),
        ("window", Value::Number(7)),
        ("old_names", Value::Flag(true)),
        ("fine_epsilon", Value::Flag(true)),
    ],
    ..SWIN
};

/// Swin-L of MIMIR, without normalisation.
pub(super) const MIMIR_SWIN_LARGE: Architecture = Architecture {
    name: "mimir-swin-large",
    about: "Swin-L of MIMIR for ImageNet",
    normalisation: None,
    parameters: &[
        ("width", Value::Number(192)),
        ("blocks", list(&[2, 2, 18, 2])),
        ("heads", list(&[6, 12, 24, 48])),
        ("window", Value::Number(7)),
        ("old_names", Value::Flag(true)),
        ("fine_epsilon", Value::Flag(true)),
    ],
    ..SWIN
};

/// Under the names of torchvision; Swin-T unless the sizes say otherwise.
pub(super) const TORCHVISION_SWIN: Architecture = Architecture {
    name: "torchvision-swin",
    family: "torchvision-swin",
    about: "Swin transformer for ImageNet under the names of torchvision",
    parameters: &[
        ("width", Value::Number(96)),
        ("blocks", list(&[2, 2, 6, 2])),
        ("heads", list(&[3, 6, 12, 24])),
        ("window", Value::Number(7)),
    ],
    measure: Some(|keys| measure(keys, &TORCHVISION)),
    build: |w, settings| build(w, settings, &TORCHVISION, COARSE),
    ..SWIN
};

/// Side of the patches that the first layer makes pixels of.
const PATCH: usize = 4;

/// Epsilon of the layer norms of all but MIMIR.
const COARSE: f64 = 1e-5;

/// What the weights are called.
struct Names {
    embed: [&'static str; 2],
    blocks: fn(usize) -> String,
    /// What makes the images of a stage smaller, which is not the first.
    merge: fn(usize) -> String,
    mlp: [&'static str; 2],
    head: &'static str,
}

const TIMM: Names = Names {
    embed: ["patch_embed.proj", "patch_embed.norm"],
    blocks: |stage| format!("layers.{stage}.blocks."),
    merge: |stage| format!("layers.{stage}.downsample"),
    mlp: ["mlp.fc1", "mlp.fc2"],
    head: "head.fc",
};

const OLD: Names =
    Names { merge: |stage| format!("layers.{}.downsample", stage - 1), head: "head", ..TIMM };

const TORCHVISION: Names = Names {
    embed: ["features.0.0", "features.0.2"],
    blocks: |stage| format!("features.{}.", 2 * stage + 1),
    merge: |stage| format!("features.{}", 2 * stage),
    mlp: ["mlp.0", "mlp.3"],
    head: "head",
};

/// The biases of an attention, by relative position and head.
const TABLE: &str = "attn.relative_position_bias_table";

fn measure_timm(keys: &Keys<'_>) -> Option<Measured> {
    let old = keys.has("head.weight");
    let mut measured = measure(keys, if old { &OLD } else { &TIMM })?;
    measured.parameters.insert("old_names".into(), old.into());
    measured.parameters.insert("fine_epsilon".into(), false.into());
    if !old {
        return Some(measured);
    }
    let text = "epsilon 1e-5 of timm is assumed; the files of MIMIR, whose epsilon is 1e-6 \
                (fine_epsilon=true) and which have no normalisation, look the same";
    Some(measured.doubt("fine_epsilon", text))
}

fn measure(keys: &Keys<'_>, names: &Names) -> Option<Measured> {
    let (mut blocks, mut heads) = (Vec::new(), Vec::new());
    for stage in 0.. {
        let prefix = (names.blocks)(stage);
        let Some(here) = keys.size(&format!("{prefix}0.{TABLE}"), 1) else { break };
        blocks.push(keys.children(&prefix));
        heads.push(here);
    }
    let window = keys.size(&format!("{}0.{TABLE}", (names.blocks)(0)), 0)?.isqrt().div_ceil(2);
    let [width, channels] =
        [0, 1].map(|axis| keys.size(&format!("{}.weight", names.embed[0]), axis));
    // In the last stage the image is one window.
    let halvings = u32::try_from(blocks.len()).ok()?.checked_sub(1)?;
    let side = 2_usize.checked_pow(halvings)?.checked_mul(PATCH)?.checked_mul(window)?;
    let parameters = [
        ("width", width?.into()),
        ("blocks", blocks.into()),
        ("heads", heads.into()),
        ("window", window.into()),
    ];
    let classes = keys.size(&format!("{}.weight", names.head), 0)?;
    Some(Measured::new(classes, parameters).of_images([channels?, side, side]))
}

fn build_timm(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let names = if settings.flag("old_names")? { OLD } else { TIMM };
    build(w, settings, &names, if settings.flag("fine_epsilon")? { FINE } else { COARSE })
}

fn build(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    names: &Names,
    eps: f64,
) -> Result<Vec<Layer>> {
    let (blocks, heads) = (settings.numbers("blocks")?, settings.numbers("heads")?);
    if blocks.len() != heads.len() {
        return Err(Error::setting(
            "parameter heads",
            format!("has {} stages and blocks has {}", heads.len(), blocks.len()),
            "give as many numbers of heads as numbers of blocks",
        ));
    }
    let [inputs, height, across] = settings.input_shape;
    let mut width = settings.number("width")?;
    let embed = w.conv_bias(names.embed[0], width, inputs, PATCH)?.stride(PATCH).layer();
    let mut layers = vec![embed, w.layer_norm(names.embed[1], width, eps)?];
    for (stage, (blocks, heads)) in blocks.iter().zip(heads).enumerate() {
        if stage > 0 {
            let mut at = w.at((names.merge)(stage));
            let norm = at.layer_norm("norm", 4 * width, eps)?;
            let reduce = at.per_pixel_of("reduction.weight", None, 2 * width, 4 * width)?;
            layers.extend([PatchMerge.layer(), norm, reduce]);
            width *= 2;
        }
        // A window is never larger than the image.
        let side = height.min(across) / (PATCH << stage);
        let window = settings.number("window")?.min(side.max(1));
        for index in 0..*blocks {
            let mut at = w.at(format_args!("{}{index}", (names.blocks)(stage)));
            let shift = if index % 2 == 1 { window / 2 } else { 0 };
            let places = (2 * window - 1).pow(2);
            let table = at.tensor(TABLE, &[places, *heads])?;
            let windows = Attention::in_windows(*heads, window, shift, &table)?.layer();
            let mut branch = vec![at.layer_norm("norm1", width, eps)?];
            let qkv = ["attn.qkv.weight", "attn.qkv.bias"];
            branch.extend(attention(&mut at, qkv, windows, "attn.proj", width)?);
            layers.push(residual(branch));
            let mut branch = vec![at.layer_norm("norm2", width, eps)?];
            branch.extend(mlp(&mut at, names.mlp, width)?);
            layers.push(residual(branch));
        }
    }
    let norm = w.layer_norm("norm", width, eps)?;
    layers.extend([norm, global_avg_pool(), w.linear(names.head, settings.classes, width)?]);
    Ok(layers)
}
