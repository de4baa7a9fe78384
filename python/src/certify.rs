//! Certificates of a batch: randomized smoothing of any network, and bounds of those that run on the engine. Rows
//! cross as JSON, under the names of the program's tables.

use epsball::certify::bounds::{Bounds, bound_batch};
use epsball::certify::mode::{self, Mode};
use epsball::certify::noise::{CertifiedNorm, Family};
use epsball::certify::{Forget, Smoothing, certify_batch};
use epsball::nn::bounds::Method;
use epsball::{Error, Result};
use numpy::{PyReadonlyArray1, PyReadonlyArray4};
use pyo3::prelude::*;

use crate::arrays::batch;
use crate::errors::{raise, refuse};
use crate::network::Network;
use crate::wait;

/// Settings of randomized smoothing, checked for images of one shape.
#[pyclass(frozen, module = "epsball._epsball")]
pub(crate) struct Certificate(Kind);

enum Kind {
    Smoothing(Smoothing),
    Bounds(Bounds),
}

fn family(
    name: &str,
    levels: u32,
    k: Option<usize>,
    fill: f32,
    [_, h, w]: [usize; 3],
) -> Result<Family> {
    Ok(match name {
        "gaussian" => Family::Gaussian,
        "uniform" => Family::Uniform,
        "laplace" => Family::Laplace,
        "lattice" => Family::Lattice { levels },
        "ablation" => Family::Ablation { k: k.unwrap_or((h * w).div_ceil(16)), fill },
        other => return Err(Error::unknown("noise", other, Family::NAMES)),
    })
}

fn mode(name: &str) -> Result<&'static Mode> {
    let known = mode::ALL.into_iter().find(|mode| mode.name == name);
    known.ok_or_else(|| Error::unknown("mode", name, mode::ALL.map(|mode| mode.name)))
}

fn norm(name: Option<&str>, own: CertifiedNorm) -> Result<CertifiedNorm> {
    let Some(name) = name else { return Ok(own) };
    let known = CertifiedNorm::ALL.into_iter().find(|norm| norm.to_string() == name);
    known.ok_or_else(|| {
        Error::unknown("norm", name, CertifiedNorm::ALL.map(|norm| norm.to_string()))
    })
}

#[pymethods]
impl Certificate {
    /// CERTIFY for images of `shape`, `[C, H, W]`.
    #[staticmethod]
    #[pyo3(signature = (shape, sigma, n0, n, alpha, noise, mode_name, norm_name, radii, beta, levels, k, fill, seed))]
    #[allow(clippy::too_many_arguments)]
    fn smoothing(
        shape: [usize; 3],
        sigma: f64,
        n0: u64,
        n: u64,
        alpha: f64,
        noise: &str,
        mode_name: &str,
        norm_name: Option<&str>,
        radii: Vec<f64>,
        beta: f64,
        levels: u32,
        k: Option<usize>,
        fill: f32,
        seed: u64,
    ) -> PyResult<Self> {
        let settled = || -> Result<Smoothing> {
            let family = family(noise, levels, k, fill, shape)?;
            let own = family.noise(sigma, shape)?.norms()[0];
            let (norm, mode) = (norm(norm_name, own)?, mode(mode_name)?);
            let settings = Smoothing { family, norm, sigma, n0, n, alpha, mode, radii, beta, seed };
            settings.validate()?;
            settings.rule(shape)?;
            Ok(settings)
        };
        Ok(Self(Kind::Smoothing(settled().map_err(raise)?)))
    }

    /// Bounds of the network itself, at these radii and `steps` halvings between them.
    #[staticmethod]
    fn bounds(method: &str, norm: &str, eps: Vec<f64>, steps: u32) -> PyResult<Self> {
        let settled = || -> Result<Bounds> {
            let method = method.parse::<Method>()?;
            let settings = Bounds { method, norm: norm.parse()?, eps, steps };
            settings.validate()?;
            Ok(settings)
        };
        Ok(Self(Kind::Bounds(settled().map_err(raise)?)))
    }

    /// The norm of the radii.
    #[getter]
    fn norm(&self) -> String {
        match &self.0 {
            Kind::Smoothing(settings) => settings.norm.to_string(),
            Kind::Bounds(settings) => settings.norm.to_string(),
        }
    }

    /// Certifies images `[N, C, H, W]` with labels `[N]` and indices `[N]` in their data set; `size` noisy copies at a
    /// time. Returns the rows as JSON.
    fn run(
        &self,
        py: Python<'_>,
        network: &Network,
        images: PyReadonlyArray4<'_, f32>,
        labels: PyReadonlyArray1<'_, i64>,
        ids: Vec<u64>,
        size: usize,
    ) -> PyResult<String> {
        let batch = batch(&images, &labels, ids)?;
        drop((images, labels));
        match &self.0 {
            Kind::Smoothing(settings) => {
                let mut rows = Vec::new();
                let keep = &mut |row| {
                    rows.push(row);
                    Ok(())
                };
                wait::for_network(py, network, |stop| {
                    let model = network.classifier();
                    certify_batch(model, &batch, settings, size, &mut Forget, stop, keep)
                })?;
                json(&rows)
            }
            Kind::Bounds(settings) => {
                let engine = network.engine().ok_or_else(|| {
                    refuse(
                        "certificate",
                        "bounds need the layers of the network, which is one of Python",
                        "export it to ONNX and give the path, or certify it by smoothing",
                    )
                })?;
                let mut rows = Vec::new();
                let keep = &mut |row| {
                    rows.push(row);
                    Ok(())
                };
                wait::for_network(py, network, |stop| {
                    bound_batch(engine, &batch, settings, stop, keep)
                })?;
                json(&rows)
            }
        }
    }
}

fn json(rows: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(rows).map_err(|e| refuse("rows", e.to_string(), "report this as a bug"))
}
