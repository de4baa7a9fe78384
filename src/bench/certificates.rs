//! The certificates of a suite: an entry and the network it is for become settings, spelled out. A
//! certificate is one line in [`CERTIFICATES`] and one arm in [`resolve`].

use std::collections::BTreeMap;

use super::bound;
use super::plan::Task;
use super::suite::{CertificateEntry, Number};
use crate::attack::Parameters;
use crate::certify::Smoothing;
use crate::certify::noise::{CertifiedNorm, Family};
use crate::certify::patch::{Ablation, Keep, PatchCertificate, PatchCleanser, WindowSmoothing};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork};
use crate::nn::bounds::Method;
use crate::ops::with_slice;
use crate::record::Work;
use crate::threat::{Patch, PatchSize};

/// Names of the certificates, with what they prove.
pub const CERTIFICATES: [(&str, &str, &str); 9] = [
    ("cohen", "L2 L1 Linf L0", "randomized smoothing, fixed N (Cohen et al. 2019)"),
    ("ibp", "Linf L2", "bounds of the network itself: intervals (Gowal et al. 2018)"),
    ("crown-ibp", "Linf L2", "intervals, then CROWN for the margins (Zhang et al. 2020)"),
    ("fast-lin", "Linf L2", "backward linear bounds, parallel lines (Weng et al. 2018)"),
    ("crown", "Linf L2", "backward linear bounds, adaptive lines (Zhang et al. 2018)"),
    ("patchcleanser", "patch", "double masking, any network (Xiang et al. 2022)"),
    ("column-smoothing", "patch", "votes of visible column bands (Levine and Feizi 2020)"),
    ("row-smoothing", "patch", "votes of visible row bands"),
    ("block-smoothing", "patch", "votes of visible blocks (Levine and Feizi 2020)"),
];

/// One job of an entry.
pub(super) struct Resolved {
    pub(super) label: String,
    pub(super) work: Work,
    pub(super) task: Task,
}

