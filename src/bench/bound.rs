//! A `[[certificate]]` of bounds, resolved.

use std::collections::BTreeMap;

use super::plan::{parse_norm, radii};
use super::suite::CertificateEntry;
use crate::certify::bounds::Bounds;
use crate::error::{Error, Result};
use crate::nn::bounds::Method;
use crate::record::Work;

/// Halvings unless the suite says otherwise.
const STEPS: u32 = 6;

/// The settings of an entry, and the job's label and description.
pub(super) fn resolve(entry: &CertificateEntry, method: Method) -> Result<(Bounds, String, Work)> {
    let subject = || format!("certificate {}", method.name());
    if entry.sigma.is_some() || !entry.radii.is_empty() {
        return Err(Error::setting(
            subject(),
            "has a sigma or radii, which belong to smoothing",
            "give norm = \"Linf\" and eps = [0.05, 0.1]",
        ));
    }
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject(),
            "has no norm",
            "add norm = \"Linf\" or norm = \"L2\"",
        ));
    };
    let norm = parse_norm(norm)?;
    let eps = radii(&subject(), &entry.eps)?;
    let steps = entry.steps.unwrap_or(STEPS);
    let settings = Bounds { method, norm, eps: eps.clone(), steps };
    settings.validate()?;
    let default = || format!("{}-{}", method.name(), norm.to_string().to_lowercase());
    let label = entry.label.clone().unwrap_or_else(default);
    let work = Work::Bound {
        label: label.clone(),
        certificate: method.name().into(),
        threat: norm.to_string(),
        eps,
        parameters: BTreeMap::from([("steps".to_string(), steps.to_string())]),
    };
    Ok((settings, label, work))
}
