//! The suite and the models that come with the binary, so that a first run needs no file and no
//! network.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::FrozenNetwork;
use crate::model::ModelCard;
use crate::model::file::{Declared, load_bytes};

/// The suite of `epsball run` without arguments.
pub const BUNDLED_SUITE: &str = include_str!("../../benchmarks/suites/digits.toml");

macro_rules! bundled {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../benchmarks/models/", $name, ".safetensors")))),*]
    };
}

const MODELS: &[(&str, &[u8])] =
    bundled!["digits-standard", "digits-pgd", "digits-trades", "digits-gaussian"];

/// Names of the bundled models.
pub fn bundled_models() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}

/// The bundled model of this name.
pub(crate) fn load(name: &str, declared: &Declared) -> Result<(FrozenNetwork, ModelCard)> {
    let (_, bytes) = MODELS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| Error::unknown("bundled model", name, bundled_models()))?;
    load_bytes(Path::new(&format!("bundled:{name}")), bytes, declared)
}
