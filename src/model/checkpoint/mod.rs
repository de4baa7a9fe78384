//! placeholder
use crate::error::Result;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::path::Path;
pub struct Checkpoint(BTreeMap<String, Tensor>);
pub struct WeightSet {
    pub tensors: BTreeMap<String, Tensor>,
}
impl Checkpoint {
    pub fn into_chosen(self) -> WeightSet {
        WeightSet { tensors: self.0 }
    }
}
pub fn read(path: &Path) -> Result<Checkpoint> {
    let t = candle_core::safetensors::load(path, &candle_core::Device::Cpu)?;
    Ok(Checkpoint(
        t.into_iter()
            .map(|(k, v)| (k.strip_prefix("module.").map(str::to_string).unwrap_or(k), v))
            .collect(),
    ))
}
