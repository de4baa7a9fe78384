//! The CIFAR ResNets of randomised smoothing (Cohen et al., ICML 2019): 6n + 2 layers, widths 16, 32
//! and 64, and shortcuts by a 1 x 1 convolution with a norm.

use super::constants::CIFAR10_MEAN_STD;
use super::residual::{self, Stages};
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::Result;
use crate::nn::{Layer, global_avg_pool, relu};

/// ResNet-110, that of the published certificates, unless the depth says otherwise.
pub(super) const RESNET110: Architecture = Architecture {
    name: "smoothing-resnet-110",
    family: "smoothing-resnet-110",
    about: "CIFAR ResNet-110 of randomised smoothing",
    normalisation: Some(CIFAR10_MEAN_STD),
    parameters: &[("depth", Value::Number(110))],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

const WIDTH: usize = 16;

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let sizes = residual::measure(keys, 3)?;
    let regular = sizes.blocks.iter().all(|n| *n == sizes.blocks[0]);
    if !regular || sizes.bottleneck.is_some() || sizes.width != WIDTH {
        return None;
    }
    let parameters = [("depth", (6 * sizes.blocks[0] + 2).into())];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let depth = settings.number("depth")?;
    let Some(blocks) = depth.checked_sub(2).filter(|n| *n > 0 && n % 6 == 0).map(|n| n / 6) else {
        let problem = format!("is {depth}, such a ResNet has 6n + 2 layers");
        let remedy = "give a depth such as 20, 56 or 110";
        return Err(crate::Error::setting("parameter depth", problem, remedy));
    };
    let mut layers = vec![
        w.conv("conv1", WIDTH, settings.input_shape[0], 3)?.padding(1).layer(),
        w.batch_norm("bn1", WIDTH)?,
        relu(),
    ];
    let stages = Stages {
        blocks: &[blocks; 3],
        width: WIDTH,
        bottleneck: None,
        groups: 1,
        shortcut: "downsample",
    };
    let (stages, features) = stages.build(w)?;
    layers.extend(stages);
    layers.extend([global_avg_pool(), w.linear("fc", settings.classes, features)?]);
    Ok(layers)
}
