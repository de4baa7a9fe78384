//! Wide ResNet in the form of Gowal et al. (2020): a choice of activations, mostly SiLU, and convolutions
//! of stride 2 that are padded on the right and at the bottom only. With mean-centred feature sparsification it is
//! the MeanSparse form (Amini et al., 2024); robust architectures of other widths and with
//! squeeze-excitation (Peng et al., BMVC 2023) have the same body.

use super::constants::CIFAR10;
use super::wide_resnet::blocks_per_stage;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, activation};
use crate::error::Result;
use crate::nn::{Conv2d, Layer, MeanSparse, gate, global_avg_pool, relu, seq, sigmoid, sum};
use crate::ops::conv2d::Padding;

/// Of any depth and width.
pub(super) const DM_WIDE_RESNET: Architecture = Architecture {
    name: "dm-wide-resnet",
    family: "dm-wide-resnet",
    about: "Wide ResNet with SiLU or ReLU and one-sided padding for CIFAR",
    normalisation: Some(CIFAR10),
    parameters: &[
        ("depth", Value::Number(28)),
        ("widen_factor", Value::Number(10)),
        ("mean_sparse", Value::Flag(false)),
        activation::by_default("silu"),
    ],
    measure: Some(measure),
    // Counters of the passes in which the statistics of the sparsification were taken.
    unused: |name| name.ends_with(".batch_num") || name.ends_with(".flag_update_statistics"),
    build,
    ..Architecture::FIXED
};

/// DM-WRN-28-10.
pub(super) const DM_WRN_28_10: Architecture = Architecture {
    name: "dm-wrn-28-10",
    about: "Wide ResNet 28-10 with SiLU for CIFAR",
    ..DM_WIDE_RESNET
};

/// DM-WRN-70-16.
pub(super) const DM_WRN_70_16: Architecture = Architecture {
    name: "dm-wrn-70-16",
    about: "Wide ResNet 70-16 with SiLU for CIFAR",
    parameters: &[
        ("depth", Value::Number(70)),
        ("widen_factor", Value::Number(16)),
        ("mean_sparse", Value::Flag(false)),
        activation::by_default("silu"),
    ],
    ..DM_WIDE_RESNET
};

/// Channels of the stem of a Wide ResNet.
const STEM: usize = 16;

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let (blocks, widths) = measure_stages(keys)?;
    let regular = blocks.len() == 3
        && blocks.iter().all(|n| *n == blocks[0])
        && widths.iter().enumerate().all(|(stage, width)| *width == widths[0] << stage)
        && widths[0].is_multiple_of(STEM)
        && keys.size("init_conv.weight", 0)? == STEM;
    if !regular || keys.any("layer.0.block.0.se.") {
        return None;
    }
    let parameters = [
        ("depth", (6 * blocks[0] + 4).into()),
        ("widen_factor", (widths[0] / STEM).into()),
        ("mean_sparse", keys.has("meansparse_end.threshold").into()),
    ];
    Some(Measured::new(keys.size("logits.weight", 0)?, parameters).assume_activation("silu"))
}

/// Blocks and channels per stage.
pub(super) fn measure_stages(keys: &Keys<'_>) -> Option<(Vec<usize>, Vec<usize>)> {
    let stages = 0..keys.children("layer.");
    let blocks = stages.clone().map(|i| keys.children(&format!("layer.{i}.block."))).collect();
    let width = |i| keys.size(&format!("layer.{i}.block.0.conv_0.weight"), 0);
    Some((blocks, stages.map(width).collect::<Option<_>>()?))
        .filter(|(blocks, _): &(Vec<usize>, _)| !blocks.is_empty() && !blocks.contains(&0))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (blocks, width) = (blocks_per_stage(settings)?, STEM * settings.number("widen_factor")?);
    let body = Body {
        stem: STEM,
        blocks: &[blocks; 3],
        widths: &[width, 2 * width, 4 * width],
        mean_sparse: settings.flag("mean_sparse")?,
        squeeze: false,
        activation: activation::of(settings)?,
    };
    body.build(w, settings)
}

