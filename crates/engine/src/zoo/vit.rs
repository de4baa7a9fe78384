//! Vision transformer (Dosovitskiy et al., ICLR 2021) with a class token, under the names of timm and
//! of torchvision, and with a convolutional stem (Singh et al., NeurIPS 2023).

use super::constants::IMAGENET;
use super::transformer::{FINE, attention, conv_stem, mlp, residual};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Attention, ClassToken, Layer, Position, Tokens, flatten};

/// Under the names of timm, of any size.
pub(super) const VIT: Architecture = Architecture {
    name: "vit",
    family: "vit",
    about: "vision transformer for ImageNet",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[
        ("width", Value::Number(768)),
        ("depth", Value::Number(12)),
        ("heads", Value::Number(12)),
        ("patch", Value::Number(16)),
    ],
    measure: Some(|keys| measure(keys, &TIMM)),
    build: |w, settings| build(w, settings, &TIMM),
    ..Architecture::FIXED
};

/// ViT-B/16, DeiT-B.
pub(super) const VIT_BASE: Architecture =
    Architecture { name: "vit-base-16", about: "ViT-B/16 or DeiT-B for ImageNet", ..VIT };

/// ViT-S/16, DeiT-S.
pub(super) const VIT_SMALL: Architecture = Architecture {
    name: "vit-small-16",
    about: "ViT-S/16 or DeiT-S for ImageNet",
    parameters: &[
        ("width", Value::Number(384)),
        ("depth", Value::Number(12)),
        ("heads", Value::Number(6)),
        ("patch", Value::Number(16)),
    ],
    ..VIT
};

/// Under the names of torchvision, of any size.
pub(super) const TORCHVISION_VIT: Architecture = Architecture {
    name: "torchvision-vit",
    family: "torchvision-vit",
    about: "vision transformer for ImageNet under the names of torchvision",
    measure: Some(|keys| measure(keys, &TORCHVISION)),
    build: |w, settings| build(w, settings, &TORCHVISION),
    ..VIT
};

/// ViT-B/16 of torchvision.
pub(super) const TORCHVISION_VIT_BASE: Architecture = Architecture {
    name: "torchvision-vit-base-16",
    about: "ViT-B/16 of torchvision",
    ..TORCHVISION_VIT
};

/// With four convolutions instead of a patch embedding. The published ViT-B has no normalisation, the
/// ViT-S has it in its file.
pub(super) const VIT_CONVSTEM: Architecture = Architecture {
    name: "vit-convstem",
    family: "vit-convstem",
    about: "vision transformer with a convolutional stem for ImageNet",
    normalisation: None,
    parameters: &[
        ("stem", Value::Number(48)),
        ("width", Value::Number(384)),
        ("depth", Value::Number(12)),
        ("heads", Value::Number(6)),
    ],
    measure: Some(measure_convstem),
    build: build_convstem,
    ..VIT
};

/// ViT-S + ConvStem.
pub(super) const VIT_SMALL_CONVSTEM: Architecture = Architecture {
    name: "vit-small-convstem",
    about: "ViT-S with a convolutional stem for ImageNet",
    ..VIT_CONVSTEM
};

/// ViT-B + ConvStem.
pub(super) const VIT_BASE_CONVSTEM: Architecture = Architecture {
    name: "vit-base-convstem",
    about: "ViT-B with a convolutional stem for ImageNet",
    parameters: &[
        ("stem", Value::Number(48)),
        ("width", Value::Number(768)),
        ("depth", Value::Number(12)),
        ("heads", Value::Number(12)),
    ],
    ..VIT_CONVSTEM
};

/// The side of the patch that four convolutions of stride 2 see as one.
const STEM_PATCH: usize = 16;

