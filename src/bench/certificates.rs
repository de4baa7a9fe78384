//! The certificates of a suite: an entry and the network it is for become settings, spelled out. A
//! certificate is one line in [`CERTIFICATES`] and one arm in [`resolve`].

use super::fields::plain;
use super::plan::{Resolved, Task};
use super::suite::{CertificateEntry, Number};
use super::{bound, smoothing};
use crate::attack::Parameters;
use crate::certify::patch::{Ablation, Keep, PatchCertificate, PatchCleanser, WindowSmoothing};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork};
use crate::nn::bounds::Method;
use crate::record::Work;
use crate::threat::{Patch, PatchSize};

/// Names of the certificates, with what they prove.
pub const CERTIFICATES: [(&str, &str, &str); 9] = [
    ("cohen", "L2 L1 Linf L0", "randomized smoothing (Cohen et al. 2019), in any --mode"),
    ("ibp", "Linf L2", "bounds of the network itself: intervals (Gowal et al. 2018)"),
    ("crown-ibp", "Linf L2", "intervals, then CROWN for the margins (Zhang et al. 2020)"),
    ("fast-lin", "Linf L2", "backward linear bounds, parallel lines (Weng et al. 2018)"),
    ("crown", "Linf L2", "backward linear bounds, adaptive lines (Zhang et al. 2018)"),
    ("patchcleanser", "patch", "double masking, any network (Xiang et al. 2022)"),
    ("column-smoothing", "patch", "votes of visible column bands (Levine and Feizi 2020)"),
    ("row-smoothing", "patch", "votes of visible row bands"),
    ("block-smoothing", "patch", "votes of visible blocks (Levine and Feizi 2020)"),
];

/// The jobs of `entry` for one network on so many images of a data set.
pub(super) fn resolve(
    entry: &CertificateEntry,
    seed: u64,
    network: &FrozenNetwork,
    data: &dyn Dataset,
    images: usize,
) -> Result<Vec<Resolved>> {
    match entry.certificate.as_str() {
        "cohen" => Ok(vec![smoothing::resolve(entry, seed, network, data, images)?]),
        "patchcleanser" | "column-smoothing" | "row-smoothing" | "block-smoothing" => {
            patches(entry, network)
        }
        other => match Method::ALL.into_iter().find(|method| method.name() == other) {
            Some(method) => Ok(vec![bound::resolve(entry, method, network)?]),
            None => {
                let known = CERTIFICATES.map(|(name, ..)| name);
                Err(Error::unknown("certificate", other, known))
            }
        },
    }
}

/// What belongs to bounds only.
pub(super) fn refuse_eps(entry: &CertificateEntry) -> Result<()> {
    let unused = [("eps", !entry.eps.values().is_empty()), ("steps", entry.steps.is_some())];
    match unused.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((field, _)) => Err(Error::setting(
            format!("certificate {}", entry.certificate),
            format!("has no use for {field}"),
            format!("remove {field}, which belongs to bounds such as crown; smoothing has radii"),
        )),
    }
}

/// A job per size of the patch.
fn patches(entry: &CertificateEntry, network: &FrozenNetwork) -> Result<Vec<Resolved>> {
    let subject = format!("certificate {}", entry.certificate);
    if entry.patch.values().is_empty() {
        return Err(Error::setting(
            subject,
            "has no size of the patch",
            "add patch = \"5x5\", or \"2%\" of the image, or a list of sizes",
        ));
    }
    let unused = [
        ("sigma", entry.sigma.is_some()),
        ("noise", entry.noise.is_some()),
        ("mode", entry.mode.is_some()),
        ("norm", entry.norm.is_some()),
        ("radii", !entry.radii.is_empty()),
    ];
    if let Some((field, _)) = unused.into_iter().find(|(_, given)| *given) {
        return Err(Error::setting(
            subject,
            format!("has no use for {field}"),
            format!("remove {field}: patches are certified without noise and radii"),
        ));
    }
    refuse_eps(entry)?;
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
        resolved.push(Resolved { stem: label, work, task: Task::Patch(certificate) });
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