/// A whole network of this form.
pub(super) struct Body<'a> {
    /// Channels of the first convolution.
    pub(super) stem: usize,
    /// Blocks per stage.
    pub(super) blocks: &'a [usize],
    /// Channels per stage.
    pub(super) widths: &'a [usize],
    /// Sparsification after every norm and every block.
    pub(super) mean_sparse: bool,
    /// Squeeze-excitation at the end of every residual branch.
    pub(super) squeeze: bool,
    /// Makes an activation.
    pub(super) activation: fn() -> Layer,
}

impl Body<'_> {
    pub(super) fn build(
        &self,
        w: &mut Weights<'_>,
        settings: &NetworkSettings,
    ) -> Result<Vec<Layer>> {
        let mut layers =
            vec![w.conv("init_conv", self.stem, settings.input_shape[0], 3)?.padding(1).layer()];
        let mut inputs = self.stem;
        for (stage, (blocks, width)) in self.blocks.iter().zip(self.widths).enumerate() {
            for index in 0..*blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let mut at = w.at(format_args!("layer.{stage}.block.{index}"));
                layers.extend(self.block(&mut at, [inputs, *width], stride)?);
                inputs = *width;
            }
        }
        layers.extend(self.activate(w, "batchnorm", "meansparse_end", inputs)?);
        layers.extend([global_avg_pool(), w.linear("logits", settings.classes, inputs)?]);
        Ok(layers)
    }

    fn block(
        &self,
        w: &mut Weights<'_>,
        [inputs, outputs]: [usize; 2],
        stride: usize,
    ) -> Result<Vec<Layer>> {
        let activate = self.activate(w, "batchnorm_0", "meansparse_0", inputs)?;
        let mut residual = vec![same_padding(w.conv("conv_0", outputs, inputs, 3)?, stride)];
        residual.extend(self.activate(w, "batchnorm_1", "meansparse_1", outputs)?);
        residual.push(w.conv("conv_1", outputs, outputs, 3)?.padding(1).layer());
        if self.squeeze {
            residual.push(squeeze_excitation(&mut w.at("se"), outputs)?);
        }
        let mut layers = if inputs == outputs {
            let residual = activate.into_iter().chain(residual).collect::<Vec<_>>();
            vec![sum([seq(residual), Layer::Identity])]
        } else {
            let shortcut = w.conv("shortcut", outputs, inputs, 1)?.stride(stride).layer();
            activate.into_iter().chain([sum([seq(residual), shortcut])]).collect()
        };
        if self.mean_sparse {
            layers.push(mean_sparse(&mut w.at("meansparse_2"), outputs)?);
        }
        Ok(layers)
    }

    /// Norm, sparsification and activation.
    fn activate(
        &self,
        w: &mut Weights<'_>,
        norm: &str,
        sparse: &str,
        channels: usize,
    ) -> Result<Vec<Layer>> {
        let mut layers = vec![w.batch_norm(norm, channels)?];
        if self.mean_sparse {
            layers.push(mean_sparse(&mut w.at(sparse), channels)?);
        }
        layers.push((self.activation)());
        Ok(layers)
    }
}

/// A 3 x 3 convolution whose output covers the input: with stride 2 it is padded behind only.
pub(super) fn same_padding(conv: Conv2d, stride: usize) -> Layer {
    match stride {
        1 => conv.padding(1).layer(),
        _ => conv
            .stride(stride)
            .padding_sides(Padding { top: 0, bottom: 1, left: 0, right: 1 })
            .layer(),
    }
}

/// Gates per channel from the channels' means, through two 1 x 1 convolutions.
fn squeeze_excitation(w: &mut Weights<'_>, channels: usize) -> Result<Layer> {
    let squeezed = (channels as f64 * 0.25).round_ties_even() as usize;
    let fc1 = w.pointwise("fc1", squeezed, channels, true)?;
    let fc2 = w.pointwise("fc2", channels, squeezed, true)?;
    Ok(gate([global_avg_pool(), fc1, relu(), fc2, sigmoid()]))
}

fn mean_sparse(w: &mut Weights<'_>, channels: usize) -> Result<Layer> {
    let mean = w.tensor("running_mean", &[channels])?;
    let std = w.tensor("running_var", &[channels])?.sqrt()?;
    let radius = std.broadcast_mul(&w.tensor("threshold", &[])?)?;
    Ok(MeanSparse::new(mean, radius).layer())
}
