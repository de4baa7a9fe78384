//! The plan of a run: everything a suite names, opened, checked and spelled out as jobs. Building it
//! costs seconds and finds the mistakes that would otherwise show after hours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::names::{self, distinguish};
use super::shard::Shard;
use super::suite::{DataEntry, check_batch, check_seed};
use super::{Networks, Suite, preflight, session};
use crate::data::{self, Dataset, Subset, list_digest};
use crate::device::Precision;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::{DataRecord, FORMAT_VERSION, JobRecord, RunRecord, SessionRecord, Work};
use crate::rng::Randomness;
use crate::work::{
    self, BATCH, Chance, Entry, JobContext, JobRequest, Resolved, Subject, Task, fits, read_entry,
};

/// A resolved suite.
pub struct Plan {
    /// What this plan adds to `run.toml`.
    pub record: RunRecord,
    /// This call of the program.
    pub session: SessionRecord,
    /// Attack jobs leave their adversarial images beside their tables.
    pub save_adversarial: bool,
    /// Images at a time, if the user decided.
    pub batch: Option<usize>,
    /// The share of every job that this process computes; all of it if there is none.
    pub shard: Option<Shard>,
    /// Run folders whose rows of the same jobs are taken over, shares of other machines for example.
    pub rows_of: Vec<PathBuf>,
    /// The networks, as in the record.
    pub networks: Networks,
    /// The data sets, as in the record.
    pub data: Vec<Box<dyn Dataset>>,
    /// Index and digest of every image, of each data set.
    pub images: Vec<Vec<(u64, String)>>,
    /// The jobs, as in the record.
    pub jobs: Vec<PlannedJob>,
}

/// A job with what it needs at hand.
pub struct PlannedJob {
    /// Number in [`Plan::networks`].
    pub model: usize,
    /// Index into [`Plan::data`].
    pub data: usize,
    /// What the suite calls it, with its budget.
    pub stem: String,
    /// What the suite calls it.
    pub label: String,
    /// What to do.
    pub task: Box<dyn Task>,
    /// Indices of the rows of its table, if these are not the images of the data set.
    pub rows: Option<Vec<u64>>,
    /// Passes that an image costs at most, if that is known.
    pub most_passes: Option<f64>,
}

impl Plan {
    /// Resolves a suite and puts its networks where they will run.
    ///
    /// # Errors
    /// If a file, a name or a setting cannot be used, or models and data do not fit each other.
    pub fn new(suite: &Suite) -> Result<Self> {
        Self::of(&suite.present()?).map_err(|error| suite.source.name(error))
    }

