//! The suite file: what a user writes in TOML, as it stands there. Nothing is opened or computed
//! here; [`super::Plan`] does that.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::cluster::Cluster;
use super::source::{self, Source};
use crate::data::Selection;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::hub::is_reference;
use crate::model::Average;
use crate::onnx::OnnxForm;
use crate::record::ServiceForm;
use crate::regular;
use crate::rng::Randomness;
use crate::service::is_address;
use crate::work::{Entry, Number, read_entry};

/// A benchmark: every model meets every attack and every certificate on every data set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Name of the run and of its folder.
    pub name: String,
    /// Seed of all per-image randomness.
    #[serde(default)]
    pub seed: u64,
    /// Source of random numbers: `per-image` (the default), or `torch` to compare with published code
    /// image by image; then batches matter.
    #[serde(default)]
    pub rng: Randomness,
    /// Images at a time; results do not depend on it. Otherwise few for an ensemble, whose images take
    /// long, and more for anything else.
    #[serde(default)]
    pub batch: Option<usize>,
    /// GiB that the networks may keep between a forward and its backward pass, 2 unless told
    /// otherwise; what does not fit is computed again. Results do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Where the networks run: `auto` (the default: the first GPU, or the CPU where there is none), `cpu`,
    /// `cuda`, `cuda:1`, `cuda:0,1`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device: Device,
    /// Arithmetic of searches: `f32` (the default), `bf16`, or on a GPU `tf32`. What a search finds is
    /// judged in f32; a certificate is about the function in this precision.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Keeps the adversarial images of every attack job in a safetensors file beside its table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub save_adversarial: bool,
    /// Leaves out models whose file is not there; of a long list a user has a few.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_missing: bool,
    /// The networks.
    #[serde(rename = "model")]
    pub models: Vec<ModelEntry>,
    /// The data sets.
    pub data: Vec<DataEntry>,
    /// The attacks. Typed entries of [`crate::work`] become [`Entry`] by `into()`.
    #[serde(default, rename = "attack")]
    pub attacks: Vec<Entry>,
    /// The certificates.
    #[serde(default, rename = "certificate")]
    pub certificates: Vec<Entry>,
    /// The corruption benchmarks.
    #[serde(default, rename = "corruption", skip_serializing_if = "is_default")]
    pub corruptions: Vec<Entry>,
    /// What `epsball sweep` asks of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Where they stand in a file, for errors.
    #[serde(skip)]
    pub source: Source,
}

/// The sections of a suite with their places.
#[derive(Deserialize)]
struct Sections {
    #[serde(default)]
    model: Vec<Spanned<toml::Table>>,
    #[serde(default)]
    data: Vec<Spanned<toml::Table>>,
    #[serde(default)]
    attack: Vec<Spanned<Entry>>,
    #[serde(default)]
    certificate: Vec<Spanned<Entry>>,
    #[serde(default)]
    corruption: Vec<Spanned<Entry>>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Refuses a batch without images.
pub(super) fn check_batch(batch: Option<usize>) -> Result<()> {
    match batch {
        Some(0) => Err(Error::setting("batch", "0 images at a time", "give at least 1")),
        _ => Ok(()),
    }
}

/// Refuses a seed that a whole number of TOML, in which the run is recorded, cannot hold: it has 63 bits.
pub(super) fn check_seed(seed: u64) -> Result<()> {
    if i64::try_from(seed).is_ok() {
        return Ok(());
    }
    let problem = format!("{seed} is above {}", i64::MAX);
    Err(Error::setting("seed", problem, "give a smaller number"))
}

/// A `[[model]]` of a suite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The weight file, `bundled:NAME`, `hf:OWNER/NAME[@REVISION][/FILE][#SHA256]`, or the address of a service that
    /// answers for the network, `http://HOST:PORT/PATH`. Relative paths start at the current folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// In place of a path: the weight files of an ensemble, whose answer is their mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// What an ensemble averages: `logits` (the default) or `probabilities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// Name in tables; otherwise the one in the file.
    #[serde(default)]
    pub name: Option<String>,
    /// Architecture, for weights that do not say it: `NAME[:PARAMETER=VALUE]...`.
    #[serde(default)]
    pub arch: Option<String>,
    /// What an image is for an ONNX network: `{ layout = "nhwc", range = 255, mean = [..], std = [..], shape =
    /// [3, 32, 32], output = "logits" }`, as far as the file does not say it.
    #[serde(default, skip_serializing_if = "OnnxForm::is_default")]
    pub onnx: OnnxForm,
    /// How a service is asked: `{ batch = 32, rate = 10, header = "authorization=TOKEN" }`.
    #[serde(default, skip_serializing_if = "ServiceForm::is_default")]
    pub service: ServiceForm,
    /// The network returns probabilities and is to be attacked as it is.
    #[serde(default)]
    pub probabilities: bool,
    /// The published entry that it is: `cifar10-linf/Carmon2019Unlabeled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Radius of the ball in place of the attacks' own; for networks with another published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<Number>,
    /// Name of the only data set that it meets; all if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl ModelEntry {
    /// Its weight files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let path = Some(self.path.as_str()).filter(|path| !path.is_empty());
        path.into_iter().chain(self.members.iter().map(String::as_str))
    }

    /// Whether it is declared to return probabilities.
    pub(super) fn returns_probabilities(&self) -> bool {
        self.probabilities || self.average == Some(Average::Probabilities)
    }

    /// Whether its jobs run on the data set of this name.
    pub(super) fn meets(&self, data: &str) -> bool {
        self.data.as_deref().is_none_or(|only| only == data)
    }
}

