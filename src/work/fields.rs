//! Fields that attacks and certificates of a suite share, from their text to their value.

use std::collections::BTreeMap;

use super::number::OneOrMany;
use crate::error::{Error, Result};

/// The radii of an entry, ascending and each once; `subject` is for the error.
pub(super) fn radii(subject: &str, eps: &OneOrMany) -> Result<Vec<f64>> {
    if eps.values().is_empty() {
        return Err(Error::setting(
            subject,
            "has no eps",
            "--eps 8/255, or in a suite eps = \"8/255\"",
        ));
    }
    let mut eps =
        eps.values().iter().map(|number| number.positive("eps")).collect::<Result<Vec<f64>>>()?;
    eps.sort_by(f64::total_cmp);
    eps.dedup();
    Ok(eps)
}

/// Parameters with each value as the text a user would type for it.
pub(super) fn plain(parameters: &BTreeMap<String, toml::Value>) -> BTreeMap<String, String> {
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
