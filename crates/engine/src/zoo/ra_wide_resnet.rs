//! RaWideResNet (Peng et al., BMVC 2023): the Wide ResNet of [`super::dm_wide_resnet`] with
//! stages of free depth and width and squeeze-excitation; with MeanSparse too.

use super::constants::CIFAR10;
use super::dm_wide_resnet::{Body, DM_WIDE_RESNET, measure_stages};
use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::Result;
use crate::nn::Layer;

/// RaWRN-70-16 unless the sizes say otherwise.
pub(super) const RA_WIDE_RESNET: Architecture = Architecture {
    name: "ra-wide-resnet",
    family: "ra-wide-resnet",
    about: "RaWRN-70-16: Wide ResNet with SiLU and squeeze-excitation for CIFAR",
    normalisation: Some(CIFAR10),
    parameters: &[
        ("stem", Value::Number(96)),
        ("blocks", list(&[30, 31, 10])),
        ("widths", list(&[216, 432, 864])),
        ("mean_sparse", Value::Flag(false)),
        activation::by_default("silu"),
    ],
    measure: Some(measure),
    unused: DM_WIDE_RESNET.unused,
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    if !keys.has("layer.0.block.0.se.fc1.weight") {
        return None;
    }
    let (blocks, widths) = measure_stages(keys)?;
    let stem = keys.size("init_conv.weight", 0)?;
    let parameters = [
        ("stem", stem.into()),
        ("blocks", blocks.into()),
        ("widths", widths.into()),
        ("mean_sparse", keys.has("meansparse_end.threshold").into()),
    ];
    Some(Measured::new(keys.size("logits.weight", 0)?, parameters).assume_activation("silu"))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let body = Body {
        stem: settings.number("stem")?,
        blocks: settings.numbers("blocks")?,
        widths: settings.numbers("widths")?,
        mean_sparse: settings.flag("mean_sparse")?,
        squeeze: true,
        activation: activation::of(settings)?,
    };
    body.build(w, settings)
}