/// A `[[data]]` of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// `FORMAT:PATH`, as on the command line.
    pub spec: String,
    /// Name in tables; otherwise the format's or the file's.
    #[serde(default)]
    pub name: Option<String>,
    /// Part of the data set: `{ first = 1000 }`, `{ every = 20 }`, `{ indices = [3, 7] }`.
    #[serde(default)]
    pub images: Option<Selection>,
}

impl Suite {
    /// Reads a suite; `path` is for errors.
    ///
    /// # Errors
    /// If the text is not a suite; the error names the line and the field.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let line = |at: usize| source::line(text, at);
        let bad = |error: toml::de::Error| source::misfit(text, path, &error);
        let mut suite: Self = toml::from_str(text).map_err(bad)?;
        // Found out later too, but then an option of the command may have said it.
        check_batch(suite.batch).and_then(|()| check_seed(suite.seed)).map_err(|error| {
            let remedy = error.hint().unwrap_or_default();
            let text = error.to_string();
            let (field, problem) = text.split_once(": ").unwrap_or(("suite", text.as_str()));
            Error::file(path, field, problem, remedy)
        })?;
        let Sections { model, data, attack, certificate, corruption } =
            toml::from_str(text).map_err(bad)?;
        suite.source = Source::new(path);
        for (section, tables) in [("model", model), ("data", data)] {
            suite.source.put(section, tables.iter().map(|table| line(table.span().start)));
        }
        for (section, entries) in
            [("attack", attack), ("certificate", certificate), ("corruption", corruption)]
        {
            suite.source.put(section, entries.iter().map(|entry| line(entry.span().start)));
            for (number, entry) in entries.iter().enumerate() {
                let read = read_entry(section, entry.get_ref()).map(|_| ());
                let earlier = entries.iter().take(number).map(Spanned::get_ref).enumerate();
                let read = read.and_then(|()| {
                    suite.source.refuse_duplicate(section, entry.get_ref(), earlier)
                });
                read.map_err(|error| suite.source.locate(section, number, error))?;
            }
        }
        Ok(suite)
    }

    /// Every entry with the section it is in, and its number there.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, usize, &Entry)> {
        let sections = [
            ("attack", &self.attacks),
            ("certificate", &self.certificates),
            ("corruption", &self.corruptions),
        ];
        sections.into_iter().flat_map(|(section, entries)| {
            entries.iter().enumerate().map(move |(number, entry)| (section, number, entry))
        })
    }

    /// Without the models whose file is not there, if the suite wants that.
    ///
    /// # Errors
    /// If none is left.
    pub(super) fn present(&self) -> Result<Self> {
        let mut suite = self.clone();
        if self.skip_missing {
            let fetched =
                |path: &str| path.starts_with("bundled:") || is_reference(path) || is_address(path);
            let there = |path: &str| fetched(path) || Path::new(path).exists();
            let kept: Vec<bool> = self.models.iter().map(|m| m.files().all(there)).collect();
            suite.source.keep("model", &kept);
            suite.models.retain(|model| model.files().all(there));
            let missing: Vec<&str> =
                self.models.iter().filter_map(|m| m.files().find(|path| !there(path))).collect();
            let (count, all) = (missing.len(), self.models.len());
            match missing.first() {
                Some(first) if suite.models.is_empty() => {
                    return Err(Error::file(
                        first,
                        "model",
                        format!("neither this file nor one of the other {} is here", count - 1),
                        "convert a checkpoint to one of these names; paths start at this folder",
                    ));
                }
                Some(first) => tracing::warn!(
                    "{count} of {all} models have no file and are left out, {first} first"
                ),
                None => {}
            }
        }
        Ok(suite)
    }

    /// Reads the suite file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is not a suite.
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular::text(path).map_err(Error::io("read", path))?;
        Self::parse(&text, path)
    }
}
