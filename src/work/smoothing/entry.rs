//! A `[[certificate]]` by randomized smoothing, resolved: noise, norm, mode and levels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::SmoothingTask;
use crate::certify::mode::{self, Mode};
use crate::certify::noise::{CertifiedNorm, Family};
use crate::certify::{SMOOTHING, Smoothing};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::ops::with_slice;
use crate::parameters::Parameters;
use crate::parameters::documented;
use crate::record::Work;
use crate::work::entry::{Entry, is_default};
use crate::work::fields::plain;
use crate::work::kind::{Settings, Subject};
use crate::work::number::Number;
use crate::work::task::Resolved;

documented! {
    /// A `[[certificate]]` by randomized smoothing.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct SmoothingEntry {
        /// `cohen`.
        pub certificate: String,
        /// Column title; otherwise `smoothing-SIGMA`, `uniform-SIGMA`, …
        #[serde(skip_serializing_if = "is_default")]
        pub label: Option<String>,
        /// Standard deviation of the noise.
        #[serde(skip_serializing_if = "is_default")]
        pub sigma: Option<Number>,
        /// `gaussian` (the default), `uniform`, `laplace`, `lattice` or `ablation`.
        #[serde(skip_serializing_if = "is_default")]
        pub noise: Option<String>,
        /// How many of the N samples an image gets: `cohen` (the default: all), `grid`, `radius` or
        /// `anytime`.
        #[serde(skip_serializing_if = "is_default")]
        pub mode: Option<String>,
        /// Norm of the radii; otherwise the noise's own.
        #[serde(skip_serializing_if = "is_default")]
        pub norm: Option<String>,
        /// Parameters of the noise or the mode by name.
        #[serde(skip_serializing_if = "is_default")]
        pub parameters: BTreeMap<String, toml::Value>,
        /// N0, the samples that select the class; 100 unless told otherwise.
        pub n0: u64,
        /// N, the samples that bound its probability, 100,000 unless told otherwise; in modes that stop early the most of
        /// them.
        pub n: u64,
        /// One minus the confidence of each certificate; 0.001 unless told otherwise.
        pub alpha: f64,
        /// Radii of the report.
        #[serde(skip_serializing_if = "is_default")]
        pub radii: Vec<f64>,
    }
}

impl Default for SmoothingEntry {
    /// The paper's numbers of samples; sigma is missing.
    fn default() -> Self {
        Self {
            certificate: super::COHEN.into(),
            label: None,
            sigma: None,
            noise: None,
            mode: None,
            norm: None,
            parameters: BTreeMap::new(),
            n0: 100,
            n: 100_000,
            alpha: 0.001,
            radii: Vec::new(),
        }
    }
}

impl From<SmoothingEntry> for Entry {
    fn from(entry: SmoothingEntry) -> Self {
        Self::of(&entry)
    }
}

impl Settings for SmoothingEntry {
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        resolve(self, subject)
    }
}

/// The job of an entry.
fn resolve(entry: &SmoothingEntry, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
    let Subject { seed, network, data, images, .. } = *subject;
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
    let guarantee = format!("{wrong} with probability at most {alpha}: {}", mode.guarantee);
    let facts = [("sigma", sigma.to_string()), ("guarantee", guarantee)];
    let work = Work {
        kind: SMOOTHING.into(),
        label: label.clone(),
        method: entry.certificate.clone(),
        threat: norm.to_string(),
        eps: settings.radii.clone(),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).into(),
        parameters,
    };
    let task = Box::new(SmoothingTask(settings));
    Ok(vec![Resolved { stem: label, work, task, rows: None }])
}

fn sigma(entry: &SmoothingEntry, family: Family) -> Result<f64> {
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

fn mode(entry: &SmoothingEntry) -> Result<&'static Mode> {
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

fn family(entry: &SmoothingEntry, given: &mut Parameters, network: &Network) -> Result<Family> {
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
                fill: given.at_least_zero("fill", f64::from(mean as f32))? as f32,
            }
        }
        other => return Err(Error::unknown("noise", other, Family::NAMES)),
    })
}

fn norm(entry: &SmoothingEntry, own: CertifiedNorm) -> Result<CertifiedNorm> {
    let Some(name) = entry.norm.as_deref() else { return Ok(own) };
    let known =
        CertifiedNorm::ALL.into_iter().find(|norm| norm.to_string().eq_ignore_ascii_case(name));
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

fn radii(entry: &SmoothingEntry, norm: CertifiedNorm) -> Result<Vec<f64>> {
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
