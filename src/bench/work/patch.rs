//! Certificates against patches as work: an entry of a suite, and the task it becomes.

use super::fields::plain;
use super::remaining::{Place, Remaining, SAMPLES_PER_PASS};
use super::{Certificate, Resolved, Task, refuse_unused};
use crate::bench::runner::Progress;
use crate::bench::suite::{CertificateEntry, Number, OneOrMany};
use crate::certify::patch::{
    Ablation, Keep, PatchCertificate, PatchCleanser, WindowSmoothing, certify_patches,
};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork};
use crate::parameters::Parameters;
use crate::record::Work;
use crate::threat::{Patch, PatchSize};

/// The shares of the image that are visible in a copy, in the words of the paper.
macro_rules! certificate {
    ($name:ident, $text:literal, $about:literal) => {
        #[doc = $about]
        pub(super) const $name: Certificate = Certificate {
            name: $text,
            threats: "patch",
            about: $about,
            resolve: |entry, subject| resolve(entry, subject.network),
        };
    };
}

certificate!(PATCHCLEANSER, "patchcleanser", "double masking, any network (Xiang et al. 2022)");
certificate!(
    COLUMN_SMOOTHING,
    "column-smoothing",
    "votes of visible column bands (Levine and Feizi 2020)"
);
certificate!(ROW_SMOOTHING, "row-smoothing", "votes of visible row bands");
certificate!(BLOCK_SMOOTHING, "block-smoothing", "votes of visible blocks (Levine and Feizi 2020)");

/// A certificate against patches with its settings.
struct PatchTask(Box<dyn PatchCertificate>);

impl Task for PatchTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (place.network(), place.stop);
        Remaining::open(place)?.image_by_image(progress, |batch, on_row| {
            certify_patches(network, batch, &*self.0, SAMPLES_PER_PASS, stop, on_row)
        })
    }

    fn rows(&self, network: &FrozenNetwork, batch: &Batch) -> Result<Option<Vec<String>>> {
        let mut rows = Vec::new();
        certify_patches(network, batch, &*self.0, SAMPLES_PER_PASS, &|| false, &mut |row| {
            rows.push(row.untimed());
            Ok(())
        })?;
        Ok(Some(rows))
    }
}

/// The entry that gives this work again.
pub(super) fn entry_of(work: &Work) -> Option<CertificateEntry> {
    let Work::PatchCertificate { certificate, parameters, .. } = work else { return None };
    let mut given = parameters.clone();
    given.remove("copies");
    let patch = OneOrMany::One(Number::Text(given.remove("patch")?));
    let parameters =
        given.into_iter().map(|(name, value)| (name, toml::Value::String(value))).collect();
    let certificate = certificate.clone();
    Some(CertificateEntry { certificate, patch, parameters, ..CertificateEntry::default() })
}

/// A job per size of the patch.
fn resolve(entry: &CertificateEntry, network: &FrozenNetwork) -> Result<Vec<Resolved>> {
    let subject = format!("certificate {}", entry.certificate);
    if entry.patch.values().is_empty() {
        return Err(Error::setting(
            subject,
            "has no size of the patch",
            "add patch = \"5x5\", or \"2%\" of the image, or a list of sizes",
        ));
    }
    refuse_unused(entry, &["sigma", "noise", "mode", "norm", "radii", "eps", "steps"], |field| {
        format!("remove {field}: patches are certified without noise and radii")
    })?;
    let shape = network.info().input_shape;
    let several = entry.patch.values().len() > 1;
    let mut resolved = Vec::new();
    for size in entry.patch.values() {
        let stated = match size {
            Number::Text(text) => text.clone(),
            number => number.to_string(),
        };
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
        let work = Work::PatchCertificate {
            label: label.clone(),
            certificate: entry.certificate.clone(),
            patch: format!("patch {patch}"),
            parameters,
        };
        resolved.push(Resolved { stem: label, work, task: Box::new(PatchTask(certificate)) });
    }
    Ok(resolved)
}

fn patch_certificate(
    name: &str,
    patch: Patch,
    given: &mut Parameters,
    network: &FrozenNetwork,
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
                threshold: threshold(given)?,
                fill: fill(given, network)?,
            };
            Box::new(WindowSmoothing::new(patch, shape, ablation)?)
        }
    })
}

/// theta of the votes, or `none`.
fn threshold(given: &mut Parameters) -> Result<Option<f64>> {
    let text: String = given.take("threshold", "none".to_owned())?;
    match text.parse::<f64>() {
        _ if text == "none" => Ok(None),
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
fn fill(given: &mut Parameters, network: &FrozenNetwork) -> Result<Vec<f32>> {
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
