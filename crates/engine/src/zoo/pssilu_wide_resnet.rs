//! Wide ResNet with a parametric activation (Dai et al., 2021): the blocks of [`super::wide_resnet`]
//! with PSSiLU. One activation serves the whole network, so its two numbers stand under the name of
//! every block.

use candle_core::DType;

use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights, wide_resnet};
use crate::error::Result;
use crate::nn::{Layer, PsSilu, global_avg_pool};

/// WRN-28-10 unless the sizes say otherwise.
pub(super) const PSSILU_WIDE_RESNET: Architecture = Architecture {
    name: "pssilu-wide-resnet",
    family: "pssilu-wide-resnet",
    about: "Wide ResNet with PSSiLU for CIFAR",
    parameters: &[("depth", Value::Number(28)), ("widen_factor", Value::Number(10))],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    if !keys.has("activation.alpha") {
        return None;
    }
    let (depth, widen_factor) = wide_resnet::measure_sizes(keys)?;
    let parameters = [("depth", depth.into()), ("widen_factor", widen_factor.into())];
    Some(Measured::new(keys.size("fc.weight", 0)?, parameters))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (mut layers, features) = wide_resnet::stages(w, settings, &activation)?;
    layers.extend([w.batch_norm("bn1", features)?, activation(w)?, global_avg_pool()]);
    layers.push(w.linear("fc", settings.classes, features)?);
    Ok(layers)
}

fn activation(w: &mut Weights<'_>) -> Result<Layer> {
    let mut number = |name: &str| -> Result<f64> {
        let value = w.tensor(&format!("activation.{name}"), &[1])?.to_dtype(DType::F64)?;
        Ok(value.reshape(())?.to_scalar()?)
    };
    Ok(PsSilu::new(number("alpha")?, number("beta")?).layer())
}
