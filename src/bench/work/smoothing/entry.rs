//! A `[[certificate]]` by randomized smoothing, resolved: noise, norm, mode and levels.

use super::super::fields::plain;
use super::super::{Resolved, Subject, refuse_unused};
use super::SmoothingTask;
use crate::bench::suite::CertificateEntry;
use crate::certify::Smoothing;
use crate::certify::mode::{self, Mode};
use crate::certify::noise::{CertifiedNorm, Family};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Classifier as _, FrozenNetwork};
use crate::ops::with_slice;
use crate::parameters::Parameters;
use crate::record::Work;

/// The job of an entry.
pub(super) fn resolve(entry: &CertificateEntry, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
    let Subject { seed, network, data, images } = *subject;
    refuse_unused(entry, &["patch"], |_| {
        "remove patch, or choose patchcleanser or a smoothing by windows".into()
    })?;
    refuse_unused(entry, &["eps", "steps"], |field| {
        format!("remove {field}, which belongs to bounds such as crown; smoothing has radii")
    })?;
    let shape = network.info().input_shape;
    let mut given = Parameters::new("certificate cohen", &plain(&entry.parameters));
    let family = family(entry, &mut given, network)?;
    let sigma = sigma(entry, family)?;
    let own = family.noise(sigma, shape)?.norms()[0];
    let norm = norm(entry, own)?;
    let mode = mode(entry)?;
    let defaults = Smoothing::new(sigma);
    let beta = match mode.stops_early() {
        true => given.positive("beta", defaults.beta)?,
        false => defaults.beta,
    };
    let bonferroni = correction(&mut given)?;
    let settings = Smoothing {
        family,
        norm,
        sigma,
        n0: entry.n0,
        n: entry.n,
        alpha: if bonferroni { mode::share(entry.alpha, images as u64) } else { entry.alpha },
        mode,
        // The default radii are several.
        radii: match entry.radii.is_empty() && *mode.radii.end() == 1 {
            true => Vec::new(),
            false => radii(entry, norm)?,
        },
        beta,
        seed,
    };
    settings.validate()?;
    settings.rule(shape)?;
    check_images(&settings, shape, data)?;
    let name = match family {
        Family::Gaussian => format!("smoothing-{sigma}"),
        Family::Ablation { k, .. } => format!("ablation-{k}"),
        other => format!("{}-{sigma}", other.name()),
    };
    let suffix = if norm == own { String::new() } else { format!("-{}", norm).to_lowercase() };
    let how = match (mode.stops_early(), &*settings.radii) {
        (false, _) => String::new(),
        (true, [radius]) => format!("-{}-{radius}", mode.name),
        (true, _) => format!("-{}", mode.name),
    };
    let label = entry.label.clone().unwrap_or(name + &suffix + &how);
    let wrong = match bonferroni {
        true => format!("any radius of the {images} images is too large"),
        false => "the radius of an image is too large".into(),
    };
    let alpha = entry.alpha;
    let mut parameters = given.finish()?;
    for (name, value) in [
        ("mode", mode.name.to_owned()),
        ("N0", entry.n0.to_string()),
        ("N", entry.n.to_string()),
        ("alpha", entry.alpha.to_string()),
    ] {
        parameters.insert(name.into(), value);
    }
    parameters.insert("noise".into(), family.name().into());
    if bonferroni {
        // Each image's share of alpha depends on them.
        parameters.insert("images".into(), images.to_string());
    }
    let work = Work::Certificate {
        label: label.clone(),
        certificate: entry.certificate.clone(),
        norm: norm.to_string(),
        sigma,
        radii: settings.radii.clone(),
        guarantee: format!("{wrong} with probability at most {alpha}: {}", mode.guarantee),
        parameters,
    };
    Ok(vec![Resolved { stem: label, work, task: Box::new(SmoothingTask(settings)) }])
}

fn sigma(entry: &CertificateEntry, family: Family) -> Result<f64> {
    match (&entry.sigma, family.has_sigma()) {
        (Some(sigma), true) => sigma.positive("sigma"),
        (None, false) => Ok(0.0),
        (None, true) => Err(Error::setting(
            "sigma",
            format!("{} noise needs a standard deviation", family.name()),
            "give one in pixel units of [0, 1], such as 0.25",
        )),
        (Some(_), false) => Err(Error::setting(
            "sigma",
            format!("{} has no standard deviation", family.name()),
            "remove sigma; parameters = { k = 45 } says how many pixels stay",
        )),
    }
}

fn mode(entry: &CertificateEntry) -> Result<&'static Mode> {
    let Some(name) = entry.mode.as_deref() else { return Ok(Mode::COHEN) };
    let known = mode::ALL.into_iter().find(|mode| mode.name == name);
    known.ok_or_else(|| Error::unknown("mode", name, mode::ALL.map(|mode| mode.name)))
}

/// Whether alpha is for all images together (Bonferroni) and not for each.
fn correction(given: &mut Parameters) -> Result<bool> {
    match given.take("correction", "none".to_owned())?.as_str() {
        "none" => Ok(false),
        "bonferroni" => Ok(true),
        other => Err(Error::unknown("correction", other, ["none", "bonferroni"])),
    }
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
