//! An attack with its hyper-parameters, and a batch that it is let loose on.

use std::collections::BTreeMap;
use std::time::Instant;

use epsball::attack::check::{IMAGES, after, before};
use epsball::attack::{Configured, Goal, Objective, Request, attack_until, composed, configure};
use epsball::bench;
use epsball::record::Finding;
use epsball::rng::Randomness;
use epsball::work::{attack_rows, seen_after};
use numpy::{PyArrayDyn, PyReadonlyArray1, PyReadonlyArray4, PyUntypedArrayMethods as _};
use pyo3::prelude::*;

use crate::arrays::{array, batch};
use crate::errors::{raise, refuse};
use crate::network::Network;
use crate::rows::AttackRows;
use crate::wait;

/// An attack under its threat model, ready to run.
#[pyclass(frozen, module = "epsball._epsball")]
pub(crate) struct Attack {
    pub(crate) configured: Configured,
    request: Request,
}

/// Check, what was seen, what it means, what to do about it.
type Told = (String, String, String, String);

fn randomness(text: &str) -> PyResult<Randomness> {
    text.parse()
        .map_err(|e| refuse("rng", format!("`{text}` is not {e}"), "leave it out for per-image"))
}

fn told(finding: Finding) -> Told {
    (finding.check, finding.seen, finding.meaning, finding.remedy)
}

#[pymethods]
impl Attack {
    /// The attack `name` under the threat model of a norm and a radius, or of a patch in images of `shape`.
    #[new]
    #[pyo3(signature = (name, norm, eps, patch, shape, parameters, goal, seed, rng))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        name: &str,
        norm: Option<&str>,
        eps: Option<&str>,
        patch: Option<&str>,
        shape: [usize; 3],
        parameters: BTreeMap<String, String>,
        goal: &str,
        seed: u64,
        rng: &str,
    ) -> PyResult<Self> {
        let threat = bench::threat(norm, eps, patch, shape).map_err(raise)?;
        let configured = configure(name, &threat, &parameters).map_err(raise)?;
        let goal: Goal = goal.parse().map_err(raise)?;
        let request = Request { goal, seed, randomness: randomness(rng)? };
        Ok(Self { configured, request })
    }

    /// The ensemble of `parts`, each a name and hyper-parameters; of those of the whole there is `batch_size` only.
    #[staticmethod]
    #[pyo3(signature = (parts, norm, eps, shape, batch_size, seed, rng))]
    fn ensemble(
        parts: Vec<(String, BTreeMap<String, String>)>,
        norm: Option<&str>,
        eps: Option<&str>,
        shape: [usize; 3],
        batch_size: usize,
        seed: u64,
        rng: &str,
    ) -> PyResult<Self> {
        let threat = bench::threat(norm, eps, None, shape).map_err(raise)?;
        let parts = parts.iter().map(|(name, parameters)| configure(name, &threat, parameters));
        let parts = parts.collect::<epsball::Result<Vec<_>>>().map_err(raise)?;
        let configured = composed(parts, batch_size).map_err(raise)?;
        let request = Request { goal: Goal::Untargeted, seed, randomness: randomness(rng)? };
        Ok(Self { configured, request })
    }

    /// Every hyper-parameter by its name, as it will be printed.
    #[getter]
    fn parameters(&self) -> BTreeMap<String, String> {
        self.configured.parameters.clone()
    }

    /// The names of the attacks that it consists of; none if it is a single one.
    #[getter]
    fn parts(&self) -> Vec<&'static str> {
        self.configured.search.parts().iter().map(|part| part.name).collect()
    }

    /// It looks for the closest adversarial image, whatever the radius.
    #[getter]
    fn minimal(&self) -> bool {
        self.configured.search.objective() == Objective::Minimal
    }

    /// It stands in for another attack, which has to be asked about some of the images.
    #[getter]
    fn stands_in(&self) -> bool {
        self.configured.search.reference().is_some()
    }

    /// The attacks that it consists of, with their hyper-parameters.
    #[getter]
    fn composition(&self) -> Vec<(&'static str, BTreeMap<String, String>)> {
        let parts = self.configured.search.parts().iter();
        parts.map(|part| (part.name, part.parameters.clone())).collect()
    }

    /// Images that the safety checks before an attack look at, the first ones of a job.
    #[classattr]
    const LOOKED_AT: usize = IMAGES;

    /// Attacks images `[N, C, H, W]` with labels `[N]` and indices `[N]` in their data set. Adds their rows to `rows`
    /// and returns the adversarial images, the clean one where nothing was found.
    fn run<'py>(
        &self,
        py: Python<'py>,
        network: &Network,
        images: PyReadonlyArray4<'py, f32>,
        labels: PyReadonlyArray1<'py, i64>,
        ids: Vec<u64>,
        rows: &AttackRows,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let shape = images.shape().to_vec();
        let batch = batch(&images, &labels, ids)?;
        drop((images, labels));
        let (new, outcomes) = wait::for_network(py, network, |stop| {
            let started = Instant::now();
            let model = network.classifier();
            let outcomes = attack_until(&self.configured, model, &batch, &self.request, stop)?;
            let seconds = started.elapsed().as_secs_f64() / batch.len().max(1) as f64;
            let threat = &self.configured.threat;
            Ok((attack_rows(threat, &batch, &outcomes, seconds)?, outcomes))
        })?;
        rows.get().extend(new);
        array(py, outcomes.into_iter().flat_map(|outcome| outcome.image).collect(), &shape)
    }

    /// What the safety checks before the attack see, which look at the first images of a job, `size` at a time.
    fn check_before(
        &self,
        py: Python<'_>,
        network: &Network,
        images: PyReadonlyArray4<'_, f32>,
        labels: PyReadonlyArray1<'_, i64>,
        size: usize,
    ) -> PyResult<Vec<Told>> {
        let batch = batch(&images, &labels, (0..images.shape()[0] as u64).collect())?;
        drop((images, labels));
        let found = wait::for_network(py, network, |_| {
            before(&self.configured, network.classifier(), &batch, &self.request, size)
        })?;
        Ok(found.into_iter().map(told).collect())
    }

    /// What the safety checks behind the attack see; `by` names the part that broke each image.
    #[allow(clippy::needless_pass_by_value)]
    fn check_after_parts(&self, by: Vec<String>) -> Vec<Told> {
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        after(&self.configured, &by).into_iter().map(told).collect()
    }

    /// What the safety checks behind the attack see in the rows of all images.
    fn check_after(&self, rows: &AttackRows) -> Vec<Told> {
        seen_after(&self.configured, &rows.get()).into_iter().map(told).collect()
    }
}