/// What the weights are called.
struct Names {
    patch: &'static str,
    class: &'static str,
    position: &'static str,
    block: &'static str,
    norms: [&'static str; 2],
    qkv: [&'static str; 2],
    project: &'static str,
    mlp: [&'static str; 2],
    norm: &'static str,
    head: &'static str,
}

const TIMM: Names = Names {
    patch: "patch_embed.proj",
    class: "cls_token",
    position: "pos_embed",
    block: "blocks.",
    norms: ["norm1", "norm2"],
    qkv: ["attn.qkv.weight", "attn.qkv.bias"],
    project: "attn.proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
    norm: "norm",
    head: "head",
};

const TORCHVISION: Names = Names {
    patch: "conv_proj",
    class: "class_token",
    position: "encoder.pos_embedding",
    block: "encoder.layers.encoder_layer_",
    norms: ["ln_1", "ln_2"],
    qkv: ["self_attention.in_proj_weight", "self_attention.in_proj_bias"],
    project: "self_attention.out_proj",
    mlp: ["mlp.0", "mlp.3"],
    norm: "encoder.ln",
    head: "heads.head",
};

fn measure(keys: &Keys<'_>, names: &Names) -> Option<Measured> {
    let patches = format!("{}.weight", names.patch);
    let patch = keys.size(&patches, 2)?;
    let own = [("patch", patch.into())];
    measure_body(keys, names, own, [keys.size(&patches, 1)?, patch])
}

fn measure_convstem(keys: &Keys<'_>) -> Option<Measured> {
    let [stem, channels] = [0, 1].map(|axis| keys.size("patch_embed.proj.stem.0.weight", axis));
    measure_body(keys, &TIMM, [("stem", stem?.into())], [channels?, STEM_PATCH])
}

/// All but the patch embedding, which has a parameter of its own and sees patches of `patch` pixels.
fn measure_body(
    keys: &Keys<'_>,
    names: &Names,
    [own]: [(&str, Value); 1],
    [channels, patch]: [usize; 2],
) -> Option<Measured> {
    let [tokens, width] = [1, 2].map(|axis| keys.size(names.position, axis));
    let (patches, width) = (tokens?.checked_sub(1)?, width?);
    let side = patches.isqrt().checked_mul(patch)?;
    // Published heads have 64 channels.
    let heads = (width / 64).max(1);
    let parameters = [
        own,
        ("width", width.into()),
        ("depth", keys.children(names.block).into()),
        ("heads", heads.into()),
    ];
    let classes = keys.size(&format!("{}.weight", names.head), 0)?;
    let text = format!("the shapes do not tell the number of heads; {heads} are assumed");
    let measured = Measured::new(classes, parameters).of_images([channels, side, side]);
    Some(measured.doubt("heads", text))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings, names: &Names) -> Result<Vec<Layer>> {
    let (width, patch) = (settings.number("width")?, settings.number("patch")?);
    let patches = w.conv_bias(names.patch, width, settings.input_shape[0], patch)?.stride(patch);
    body(w, settings, names, vec![patches.layer()], patch)
}

fn build_convstem(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (stem, width) = (settings.number("stem")?, settings.number("width")?);
    let mut at = w.at("patch_embed.proj.stem");
    let widths = [stem, 2 * stem, 4 * stem, 8 * stem];
    let mut layers = conv_stem(&mut at, settings.input_shape[0], widths.map(|width| (width, 2)))?;
    layers.push(at.conv_bias("12", width, 8 * stem, 1)?.layer());
    body(w, settings, &TIMM, layers, STEM_PATCH)
}

/// All behind the embedding of patches of `patch` x `patch` pixels.
fn body(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    names: &Names,
    mut layers: Vec<Layer>,
    patch: usize,
) -> Result<Vec<Layer>> {
    let (width, heads) = (settings.number("width")?, settings.number("heads")?);
    let [_, height, across] = settings.input_shape;
    let tokens = 1 + (height / patch).saturating_mul(across / patch);
    let class = w.tensor(names.class, &[1, 1, width])?.squeeze(0)?.squeeze(0)?;
    let position = w.tensor(names.position, &[1, tokens, width])?.squeeze(0)?.unsqueeze(1)?;
    layers.extend([ClassToken::new(class).layer(), Position::new(position).layer()]);
    for index in 0..settings.number("depth")? {
        let mut at = w.at(format_args!("{}{index}", names.block));
        let mut branch = vec![at.layer_norm(names.norms[0], width, FINE)?];
        let heads = Attention::new(heads).layer();
        branch.extend(attention(&mut at, names.qkv, heads, names.project, width)?);
        layers.push(residual(branch));
        let mut branch = vec![at.layer_norm(names.norms[1], width, FINE)?];
        branch.extend(mlp(&mut at, names.mlp, width)?);
        layers.push(residual(branch));
    }
    layers.extend([Tokens::first().layer(), w.layer_norm(names.norm, width, FINE)?, flatten()]);
    layers.push(w.linear(names.head, settings.classes, width)?);
    Ok(layers)
}
