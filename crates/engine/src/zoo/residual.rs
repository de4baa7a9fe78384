//! The residual blocks of He et al. (CVPR 2016), with the activation after the sum, that several
//! families share: they differ in the stem, in the sizes and in the names of a few weights.

use super::{Keys, Weights};
use crate::error::Result;
use crate::nn::{Layer, relu, seq, sum};

/// The stages of such a network.
pub(super) struct Stages<'a> {
    /// Blocks per stage.
    pub(super) blocks: &'a [usize],
    /// Channels of the stem and of the first stage; every further stage has twice as many.
    pub(super) width: usize,
    /// Channels of the 3 x 3 convolution of a bottleneck in the first stage; basic blocks without.
    pub(super) bottleneck: Option<usize>,
    /// Groups of the 3 x 3 convolution of a bottleneck.
    pub(super) groups: usize,
    /// What the shortcut is called.
    pub(super) shortcut: &'static str,
}

/// How many times as many channels a bottleneck block gives as the stage has.
pub(super) const EXPANSION: usize = 4;

impl Stages<'_> {
    /// The layers, under the names `layer1.0`, `layer1.1`, ..., and the channels of the last one.
    pub(super) fn build(&self, w: &mut Weights<'_>) -> Result<(Vec<Layer>, usize)> {
        let mut layers = Vec::new();
        let mut inputs = self.width;
        for (stage, blocks) in self.blocks.iter().enumerate() {
            let expansion = if self.bottleneck.is_some() { EXPANSION } else { 1 };
            let outputs = (self.width << stage) * expansion;
            for index in 0..*blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let mut at = w.at(format_args!("layer{}.{index}", stage + 1));
                let residual = match self.bottleneck {
                    Some(middle) => bottleneck(
                        &mut at,
                        [inputs, middle << stage, outputs],
                        stride,
                        self.groups,
                    )?,
                    None => basic(&mut at, [inputs, outputs], stride)?,
                };
                let shortcut = if stride == 1 && inputs == outputs {
                    Layer::Identity
                } else {
                    let mut at = at.at(self.shortcut);
                    let conv = at.conv("0", outputs, inputs, 1)?.stride(stride).layer();
                    seq([conv, at.batch_norm("1", outputs)?])
                };
                layers.extend([sum([residual, shortcut]), relu()]);
                inputs = outputs;
            }
        }
        Ok((layers, inputs))
    }
}

pub(super) fn basic(
    w: &mut Weights<'_>,
    [inputs, outputs]: [usize; 2],
    stride: usize,
) -> Result<Layer> {
    Ok(seq([
        w.conv("conv1", outputs, inputs, 3)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn1", outputs)?,
        relu(),
        w.conv("conv2", outputs, outputs, 3)?.padding(1).layer(),
        w.batch_norm("bn2", outputs)?,
    ]))
}

/// The stride is that of the 3 x 3 convolution.
fn bottleneck(
    w: &mut Weights<'_>,
    [inputs, middle, outputs]: [usize; 3],
    stride: usize,
    groups: usize,
) -> Result<Layer> {
    Ok(seq([
        w.conv("conv1", middle, inputs, 1)?.layer(),
        w.batch_norm("bn1", middle)?,
        relu(),
        w.conv_groups("conv2", middle, middle, 3, groups)?.stride(stride).padding(1).layer(),
        w.batch_norm("bn2", middle)?,
        relu(),
        w.conv("conv3", outputs, middle, 1)?.layer(),
        w.batch_norm("bn3", outputs)?,
    ]))
}

/// What the names and shapes of the first stages tell: blocks per stage, width, channels and groups
/// of the first bottleneck.
pub(super) struct Sizes {
    pub(super) blocks: Vec<usize>,
    pub(super) width: usize,
    pub(super) bottleneck: Option<usize>,
    pub(super) groups: usize,
}

/// Measures a network of `stages` stages whose stem is `conv1`, `bn1`.
pub(super) fn measure(keys: &Keys<'_>, stages: usize) -> Option<Sizes> {
    let names: Vec<String> = (1..=stages).map(|stage| format!("layer{stage}.")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if !keys.has("bn1.running_mean") || keys.any(&format!("layer{}.", stages + 1)) {
        return None;
    }
    let bottleneck = match keys.has("layer1.0.conv3.weight") {
        true => Some(keys.size("layer1.0.conv2.weight", 0)?),
        false => None,
    };
    let groups = match bottleneck {
        Some(middle) => middle.checked_div(keys.size("layer1.0.conv2.weight", 1)?)?,
        None => 1,
    };
    let width = keys.size("conv1.weight", 0)?;
    Some(Sizes { blocks: keys.blocks(&names)?, width, bottleneck, groups })
}