    fn of(suite: &Suite) -> Result<Self> {
        check_batch(suite.batch)?;
        check_seed(suite.seed)?;
        if suite.models.is_empty() || suite.data.is_empty() {
            return Err(Error::setting(
                "suite",
                "names no model or no data set",
                "add a [[model]] and a [[data]]",
            ));
        }
        if suite.entries().next().is_none() {
            return Err(Error::setting(
                "suite",
                "has nothing to do",
                "add an [[attack]], a [[certificate]] or a [[corruption]]",
            ));
        }
        let data = suite
            .data
            .iter()
            .enumerate()
            .map(|(number, entry)| {
                let whole = data::open(&entry.spec);
                let part = whole.and_then(|whole| -> Result<Box<dyn Dataset>> {
                    match &entry.images {
                        Some(selection) => Ok(Box::new(Subset::new(whole, selection)?)),
                        None => Ok(whole),
                    }
                });
                part.map_err(|error| suite.source.locate("data", number, error))
            })
            .collect::<Result<Vec<_>>>()?;
        one_norm(suite)?;
        names::check_suite(&suite.name)?;
        let (networks, records) = Networks::read(suite)?;
        let device = networks.device();
        let batch = suite.batch.unwrap_or(BATCH);
        let how = How::new(suite.seed, suite.rng, batch, &device, suite.precision);
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            name: suite.name.clone(),
            sessions: Vec::new(),
            models: records,
            data: suite
                .data
                .iter()
                .zip(&data)
                .map(|(entry, data)| data_record(entry, data.as_ref()))
                .collect(),
            jobs: Vec::new(),
        };
        let mut plan = Self {
            record,
            session: session::begin(&how.device, suite.precision),
            save_adversarial: suite.save_adversarial,
            batch: suite.batch,
            shard: None,
            rows_of: Vec::new(),
            networks,
            data,
            images: Vec::new(),
            jobs: Vec::new(),
        };
        for model in &plan.record.models {
            names::check("model", &model.name)?;
        }
        for data in &plan.record.data {
            names::check("data", &data.name)?;
        }
        refuse_duplicates("model", plan.record.models.iter().map(|m| &m.name))?;
        refuse_duplicates("data", plan.record.data.iter().map(|d| &d.name))?;
        for entry in &suite.models {
            let names = || plan.record.data.iter().map(|d| &d.name);
            if let Some(unknown) = entry.data.as_ref().filter(|d| !names().any(|name| name == *d)) {
                return Err(Error::unknown("data set of a model", unknown, names()));
            }
        }
        let meets = |(data, model): &(usize, usize)| {
            suite.models[*model].meets(&plan.record.data[*data].name)
        };
        let pairs = (0..plan.data.len())
            .flat_map(|data| (0..plan.networks.len()).map(move |model| (data, model)));
        let pairs: Vec<(usize, usize)> = pairs.filter(meets).collect();
        // Settings are looked at before the images, of which there may be many.
        let mut resolved = Vec::new();
        let mut asked = BTreeSet::new();
        // The smallest number of classes of the networks that a data set meets.
        let mut fewest: Vec<Option<usize>> = vec![None; plan.data.len()];
        for (data, model) in pairs {
            let network = &*plan.networks.get(model)?;
            fits(network, plan.data[data].as_ref())?;
            let subject = Subject {
                seed: suite.seed,
                rng: suite.rng,
                network,
                data: plan.data[data].as_ref(),
                images: plan.data[data].info().len,
                eps: suite.models[model].eps.as_ref(),
            };
            let mut jobs = Vec::new();
            for (section, number, entry) in suite.entries() {
                let own = || match plan.is_for(entry, model)? {
                    true => read_entry(section, entry)?.jobs(&subject),
                    false => Ok(Vec::new()),
                };
                jobs.extend(own().map_err(|e| suite.source.locate(section, number, e))?);
            }
            let classes = network.info().classes;
            // Answers that are asked for again, to vote or in another precision, are counted too.
            let is_certain = !network.info().randomised && !network.usage().approximates;
            resolved.push(((model, data), is_certain.then_some(classes), jobs));
            fewest[data] =
                fewest[data].map_or(Some(classes), |fewest: usize| Some(fewest.min(classes)));
            if asked.insert(model) {
                let declared = suite.models[model].returns_probabilities();
                preflight::returns_logits(network, plan.data[data].as_ref(), declared)?;
            }
        }
        for (at, data) in plan.data.iter().enumerate() {
            let batch = plan.batch.unwrap_or(BATCH);
            let images = preflight::readable(data.as_ref(), fewest[at], batch)?;
            let digests: Vec<String> = images.iter().map(|(_, image)| image.clone()).collect();
            plan.record.data[at].digest = list_digest(&digests);
            plan.images.push(images);
        }
        for (place, classes, jobs) in resolved {
            let how = how.at(plan.networks.place(place.0));
            plan.add(&how, place, classes, jobs)?;
        }
        Ok(plan)
    }

    /// The entry is for this model.
    fn is_for(&self, entry: &Entry, model: usize) -> Result<bool> {
        let wanted = entry.models()?;
        let names = || self.record.models.iter().map(|model| &model.name);
        match wanted.iter().find(|name| !names().any(|known| known == *name)) {
            Some(unknown) => Err(Error::unknown("model", unknown, names())),
            None => Ok(wanted.is_empty() || wanted.contains(&self.record.models[model].name)),
        }
    }

    /// What is asked of job number `job`.
    pub(super) fn request<'a>(
        &self,
        job: usize,
        record: &'a JobRecord,
        folder: &'a Path,
    ) -> JobRequest<'a> {
        JobRequest {
            record,
            folder,
            batch: self.batch,
            usual: self.networks.usual_batch(self.jobs[job].model),
            save_adversarial: self.save_adversarial,
        }
    }

    /// What job number `job`, of `network`, runs with, as it is recorded in the run folder.
    pub(super) fn context<'a>(
        &'a self,
        job: usize,
        network: &'a Network,
        record: &'a JobRecord,
        folder: &'a Path,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> JobContext<'a> {
        let PlannedJob { data, .. } = self.jobs[job];
        JobContext {
            job: self.request(job, record, folder),
            network,
            data: self.data[data].as_ref(),
            images: &self.images[data],
            part: None,
            stop,
        }
    }

    pub(super) fn add(
        &mut self,
        how: &How,
        (model, data): (usize, usize),
        classes: Option<usize>,
        resolved: Vec<Resolved>,
    ) -> Result<()> {
        let model_record = &self.record.models[model];
        let data_record = &self.record.data[data];
        let several = self.record.data.len() > 1;
        for Resolved { stem, work, task, rows } in resolved {
            names::check("label", &work.label)?;
            let stem = if several { format!("{stem}--{}", data_record.name) } else { stem };
            let label = work.label.clone();
            let key = how.key(&model_record.identity, data_record, &work)?;
            if let Some(known) = self.record.jobs.iter().find(|job| job.key == key) {
                return Err(Error::setting(
                    "suite",
                    format!(
                        "the job `{}--{stem}` occurs twice: `{}` has the same settings",
                        model_record.name, known.id
                    ),
                    work::of(&work)?.once(),
                ));
            }
            let mut job = JobRecord {
                id: String::new(),
                key,
                file: String::new(),
                model: model_record.name.clone(),
                data: data_record.name.clone(),
                images: rows.as_ref().map_or(data_record.images, Vec::len),
                finished: false,
                checked: task.checked(),
                seed: how.seed,
                rng: how.rng.clone(),
                device: how.device.clone(),
                precision: how.precision.clone(),
                work,
            };
            distinguish(&mut job, (&label, &stem), &self.record.jobs);
            self.record.jobs.push(job);
            let shape = self.record.data[data].shape;
            let most_passes = classes.and_then(|classes| task.most_passes(shape, classes));
            self.jobs.push(PlannedJob { model, data, stem, label, task, rows, most_passes });
        }
        Ok(())
    }
}

