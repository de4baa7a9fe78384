//! XCiT (El-Nouby et al., NeurIPS 2021) under the names of timm, as Debenedetti et al. (SaTML 2023)
//! trained it: patches of 16 pixels for ImageNet, of 4 for CIFAR, with the same weights.

use candle_core::{DType, Device, Tensor};

use super::constants::CIFAR10;
use super::transformer::{FINE, mlp, residual};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::{Error, Result};
use crate::nn::{
    Attention, ClassToken, Conv2d, CovarianceAttention, Layer, Position, Tokens, concat, flatten,
    gelu, seq, stack, sum,
};

/// Of any size, for ImageNet and without normalisation.
pub(super) const XCIT: Architecture = Architecture {
    name: "xcit",
    family: "xcit",
    about: "XCiT of any size",
    input_shape: [3, 224, 224],
    classes: 1000,
    parameters: &sizes([384, 12, 8], 16),
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// XCiT-S12/16.
pub(super) const XCIT_S12: Architecture =
    Architecture { name: "xcit-s12", about: "XCiT-S12 for ImageNet", ..XCIT };

/// XCiT-M12/16.
pub(super) const XCIT_M12: Architecture = Architecture {
    name: "xcit-m12",
    about: "XCiT-M12 for ImageNet",
    parameters: &sizes([512, 12, 8], 16),
    ..XCIT
};

/// XCiT-L12/16.
pub(super) const XCIT_L12: Architecture = Architecture {
    name: "xcit-l12",
    about: "XCiT-L12 for ImageNet",
    parameters: &sizes([768, 12, 16], 16),
    ..XCIT
};

/// XCiT-S12/4.
pub(super) const CIFAR_XCIT_S12: Architecture = Architecture {
    name: "cifar-xcit-s12",
    about: "XCiT-S12 for CIFAR",
    input_shape: [3, 32, 32],
    classes: 10,
    normalisation: Some(CIFAR10),
    parameters: &sizes([384, 12, 8], 4),
    ..XCIT
};

/// XCiT-M12/4.
pub(super) const CIFAR_XCIT_M12: Architecture = Architecture {
    name: "cifar-xcit-m12",
    about: "XCiT-M12 for CIFAR",
    parameters: &sizes([512, 12, 8], 4),
    ..CIFAR_XCIT_S12
};

/// XCiT-L12/4.
pub(super) const CIFAR_XCIT_L12: Architecture = Architecture {
    name: "cifar-xcit-l12",
    about: "XCiT-L12 for CIFAR",
    parameters: &sizes([768, 12, 16], 4),
    ..CIFAR_XCIT_S12
};

const fn sizes([width, depth, heads]: [usize; 3], patch: usize) -> [(&'static str, Value); 5] {
    [
        ("width", Value::Number(width)),
        ("depth", Value::Number(depth)),
        ("class_depth", Value::Number(2)),
        ("heads", Value::Number(heads)),
        ("patch", Value::Number(patch)),
    ]
}

/// Convolutions that embed the patches.
const STEM: usize = 4;

/// Half of the number of waves that tell a position, and the ratio of the longest to the shortest.
const WAVES: usize = 32;
const RATIO: f64 = 10_000.0;

/// Most values of a position embedding: ImageNet's L12 has 150,000.
const MOST_POSITIONS: usize = 1 << 23;

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let width = keys.size("pos_embed.token_projection.weight", 0)?;
    // XCiT-N does without one of the norms, which its shapes do not tell.
    if width == 128 {
        return None;
    }
    let classes = keys.size("head.weight", 0)?;
    let patch: usize = if classes <= 100 { 4 } else { 16 };
    let parameters = [
        ("width", width.into()),
        ("depth", keys.children("blocks.").into()),
        ("class_depth", keys.children("cls_attn_blocks.").into()),
        ("heads", keys.size("blocks.0.attn.temperature", 0)?.into()),
        ("patch", patch.into()),
    ];
    let text = format!(
        "the shapes do not tell the size of patches; {patch} x {patch} pixels are assumed, as usual \
         for {classes} classes"
    );
    Some(Measured::new(classes, parameters).doubt("patch", text))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (width, heads) = (settings.number("width")?, settings.number("heads")?);
    let mut layers = patches(&mut w.at("patch_embed.proj"), settings)?;
    layers.push(positions(&mut w.at("pos_embed.token_projection"), settings)?);
    for index in 0..settings.number("depth")? {
        layers.extend(block(&mut w.at(format_args!("blocks.{index}")), width, heads)?);
    }
    let class = w.tensor("cls_token", &[1, 1, width])?.squeeze(0)?.squeeze(0)?;
    layers.push(ClassToken::new(class).layer());
    for index in 0..settings.number("class_depth")? {
        let mut at = w.at(format_args!("cls_attn_blocks.{index}"));
        layers.extend(class_block(&mut at, width, heads)?);
    }
    layers.extend([Tokens::first().layer(), w.layer_norm("norm", width, FINE)?, flatten()]);
    layers.push(w.linear("head", settings.classes, width)?);
    Ok(layers)
}

/// Four convolutions that double the channels. For patches of 16 pixels each halves the image; for
/// smaller ones the first ones do not.
fn patches(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let patch = settings.number("patch")?;
    let (Some(halving), true) = (patch.checked_ilog2(), patch.is_power_of_two()) else {
        return Err(patch_size(patch));
    };
    let whole = STEM.checked_sub(halving as usize).ok_or_else(|| patch_size(patch))?;
    let (mut layers, mut inputs) = (Vec::new(), settings.input_shape[0]);
    let width = settings.number("width")?;
    if width >> (STEM - 1) == 0 {
        let problem = format!("is {width}, the first of {STEM} convolutions has an eighth of it");
        return Err(Error::setting("parameter width", problem, "give a width such as 384"));
    }
    for place in 0..STEM {
        if place > 0 {
            layers.push(gelu());
        }
        let outputs = width >> (STEM - 1 - place);
        let mut at = w.at(2 * place);
        let stride = if place < whole { 1 } else { 2 };
        let conv = at.conv("0", outputs, inputs, 3)?.stride(stride).padding(1).layer();
        layers.extend([conv, at.batch_norm("1", outputs)?]);
        inputs = outputs;
    }
    Ok(layers)
}

fn patch_size(patch: usize) -> Error {
    let problem = format!("is {patch}, patches have 1, 2, 4, 8 or 16 pixels");
    Error::setting("parameter patch", problem, "give 16 for ImageNet, 4 for CIFAR")
}

/// Sine and cosine waves along both axes, projected to the channels by a trained 1 x 1 convolution.
fn positions(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Layer> {
    let (width, patch) = (settings.number("width")?, settings.number("patch")?);
    let weight = w.tensor("weight", &[width, 2 * WAVES, 1, 1])?;
    let bias = w.tensor("bias", &[width])?;
    let [_, height, across] = settings.input_shape.map(|side| side.div_ceil(patch));
    let values = height.checked_mul(across).and_then(|pixels| pixels.checked_mul(width));
    if values.is_none_or(|values| values > MOST_POSITIONS) {
        let problem = format!("{height} x {across} patches of {width} channels are too many");
        return Err(Error::setting("input shape", problem, "correct the model file"));
    }
    let wave = |at: usize, side: usize, wave: usize| {
        let along = (at + 1) as f64 / (side as f64 + 1e-6) * std::f64::consts::TAU;
        let angle = along / RATIO.powf((wave / 2 * 2) as f64 / WAVES as f64);
        if wave.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let mut waves = Vec::with_capacity(height * across * 2 * WAVES);
    for pixel in 0..height * across {
        waves.extend((0..WAVES).map(|i| wave(pixel / across, height, i)));
        waves.extend((0..WAVES).map(|i| wave(pixel % across, across, i)));
    }
    let waves = Tensor::from_vec(waves, (height * across, 2 * WAVES), &Device::Cpu)?;
    let kind = weight.dtype();
    let double = |t: Tensor| t.to_dtype(DType::F64);
    let embedding = waves
        .matmul(&double(weight.squeeze(3)?.squeeze(2)?)?.t()?)?
        .broadcast_add(&double(bias)?)?
        .to_dtype(kind)?;
    Ok(Position::new(embedding.reshape((height, across, width))?).layer())
}

/// Attention among channels, two 3 x 3 convolutions of each channel, and the fully connected layers.
fn block(w: &mut Weights<'_>, width: usize, heads: usize) -> Result<[Layer; 3]> {
    let temperatures = w.tensor("attn.temperature", &[heads, 1, 1])?;
    let attention = seq([
        w.layer_norm("norm1", width, FINE)?,
        w.per_pixel("attn.qkv", 3 * width, width)?,
        CovarianceAttention::new(&temperatures)?.layer(),
        w.per_pixel("attn.proj", width, width)?,
        w.layer_scale("gamma1", &[width])?,
    ]);
    let local = seq([
        w.layer_norm("norm3", width, FINE)?,
        depthwise(w, "local_mp.conv1", width)?,
        gelu(),
        w.batch_norm("local_mp.bn", width)?,
        depthwise(w, "local_mp.conv2", width)?,
        w.layer_scale("gamma3", &[width])?,
    ]);
    let mut rest = vec![w.layer_norm("norm2", width, FINE)?];
    rest.extend(mlp(w, ["mlp.fc1", "mlp.fc2"], width)?);
    rest.push(w.layer_scale("gamma2", &[width])?);
    Ok([residual(vec![attention]), residual(vec![local]), residual(rest)])
}

fn depthwise(w: &mut Weights<'_>, name: &str, width: usize) -> Result<Layer> {
    let weight = w.tensor(&format!("{name}.weight"), &[width, 1, 3, 3])?;
    let bias = w.tensor(&format!("{name}.bias"), &[width])?;
    Ok(Conv2d::new(weight, Some(bias))?.groups(width).padding(1).layer())
}

/// The class token attends to all tokens. As published, what is added to the other tokens is their own
/// norm: once scaled, and once, behind the second norm, as it is.
fn class_block(w: &mut Weights<'_>, width: usize, heads: usize) -> Result<[Layer; 3]> {
    let parts = ["attn.q", "attn.k", "attn.v"].map(|part| w.per_pixel(part, width, width));
    let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
    let class = seq([
        concat(parts),
        Attention::of_first(heads).layer(),
        w.per_pixel("attn.proj", width, width)?,
    ]);
    let attention = vec![
        w.layer_norm("norm1", width, FINE)?,
        stack([class, Tokens::rest().layer()]),
        w.layer_scale("gamma1", &[width])?,
    ];
    let norm = w.layer_norm("norm2", width, FINE)?;
    let mut class = vec![Tokens::first().layer()];
    class.extend(mlp(w, ["mlp.fc1", "mlp.fc2"], width)?);
    class.push(w.layer_scale("gamma2", &[width])?);
    let added = sum([stack([seq(class), Tokens::rest().layer()]), Layer::Identity]);
    Ok([residual(attention), norm, added])
}
