//! The plan of a run: everything a suite names, opened, checked and spelled out as jobs. Building it
//! costs seconds and finds the mistakes that would otherwise show after hours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::certificates::{self, Resolved};
use super::runner::BATCH;
use super::suite::{AttackEntry, CertificateEntry, ModelEntry, OneOrMany};
use super::{Suite, bundled, preflight};
use crate::attack::{self, Configured, Goal, Objective, PATCH_SUITE, Request};
use crate::certify::Smoothing;
use crate::certify::bounds::Bounds;
use crate::certify::patch::PatchCertificate;
use crate::data::{self, Dataset, Subset};
use crate::error::{Error, Result};
use crate::model::file::{self, Declared};
use crate::model::{Classifier, FrozenNetwork, ModelCard};
use crate::published;
use crate::record::{DataRecord, FORMAT_VERSION, JobRecord, ModelRecord, RunRecord, Work};
use crate::rng::Randomness;
use crate::threat::{Norm, PatchSize, Threat};

/// A resolved suite.
pub struct Plan {
    /// What goes into `run.toml`.
    pub record: RunRecord,
    /// Images at a time, if the user decided.
    pub batch: Option<usize>,
    /// The networks, as in the record.
    pub models: Vec<FrozenNetwork>,
    /// The data sets, as in the record.
    pub data: Vec<Box<dyn Dataset>>,
    /// The jobs, as in the record.
    pub jobs: Vec<PlannedJob>,
    randomness: Randomness,
}

/// A job with what it needs at hand.
pub struct PlannedJob {
    /// Index into [`Plan::models`].
    pub model: usize,
    /// Index into [`Plan::data`].
    pub data: usize,
    /// What to do.
    pub task: Task,
}

/// The work of a job.
pub enum Task {
    /// An attack.
    Attack(Configured, Request),
    /// CERTIFY.
    Certificate(Smoothing),
    /// A certificate against patches.
    Patch(Box<dyn PatchCertificate>),
    /// Bounds of the network.
    Bound(Bounds),
}

