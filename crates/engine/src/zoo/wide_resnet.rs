//! Wide ResNet (Zagoruyko and Komodakis, BMVC 2016) in the form of TRADES, in which most robust CIFAR
//! networks are published. Pre-activation blocks; a shortcut convolution, where the width changes,
//! reads the activated input, an identity the raw one. Pang et al. (ICLR 2021) trained it with other activations
//! than ReLU.

use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::Result;
use crate::nn::{Layer, Linear, Standardise, UnitLength, global_avg_pool, seq, sum};

/// Of any depth and width.
pub(super) const WIDE_RESNET: Architecture = Architecture {
    name: "wide-resnet",
    family: "wide-resnet",
    about: "Wide ResNet for CIFAR in the form of TRADES",
    parameters: &[
        ("depth", Value::Number(28)),
        ("widen_factor", Value::Number(10)),
        ("cosine_head", Value::Flag(false)),
        ("per_image_standardisation", Value::Flag(false)),
        activation::by_default("relu"),
    ],
    measure: Some(measure),
    // The published files of the TRADES line hold a first block twice.
    unused: |name| name.starts_with("sub_block1."),
    build,
    ..Architecture::FIXED
};

/// WRN-28-10.
pub(super) const WRN_28_10: Architecture =
    Architecture { name: "wrn-28-10", about: "Wide ResNet 28-10 for CIFAR", ..WIDE_RESNET };

/// WRN-34-10.
pub(super) const WRN_34_10: Architecture = Architecture {
    name: "wrn-34-10",
    about: "Wide ResNet 34-10 for CIFAR",
    parameters: &[
        ("depth", Value::Number(34)),
        ("widen_factor", Value::Number(10)),
        ("cosine_head", Value::Flag(false)),
        ("per_image_standardisation", Value::Flag(false)),
        activation::by_default("relu"),
    ],
    ..WIDE_RESNET
};

/// WRN-70-16.
pub(super) const WRN_70_16: Architecture = Architecture {
    name: "wrn-70-16",
    about: "Wide ResNet 70-16 for CIFAR",
    parameters: &[
        ("depth", Value::Number(70)),
        ("widen_factor", Value::Number(16)),
        ("cosine_head", Value::Flag(false)),
        ("per_image_standardisation", Value::Flag(false)),
        activation::by_default("relu"),
    ],
    ..WIDE_RESNET
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    if keys.has("activation.alpha") {
        return None;
    }
    let (depth, widen_factor) = measure_sizes(keys)?;
    let parameters = [
        ("depth", depth.into()),
        ("widen_factor", widen_factor.into()),
        ("cosine_head", (!keys.has("fc.bias")).into()),
        ("per_image_standardisation", false.into()),
        // Nearly all that is published in this form has ReLU, so this is no doubt.
        activation::by_default("relu"),
    ];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

/// Depth and widening factor.
pub(super) fn measure_sizes(keys: &Keys<'_>) -> Option<(usize, usize)> {
    let blocks = keys.blocks(&["block1.layer.", "block2.layer.", "block3.layer."])?;
    let width = keys.size("block1.layer.0.conv1.weight", 0)?;
    let regular = blocks.iter().all(|n| *n == blocks[0]) && width.is_multiple_of(STEM);
    regular.then_some((6 * blocks[0] + 4, width / STEM))
}

/// Channels of the stem.
const STEM: usize = 16;

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let act = activation::of(settings)?;
    let (mut layers, features) = stages(w, settings, &|_| Ok(act()))?;
    if settings.flag("per_image_standardisation")? {
        layers.insert(0, Standardise.layer());
    }
    layers.extend([w.batch_norm("bn1", features)?, act(), global_avg_pool()]);
    if settings.flag("cosine_head")? {
        let rows = UnitLength.of_rows(&w.tensor("fc.weight", &[settings.classes, features])?)?;
        layers.extend([UnitLength.layer(), Linear::new(rows, None).layer()]);
    } else {
        layers.push(w.linear("fc", settings.classes, features)?);
    }
    Ok(layers)
}

/// Everything up to the last norm, and the channels there; `activation` makes the activations, which
/// may have weights.
pub(super) fn stages(
    w: &mut Weights<'_>,
    settings: &NetworkSettings,
    activation: Activation<'_>,
) -> Result<(Vec<Layer>, usize)> {
    let (blocks, width) = (blocks_per_stage(settings)?, STEM * settings.number("widen_factor")?);
    let mut layers = vec![w.conv("conv1", STEM, settings.input_shape[0], 3)?.padding(1).layer()];
    let mut inputs = STEM;
    for stage in 0..3 {
        let outputs = width << stage;
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let mut at = w.at(format_args!("block{}.layer.{index}", stage + 1));
            let block = Block { inputs, outputs, stride, shortcut: "convShortcut" };
            layers.extend(block.build(&mut at, activation)?);
            inputs = outputs;
        }
    }
    Ok((layers, inputs))
}

/// n of a depth of 6n + 4.
pub(super) fn blocks_per_stage(settings: &NetworkSettings) -> Result<usize> {
    let depth = settings.number("depth")?;
    match depth.checked_sub(4) {
        Some(n) if n > 0 && n % 6 == 0 => Ok(n / 6),
        _ => Err(crate::Error::setting(
            "parameter depth",
            format!("is {depth}, a Wide ResNet has 6n + 4 layers"),
            "give a depth such as 28, 34 or 70",
        )),
    }
}

/// Makes an activation from the weights of the place it stands in.
pub(super) type Activation<'a> = &'a dyn Fn(&mut Weights<'_>) -> Result<Layer>;

/// One block.
pub(super) struct Block<'a> {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) stride: usize,
    /// Name of the shortcut convolution.
    pub(super) shortcut: &'a str,
}

impl Block<'_> {
    pub(super) fn build(
        &self,
        w: &mut Weights<'_>,
        activation: Activation<'_>,
    ) -> Result<Vec<Layer>> {
        let Self { inputs, outputs, stride, shortcut } = *self;
        let activate = [w.batch_norm("bn1", inputs)?, activation(w)?];
        let residual = [
            w.conv("conv1", outputs, inputs, 3)?.stride(stride).padding(1).layer(),
            w.batch_norm("bn2", outputs)?,
            activation(w)?,
            w.conv("conv2", outputs, outputs, 3)?.padding(1).layer(),
        ];
        if stride == 1 && inputs == outputs {
            let residual = activate.into_iter().chain(residual).collect::<Vec<_>>();
            return Ok(vec![sum([seq(residual), Layer::Identity])]);
        }
        let shortcut = w.conv(shortcut, outputs, inputs, 1)?.stride(stride).layer();
        Ok(activate.into_iter().chain([sum([seq(residual), shortcut])]).collect())
    }
}