/// What all jobs of a suite share.
#[derive(Clone)]
pub(super) struct How {
    seed: u64,
    rng: String,
    device: String,
    precision: String,
}

impl How {
    /// The random numbers of [`Randomness::Torch`] depend on the images of a `batch`.
    pub(super) fn new(
        seed: u64,
        rng: Randomness,
        batch: usize,
        device: &str,
        precision: Precision,
    ) -> Self {
        let rng = match rng {
            Randomness::PerImage => rng.to_string(),
            Randomness::Torch => format!("{rng}, batches of {batch}"),
        };
        Self { seed, rng, device: device.to_owned(), precision: precision.to_string() }
    }

    /// The same of a network that runs at `device`.
    fn at(&self, device: &str) -> Self {
        let Self { seed, rng, precision, .. } = self.clone();
        Self { seed, rng, device: device.to_owned(), precision }
    }

    /// See [`JobRecord::key`].
    fn key(&self, model: &str, data: &DataRecord, work: &Work) -> Result<String> {
        let Self { seed, rng, device, precision } = self;
        let bug =
            |e: toml::ser::Error| Error::setting("job", e.to_string(), "report this as a bug");
        let kind = work::of(work)?;
        let essence = toml::to_string(&kind.essence(work)).map_err(bug)?;
        // GPUs of one machine give one another's rows.
        let device = device.split(':').next().unwrap_or(device);
        let drawn = match kind.chance() {
            // Numbers that are drawn for a whole batch depend on which images are in it.
            Chance::Search if rng.starts_with("torch") => format!("{seed} {rng} {}", data.digest),
            Chance::Search => format!("{seed} {rng}"),
            Chance::Draw => seed.to_string(),
            Chance::None => String::new(),
        };
        let name = &data.name;
        Ok(sha256(format!("{model}\n{name}\n{drawn}\n{device}\n{precision}\n{essence}").as_bytes()))
    }
}

/// A model's own radius says nothing about which norm it is of.
fn one_norm(suite: &Suite) -> Result<()> {
    let own = suite.models.iter().any(|model| model.eps.is_some());
    let norms: BTreeSet<&str> = suite.attacks.iter().filter_map(|a| a.text("norm")).collect();
    match own && norms.len() > 1 {
        true => Err(Error::setting(
            "model: eps",
            "the suite attacks in several norms",
            "write a suite per norm, or leave the radius to the attacks",
        )),
        false => Ok(()),
    }
}

fn data_record(entry: &DataEntry, data: &dyn Dataset) -> DataRecord {
    let info = data.info();
    DataRecord {
        name: entry.name.as_ref().unwrap_or(&info.name).clone(),
        spec: entry.spec.clone(),
        sha256: info.sha256.clone(),
        shape: info.shape,
        images: info.len,
        digest: String::new(),
    }
}

fn refuse_duplicates<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
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