impl Plan {
    /// Resolves a suite for the device `device`.
    ///
    /// # Errors
    /// If a file, a name or a setting cannot be used, or models and data do not fit each other.
    pub fn new(suite: &Suite) -> Result<Self> {
        let suite = &suite.present()?;
        if suite.batch == Some(0) {
            return Err(Error::setting("batch", "0 images at a time", "give at least 1"));
        }
        if suite.models.is_empty() || suite.data.is_empty() {
            return Err(Error::setting(
                "suite",
                "names no model or no data set",
                "add a [[model]] and a [[data]]",
            ));
        }
        if suite.attacks.is_empty() && suite.certificates.is_empty() {
            return Err(Error::setting(
                "suite",
                "has nothing to do",
                "add an [[attack]] or a [[certificate]]",
            ));
        }
        let data = suite
            .data
            .iter()
            .map(|entry| -> Result<Box<dyn Dataset>> {
                let whole = data::open(&entry.spec)?;
                match &entry.images {
                    Some(selection) => Ok(Box::new(Subset::new(whole, selection)?)),
                    None => Ok(whole),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        one_norm(suite)?;
        let (models, cards): (Vec<_>, Vec<_>) =
            suite.models.iter().map(load_model).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            name: suite.name.clone(),
            epsball: env!("CARGO_PKG_VERSION").into(),
            seed: suite.seed,
            rng: match suite.rng {
                Randomness::PerImage => suite.rng.to_string(),
                Randomness::Torch => {
                    let batch = suite.batch.unwrap_or(BATCH);
                    format!("{}, batches of {batch}", suite.rng)
                }
            },
            device: "cpu".into(),
            precision: "f32".into(),
            save_adversarial: suite.save_adversarial,
            models: models
                .iter()
                .zip(&cards)
                .zip(&suite.models)
                .map(|((m, card), entry)| model_record(m, card, entry))
                .collect::<Result<_>>()?,
            data: suite
                .data
                .iter()
                .zip(&data)
                .map(|(entry, d)| data_record(entry.name.as_deref(), d.as_ref()))
                .collect(),
            jobs: Vec::new(),
        };
        let mut plan = Self {
            record,
            batch: suite.batch,
            models,
            data,
            jobs: Vec::new(),
            randomness: suite.rng,
        };
        refuse_twins("model", plan.record.models.iter().map(|m| &m.name))?;
        refuse_twins("data", plan.record.data.iter().map(|d| &d.name))?;
        for entry in &suite.models {
            let names = || plan.record.data.iter().map(|d| &d.name);
            if let Some(unknown) = entry.data.as_ref().filter(|d| !names().any(|name| name == *d)) {
                return Err(Error::unknown("data set of a model", unknown, names()));
            }
        }
        for data in 0..plan.data.len() {
            for model in 0..plan.models.len() {
                if !suite.models[model].meets(&plan.record.data[data].name) {
                    continue;
                }
                preflight::fits(&plan.models[model], plan.data[data].as_ref())?;
                for entry in &suite.attacks {
                    let entry = entry.at(suite.models[model].eps.as_ref());
                    plan.add_attacks(model, data, &entry, suite.seed)?;
                }
                for entry in &suite.certificates {
                    plan.add_certificate(model, data, entry, suite.seed)?;
                }
            }
        }
        refuse_twins("job (give one of them a label)", plan.record.jobs.iter().map(|j| &j.id))?;
        let data = || plan.data.iter().zip(&plan.record.data);
        for (network, entry) in plan.models.iter().zip(&suite.models) {
            if let Some((data, _)) = data().find(|(_, record)| entry.meets(&record.name)) {
                preflight::returns_logits(network, data.as_ref(), entry.probabilities)?;
            }
        }
        for (data, record) in data() {
            let meet = plan.models.iter().zip(&suite.models).filter(|(_, e)| e.meets(&record.name));
            if let Some(classes) = meet.map(|(network, _)| network.info().classes).min() {
                preflight::readable(data.as_ref(), classes, plan.batch.unwrap_or(BATCH))?;
            }
        }
        Ok(plan)
    }

    fn add_attacks(
        &mut self,
        model: usize,
        data: usize,
        entry: &AttackEntry,
        seed: u64,
    ) -> Result<()> {
        if entry.attack == "patch-suite" {
            for name in PATCH_SUITE {
                let parameters = match entry.parameters.get(name) {
                    Some(toml::Value::Table(table)) => table.clone().into_iter().collect(),
                    Some(_) => {
                        return Err(Error::setting(
                            format!("patch-suite: {name}"),
                            "is not a table of parameters",
                            format!("write {name} = {{ steps = 100 }}"),
                        ));
                    }
                    None => BTreeMap::new(),
                };
                let single =
                    AttackEntry { attack: name.into(), label: None, parameters, ..entry.clone() };
                self.add_attacks(model, data, &single, seed)?;
            }
            return match entry.parameters.keys().find(|k| !PATCH_SUITE.contains(&k.as_str())) {
                Some(name) => Err(Error::unknown("attack of patch-suite", name, PATCH_SUITE)),
                None => Ok(()),
            };
        }
        let goal: Goal = entry.goal.as_deref().unwrap_or("untargeted").parse()?;
        let given = entry.parameters.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
        let threats = threats(entry, self.models[model].info().input_shape)?;
        let minimal = attack::configure(&entry.attack, &threats[0].0, &given)?.search.objective()
            == Objective::Minimal;
        // A search for the smallest perturbation serves every budget with one table.
        let groups: Vec<(Threat, Vec<f64>)> = if minimal {
            vec![(threats[0].0, threats.iter().filter_map(|(_, eps)| *eps).collect())]
        } else {
            threats.into_iter().map(|(threat, eps)| (threat, eps.into_iter().collect())).collect()
        };
        for (threat, eps) in groups {
            let configured = attack::configure(&entry.attack, &threat, &given)?;
            let label =
                entry.label.clone().unwrap_or_else(|| default_label(&entry.attack, &threat));
            let mut parameters = configured.parameters.clone();
            parameters.insert("goal".into(), goal.to_string());
            let work = Work::Attack {
                label: label.clone(),
                attack: entry.attack.clone(),
                threat: threat.to_string(),
                eps: eps.clone(),
                minimal,
                control: configured.control,
                parameters,
            };
            let budget = match eps.as_slice() {
                [eps] if !minimal => format!("-{eps}"),
                _ => String::new(),
            };
            // The purpose leaves out the budget: runs at several budgets share their random starts.
            let purpose = entry.attack.clone();
            let randomness = self.randomness;
            let request = Request { threat, goal, seed, randomness, purpose };
            let task = Task::Attack(configured, request);
            self.add(model, data, format!("{label}{budget}"), "csv", work, task);
        }
        Ok(())
    }

    fn add_certificate(
        &mut self,
        model: usize,
        data: usize,
        entry: &CertificateEntry,
        seed: u64,
    ) -> Result<()> {
        if let Some(unknown) =
            entry.models.iter().find(|m| !self.record.models.iter().any(|known| known.name == **m))
        {
            let known = self.record.models.iter().map(|m| m.name.clone());
            return Err(Error::unknown("model", unknown.clone(), known));
        }
        if !entry.models.is_empty() && !entry.models.contains(&self.record.models[model].name) {
            return Ok(());
        }
        let resolved =
            certificates::resolve(entry, seed, &self.models[model], self.data[data].as_ref())?;
        for Resolved { label, work, task } in resolved {
            self.add(model, data, label, "tsv", work, task);
        }
        Ok(())
    }

    fn add(
        &mut self,
        model: usize,
        data: usize,
        stem: String,
        extension: &str,
        work: Work,
        task: Task,
    ) {
        let model_name = &self.record.models[model].name;
        let data_record = &self.record.data[data];
        let several = self.record.data.len() > 1;
        let stem = if several { format!("{stem}--{}", data_record.name) } else { stem };
        self.record.jobs.push(JobRecord {
            id: format!("{model_name}--{stem}"),
            file: format!("jobs/{}/{}.{extension}", file_name(model_name), file_name(&stem)),
            model: model_name.clone(),
            data: data_record.name.clone(),
            images: data_record.images,
            work,
        });
        self.jobs.push(PlannedJob { model, data, task });
    }
}

pub(super) fn load_model(entry: &ModelEntry) -> Result<(FrozenNetwork, ModelCard)> {
    let declared = Declared { name: entry.name.clone(), architecture: entry.arch.clone() };
    match entry.path.strip_prefix("bundled:") {
        Some(name) => bundled::load(name, &declared),
        None => file::load(Path::new(&entry.path), &declared),
    }
}

pub(super) fn model_record(
    model: &FrozenNetwork,
    card: &ModelCard,
    entry: &ModelEntry,
) -> Result<ModelRecord> {
    let info = model.info();
    entry.published.as_deref().map(published::find).transpose()?;
    Ok(ModelRecord {
        name: info.name.clone(),
        architecture: info.architecture.clone(),
        sha256: info.sha256.clone(),
        parameters: info.parameters,
        note: card.source.clone(),
        published: entry.published.clone(),
    })
}

/// A model's own radius says nothing about which norm it is of.
fn one_norm(suite: &Suite) -> Result<()> {
    let own = suite.models.iter().any(|model| model.eps.is_some());
    let norms: BTreeSet<&String> = suite.attacks.iter().filter_map(|a| a.norm.as_ref()).collect();
    match own && norms.len() > 1 {
        true => Err(Error::setting(
            "model: eps",
            "the suite attacks in several norms",
            "write a suite per norm, or leave the radius to the attacks",
        )),
        false => Ok(()),
    }
}

fn data_record(name: Option<&str>, data: &dyn Dataset) -> DataRecord {
    let info = data.info();
    DataRecord {
        name: name.unwrap_or(&info.name).into(),
        sha256: info.sha256.clone(),
        shape: info.shape,
        images: info.len,
    }
}

/// The threat models of an entry, with the budget of each if it has one.
fn threats(entry: &AttackEntry, shape: [usize; 3]) -> Result<Vec<(Threat, Option<f64>)>> {
    let subject = format!("attack {}", entry.attack);
    if let Some(size) = &entry.patch {
        if entry.norm.is_some() || !entry.eps.values().is_empty() {
            return Err(Error::setting(
                subject,
                "has both a patch and a norm",
                "choose one of them",
            ));
        }
        let patch = size.parse::<PatchSize>()?.resolve(shape)?;
        return Ok(vec![(Threat::Patch(patch), None)]);
    }
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject,
            "has no threat model",
            "add norm = \"Linf\" and eps = \"8/255\", or patch = \"5x5\"",
        ));
    };
    let norm = parse_norm(norm)?;
    let eps = radii(&subject, &entry.eps)?;
    Ok(eps.into_iter().map(|eps| (Threat::ball(norm, eps as f32), Some(eps))).collect())
}