/// The jobs of `entry` for one network on one data set.
pub(super) fn resolve(
    entry: &CertificateEntry,
    seed: u64,
    network: &FrozenNetwork,
    data: &dyn Dataset,
) -> Result<Vec<Resolved>> {
    match entry.certificate.as_str() {
        "cohen" => Ok(vec![smoothing(entry, seed, network, data)?]),
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

fn smoothing(
    entry: &CertificateEntry,
    seed: u64,
    network: &FrozenNetwork,
    data: &dyn Dataset,
) -> Result<Resolved> {
    if !entry.patch.values().is_empty() {
        return Err(Error::setting(
            "certificate cohen",
            "proves nothing about patches",
            "remove patch, or choose patchcleanser or a smoothing by windows",
        ));
    }
    refuse_eps(entry)?;
    let shape = network.info().input_shape;
    let mut given = Parameters::new("certificate cohen", &plain(&entry.parameters));
    let family = family(entry, &mut given, network)?;
    let sigma = match (&entry.sigma, family.has_sigma()) {
        (Some(sigma), true) => sigma.positive("sigma")?,
        (None, false) => 0.0,
        (None, true) => {
            return Err(Error::setting(
                "sigma",
                format!("{} noise needs a standard deviation", family.name()),
                "give one in pixel units of [0, 1], such as 0.25",
            ));
        }
        (Some(_), false) => {
            return Err(Error::setting(
                "sigma",
                format!("{} has no standard deviation", family.name()),
                "remove sigma; parameters = { k = 45 } says how many pixels stay",
            ));
        }
    };
    let own = family.noise(sigma, shape)?.norms()[0];
    let norm = norm(entry, own)?;
    let settings =
        Smoothing { family, norm, sigma, n0: entry.n0, n: entry.n, alpha: entry.alpha, seed };
    settings.validate()?;
    check_images(&settings, shape, data)?;
    let name = match family {
        Family::Gaussian => format!("smoothing-{sigma}"),
        Family::Ablation { k, .. } => format!("ablation-{k}"),
        other => format!("{}-{sigma}", other.name()),
    };
    let suffix = if norm == own { String::new() } else { format!("-{}", norm).to_lowercase() };
    let label = entry.label.clone().unwrap_or(name + &suffix);
    let mut parameters = given.finish()?;
    for (name, value) in [
        ("N0", entry.n0.to_string()),
        ("N", entry.n.to_string()),
        ("alpha", entry.alpha.to_string()),
    ] {
        parameters.insert(name.into(), value);
    }
    parameters.insert("noise".into(), family.name().into());
    let work = Work::Certificate {
        label: label.clone(),
        certificate: entry.certificate.clone(),
        norm: norm.to_string(),
        sigma,
        radii: radii(entry, norm)?,
        parameters,
    };
    Ok(Resolved { label, work, task: Task::Certificate(settings) })
}

fn family(
    entry: &CertificateEntry,
    given: &mut Parameters,
    network: &FrozenNetwork,
) -> Result<Family> {
    let [_, h, w] = network.info().input_shape;
    Ok(match entry.noise.as_deref().unwrap_or("gaussian") {
        "gaussian" => Family::Gaussian,
        "uniform" => Family::Uniform,
        "laplace" => Family::Laplace,
        "lattice" => {
            // What does not fit is refused as too many.
            let levels = u32::try_from(given.count("levels", 255)?).unwrap_or(u32::MAX);
            Family::Lattice { levels }
        }
        "ablation" => {
            let neutral = network.neutral()?;
            let mean = neutral.iter().map(|v| f64::from(*v)).sum::<f64>() / neutral.len() as f64;
            Family::Ablation {
                k: given.count("k", (h * w).div_ceil(16))?,
                fill: given.at_least_zero("fill", mean)? as f32,
            }
        }
        other => return Err(Error::unknown("noise", other, Family::NAMES)),
    })
}

fn norm(entry: &CertificateEntry, own: CertifiedNorm) -> Result<CertifiedNorm> {
    let Some(name) = entry.norm.as_deref() else { return Ok(own) };
    let known = CertifiedNorm::ALL.into_iter().find(|norm| norm.to_string() == name);
    known.ok_or_else(|| {
        Error::unknown("norm", name, CertifiedNorm::ALL.map(|norm| norm.to_string()))
    })
}

/// The family knows the norm, and the noise takes the first images.
fn check_images(settings: &Smoothing, shape: [usize; 3], data: &dyn Dataset) -> Result<()> {
    let noise = settings.noise(shape)?;
    let first: Vec<usize> = (0..data.info().len.min(16)).collect();
    let batch = data.read(&first)?;
    let length = shape.iter().product::<usize>().max(1);
    with_slice::<f32, _>(&batch.images, |pixels| {
        for (image, id) in pixels.chunks_exact(length).zip(&batch.ids) {
            if let Some(problem) = noise.refuses(image) {
                return Err(Error::setting(
                    format!("image {id} of {}", data.info().name),
                    problem,
                    "set parameters = { levels = .. } to the largest value of a stored pixel",
                ));
            }
        }
        Ok(())
    })
}

fn radii(entry: &CertificateEntry, norm: CertifiedNorm) -> Result<Vec<f64>> {
    if let Some(bad) = entry.radii.iter().find(|r| !(r.is_finite() && **r >= 0.0)) {
        return Err(Error::setting(
            "radii",
            format!("{bad} is not a radius"),
            "give numbers of at least 0",
        ));
    }
    let mut radii = entry.radii.clone();
    if radii.is_empty() {
        radii = match norm {
            CertifiedNorm::L2 | CertifiedNorm::L1 => vec![0.0, 0.25, 0.5, 0.75, 1.0],
            CertifiedNorm::Linf => [0.0, 1.0, 2.0, 4.0, 8.0].map(|r| r / 255.0).to_vec(),
            CertifiedNorm::L0 => vec![0.0, 1.0, 2.0, 4.0, 8.0],
        };
    }
    radii.sort_by(f64::total_cmp);
    Ok(radii)
}

/// What belongs to bounds only.
fn refuse_eps(entry: &CertificateEntry) -> Result<()> {
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
        resolved.push(Resolved { label, work, task: Task::Patch(certificate) });
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

/// TOML values as the texts a user would type for them.
fn plain(parameters: &BTreeMap<String, toml::Value>) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, value)| (name.clone(), super::plan::plain(value))).collect()
}
