//! A `[[certificate]]` against patches, resolved: the size of the patch and the parameters of the defence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::PatchTask;
use crate::attack::Asks;
use crate::certify::patch::{Ablation, Keep, PatchCertificate, PatchCleanser, WindowSmoothing};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::parameters::Parameters;
use crate::parameters::documented;
use crate::record::Work;
use crate::threat::{Patch, PatchSize};
use crate::work::entry::{Entry, is_default};
use crate::work::fields::plain;
use crate::work::kind::{Settings, Subject};
use crate::work::number::OneOrMany;
use crate::work::task::Resolved;

documented! {
    /// A `[[certificate]]` against patches.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct PatchEntry {
        /// `patchcleanser`, `column-smoothing`, `row-smoothing` or `block-smoothing`.
        pub certificate: String,
        /// Column title; otherwise `patchcleanser-SIZE`, …
        #[serde(default, skip_serializing_if = "is_default")]
        pub label: Option<String>,
        /// Size of the patch, or several: `"5x5"` pixels, `"2%"` of the area, `"20%x10%"` of the sides.
        #[serde(default, skip_serializing_if = "is_default")]
        pub patch: OneOrMany,
        /// Parameters of the defence by name.
        #[serde(default, skip_serializing_if = "is_default")]
        pub parameters: BTreeMap<String, toml::Value>,
    }
}

impl From<PatchEntry> for Entry {
    fn from(entry: PatchEntry) -> Self {
        Self::of(&entry)
    }
}

impl Settings for PatchEntry {
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        resolve(self, subject.network)
    }
}

/// A job per size of the patch.
fn resolve(entry: &PatchEntry, network: &Network) -> Result<Vec<Resolved>> {
    let subject = format!("certificate {}", entry.certificate);
    if entry.patch.is_empty() {
        return Err(Error::setting(
            subject,
            "has no size of the patch",
            "--patch 5x5 or --patch 2%, or in a suite patch = \"5x5\", or a list of sizes",
        ));
    }
    let shape = network.info().input_shape;
    let several = entry.patch.values().len() > 1;
    let mut resolved = Vec::new();
    for size in entry.patch.values() {
        let stated = size.text();
        let patch = stated.parse::<PatchSize>()?.resolve(shape)?;
        let mut given = Parameters::new(&subject, &plain(&entry.parameters));
        let certificate = patch_certificate(&entry.certificate, patch, &mut given, network)?;
        let mut parameters = given.finish()?;
        parameters.insert("patch".into(), stated);
        parameters.insert("copies".into(), certificate.copies().to_string());
        let label = match &entry.label {
            Some(label) if several => format!("{label}-{patch}"),
            Some(label) => label.clone(),
            None => format!("{}-{patch}", entry.certificate),
        };
        let work = Work {
            kind: super::NAME.into(),
            label: label.clone(),
            method: entry.certificate.clone(),
            threat: format!("patch {patch}"),
            parameters,
            ..Work::default()
        };
        let task = Box::new(PatchTask(certificate));
        resolved.push(Resolved { stem: label, work, task, rows: None });
    }
    Ok(resolved)
}

fn patch_certificate(
    name: &str,
    patch: Patch,
    given: &mut Parameters,
    network: &Network,
) -> Result<Box<dyn PatchCertificate>> {
    let shape @ [_, h, w] = network.info().input_shape;
    let keep = match name {
        "column-smoothing" => Some((Keep::Columns, w.div_ceil(8))),
        "row-smoothing" => Some((Keep::Rows, h.div_ceil(8))),
        // The share that the paper uses for blocks: 12 of 32.
        "block-smoothing" => Some((Keep::Block, (3 * h.min(w)).div_ceil(8))),
        _ => None,
    };
    Ok(match keep {
        None => {
            let k = given.count("k", 6)?;
            Box::new(PatchCleanser::new(patch, shape, k, fill(given, network)?)?)
        }
        Some((keep, size)) => {
            let ablation = Ablation {
                keep,
                size: given.count("size", size)?,
                stride: given.count("stride", 1)?,
                wrap: given.take("wrap", true)?,
                threshold: threshold(given, network)?,
                fill: fill(given, network)?,
            };
            Box::new(WindowSmoothing::new(patch, shape, ablation)?)
        }
    })
}

/// theta of the votes, or `none`.
fn threshold(given: &mut Parameters, network: &Network) -> Result<Option<f64>> {
    let text: String = given.take("threshold", "none".to_owned())?;
    match text.parse::<f64>() {
        _ if text == "none" => Ok(None),
        Ok(_) if network.tells() < Asks::Logits => Err(Error::setting(
            "threshold",
            format!("is about probabilities, and {} tells classes only", network.info().name),
            "leave it out: then every copy has one vote",
        )),
        Ok(theta) if theta > 0.0 && theta <= 1.0 => Ok(Some(theta)),
        _ => Err(Error::setting(
            "threshold",
            format!("`{text}` is not a share of probability"),
            "give a number from 0 to 1 such as 0.3, or none for one vote per copy",
        )),
    }
}

/// The value of hidden pixels per channel: what was given, or `neutral`, which the network's
/// normalisation maps to 0.
fn fill(given: &mut Parameters, network: &Network) -> Result<Vec<f32>> {
    let channels = network.info().input_shape[0];
    let text: String = given.take("fill", "neutral".to_owned())?;
    match text.parse::<f32>() {
        _ if text == "neutral" => network.neutral(),
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(vec![value; channels]),
        _ => Err(Error::setting(
            "fill",
            format!("`{text}` is not a pixel value"),
            "give a number from 0 to 1, or neutral for what the normalisation maps to 0",
        )),
    }
}