pub(super) fn parse_norm(name: &str) -> Result<Norm> {
    match name {
        "Linf" => Ok(Norm::Linf),
        "L2" => Ok(Norm::L2),
        "L1" => Ok(Norm::L1),
        other => Err(Error::unknown("norm", other, ["Linf", "L2", "L1"])),
    }
}

/// The radii of an entry, ascending and each once; `subject` is for the error.
pub(super) fn radii(subject: &str, eps: &OneOrMany) -> Result<Vec<f64>> {
    if eps.values().is_empty() {
        return Err(Error::setting(subject, "has no eps", "add eps = 0.3 or eps = \"8/255\""));
    }
    let mut eps =
        eps.values().iter().map(|number| number.positive("eps")).collect::<Result<Vec<f64>>>()?;
    eps.sort_by(f64::total_cmp);
    eps.dedup();
    Ok(eps)
}

/// `pgd-linf`; the name alone where it already says the norm or the threat is a patch.
fn default_label(attack: &str, threat: &Threat) -> String {
    match threat {
        Threat::Ball { norm, .. } => {
            let norm = norm.to_string().to_lowercase();
            if attack.ends_with(&norm) { attack.into() } else { format!("{attack}-{norm}") }
        }
        Threat::Patch(_) => attack.into(),
    }
}

/// A TOML value as the text a user would type for it.
pub(super) fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A name made safe for every file system.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    name.chars().map(safe).collect()
}

fn refuse_twins<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::setting(
                what,
                format!("`{name}` occurs twice"),
                "names have to be unique in a suite: add name = \"...\"",
            ));
        }
    }
    Ok(())
}
