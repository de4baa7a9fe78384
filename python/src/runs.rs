//! What an attack found as part of a run folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use epsball::bench::{Elsewhere, keep_elsewhere};
use epsball::record::Finding;
use epsball::rng::Randomness;
use epsball::work::{AttackEntry, AttackedImages, Number, OneOrMany};
use numpy::PyReadonlyArray4;
use pyo3::prelude::*;

use crate::attack::Attack;
use crate::errors::refuse;
use crate::network::Network;
use crate::rows::AttackRows;
use crate::wait;

/// Adds the rows of an attack, with its images `[N, C, H, W]` if they are to be kept, to the run in `folder`. With
/// random numbers of PyTorch, `batch` images were attacked at a time. Safety checks `looked` at so many images before
/// the attack and have `findings`.
#[pyfunction]
#[pyo3(signature = (folder, network, configured, name, file, data, spec, attack, norm, eps, patch, goal, parameters, seed, rng, batch, rows, images, shape, looked, findings))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn save_attack(
    py: Python<'_>,
    folder: PathBuf,
    network: &Network,
    configured: &Attack,
    name: Option<String>,
    file: Option<String>,
    data: String,
    spec: Option<String>,
    attack: String,
    norm: Option<String>,
    eps: Option<String>,
    patch: Option<String>,
    goal: String,
    parameters: BTreeMap<String, String>,
    seed: u64,
    rng: &str,
    batch: usize,
    rows: &AttackRows,
    images: Option<PyReadonlyArray4<'_, f32>>,
    shape: [usize; 3],
    looked: usize,
    findings: Vec<(String, String, String, String)>,
) -> PyResult<()> {
    let mut model = network.classifier().info().clone();
    if let Some(name) = name {
        model.name = name;
    }
    let randomness: Randomness = rng.parse().map_err(|e| refuse("rng", e, "write per-image"))?;
    let one = |text: Option<String>| {
        text.map_or_else(OneOrMany::default, |text| OneOrMany::One(Number::Text(text)))
    };
    let entry = AttackEntry {
        attack,
        label: None,
        norm,
        eps: one(eps),
        patch: one(patch),
        goal: Some(goal),
        parameters: parameters.into_iter().map(|(name, value)| (name, value.into())).collect(),
    };
    let pixels = images.map(|images| images.as_array().iter().copied().collect::<Vec<f32>>());
    let findings: Vec<Finding> = findings
        .into_iter()
        .map(|(check, seen, meaning, remedy)| Finding { check, seen, meaning, remedy })
        .collect();
    let rows = rows.get().clone();
    let (device, precision) = network.place();
    let place = (device.to_owned(), precision);
    wait::aside(py, |_| {
        let kept = AttackedImages {
            rows: &rows,
            images: pixels.as_deref(),
            shape,
            attack: &configured.configured,
            looked,
            findings: &findings,
        };
        let found = Elsewhere {
            model: &model,
            file,
            data,
            spec,
            attack: entry,
            seed,
            place,
            rng: (randomness, batch),
            kept,
        };
        keep_elsewhere(&folder, &found)
    })
}
