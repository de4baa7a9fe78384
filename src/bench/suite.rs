//! The suite file: what a user writes in TOML, as it stands there. Nothing is opened or computed
//! here; [`super::Plan`] does that.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::Selection;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::hub::is_reference;
use crate::model::Average;
use crate::parameters::parse_number;
use crate::rng::Randomness;

/// A benchmark: every model meets every attack and every certificate on every data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Arithmetic of searches on a GPU: `f32` (the default), `tf32` or `bf16`. What a search finds is
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
    /// The attacks.
    #[serde(default, rename = "attack")]
    pub attacks: Vec<AttackEntry>,
    /// The certificates.
    #[serde(default, rename = "certificate")]
    pub certificates: Vec<CertificateEntry>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A `[[model]]` of a suite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The weight file, `bundled:NAME` or `hf:OWNER/NAME[@REVISION][/FILE][#SHA256]`. Relative paths start at
    /// the current folder.
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
    /// Architecture, for weights that do not say it.
    #[serde(default)]
    pub arch: Option<String>,
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

/// An `[[attack]]` of a suite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackEntry {
    /// Name of the attack, or `patch-suite` for the three patch attacks and their two controls.
    pub attack: String,
    /// Column title; otherwise made of the attack and the threat model.
    #[serde(default)]
    pub label: Option<String>,
    /// Norm of the ball: `Linf`, `L2`, `L1`.
    #[serde(default)]
    pub norm: Option<String>,
    /// Radius or radii of the ball: `0.3`, `"8/255"`, `[0.1, 0.2]`.
    #[serde(default)]
    pub eps: OneOrMany,
    /// Size of the patch: `"5x5"` pixels, `"2%"` of the area, `"20%x10%"` of the sides.
    #[serde(default)]
    pub patch: Option<String>,
    /// `untargeted` (the default), `least-likely`, `random`, `next`, or a class number.
    #[serde(default)]
    pub goal: Option<String>,
    /// Hyper-parameters by name. For `patch-suite`: a table per attack.
    #[serde(default)]
    pub parameters: BTreeMap<String, toml::Value>,
}

impl AttackEntry {
    /// Itself, with a model's own radius if it is about a ball.
    pub(super) fn at(&self, eps: Option<&Number>) -> Self {
        let mut entry = self.clone();
        if let (Some(eps), Some(_)) = (eps, &self.norm) {
            entry.eps = OneOrMany::One(eps.clone());
        }
        entry
    }
}

/// A `[[certificate]]` of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// `cohen`; bounds of the network itself by `ibp`, `crown-ibp`, `fast-lin` or `crown`; or against
    /// patches `patchcleanser`, `column-smoothing`, `row-smoothing`, `block-smoothing`.
    pub certificate: String,
    /// Column title; otherwise `smoothing-SIGMA`, `crown-linf`, `patchcleanser-SIZE`, ..
    #[serde(default)]
    pub label: Option<String>,
    /// Standard deviation of the noise.
    #[serde(default)]
    pub sigma: Option<Number>,
    /// `gaussian` (the default), `uniform`, `laplace`, `lattice` or `ablation`.
    #[serde(default)]
    pub noise: Option<String>,
    /// How many of the N samples an image gets: `cohen` (the default: all), `grid`, `radius` or
    /// `anytime`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Norm of the radii; otherwise the noise's own. Bounds need one, `Linf` or `L2`.
    #[serde(default)]
    pub norm: Option<String>,
    /// Radius or radii of the report; for bounds.
    #[serde(default)]
    pub eps: OneOrMany,
    /// Halvings in the search for the largest radius, 0 for those of the report only; for bounds.
    #[serde(default)]
    pub steps: Option<u32>,
    /// Size of the patch, or several: `"5x5"` pixels, `"2%"` of the area, `"20%x10%"` of the sides.
    #[serde(default)]
    pub patch: OneOrMany,
    /// Parameters of the noise or the defence by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, toml::Value>,
    /// N0.
    #[serde(default = "default_n0")]
    pub n0: u64,
    /// N, in modes that stop early the most samples of an image.
    #[serde(default = "default_n")]
    pub n: u64,
    /// One minus the confidence.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Radii of the report.
    #[serde(default)]
    pub radii: Vec<f64>,
    /// Names of the models it applies to; all if empty.
    #[serde(default)]
    pub models: Vec<String>,
}

impl Default for CertificateEntry {
    /// Randomized smoothing with the paper's numbers of samples; sigma is missing.
    fn default() -> Self {
        Self {
            certificate: "cohen".into(),
            label: None,
            sigma: None,
            noise: None,
            mode: None,
            norm: None,
            eps: OneOrMany::default(),
            steps: None,
            patch: OneOrMany::default(),
            parameters: BTreeMap::new(),
            n0: default_n0(),
            n: default_n(),
            alpha: default_alpha(),
            radii: Vec::new(),
            models: Vec::new(),
        }
    }
}

fn default_n0() -> u64 {
    100
}

fn default_n() -> u64 {
    100_000
}

fn default_alpha() -> f64 {
    0.001
}

/// A number, or a text such as `"8/255"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// `0.3`.
    Float(f64),
    /// `1`.
    Integer(i64),
    /// `"8/255"`.
    Text(String),
}

impl Number {
    /// Its value; `field` is for the error.
    ///
    /// # Errors
    /// If it is not a finite number above 0.
    pub fn positive(&self, field: &str) -> Result<f64> {
        let value = match self {
            Self::Float(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            Self::Text(text) => parse_number(text),
        };
        match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            _ => Err(Error::setting(
                field,
                format!("{self} is not a number above 0"),
                "give a number above 0, such as 0.3 or 8/255",
            )),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

/// One value or a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A single one.
    One(Number),
    /// Several, or none.
    Many(Vec<Number>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// All of them.
    pub fn values(&self) -> &[Number] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Suite {
    /// Reads a suite; `path` is for errors.
    ///
    /// # Errors
    /// If the text is not a suite; the error names the line and the field.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::file(
                path,
                format!("line {line}"),
                error.message(),
                "see benchmarks/suites/ for complete examples",
            )
        })
    }

    /// Without the models whose file is not there, if the suite wants that.
    ///
    /// # Errors
    /// If none is left.
    pub(super) fn present(&self) -> Result<Self> {
        let mut suite = self.clone();
        if self.skip_missing {
            let fetched = |path: &str| path.starts_with("bundled:") || is_reference(path);
            let there = |path: &str| fetched(path) || Path::new(path).exists();
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
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        Self::parse(&text, path)
    }
}
