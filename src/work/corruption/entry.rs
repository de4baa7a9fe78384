//! A `[[corruption]]` of a suite: which corruptions, and where their images lie.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::task::CorruptionTask;
use super::{CORRUPTIONS, NAME, SEVERITIES, number};
use crate::data::{self, Dataset, Subset};
use crate::error::{Error, Result};
use crate::record::Work;
use crate::results::distinct;
use crate::work::entry::{Entry, is_default};
use crate::work::fits::fits;
use crate::work::kind::{Settings, Subject};
use crate::work::task::Resolved;

/// A `[[corruption]]` of a suite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionEntry {
    /// Folder of CIFAR-C (`CORRUPTION.npy` and `labels.npy`), or of ImageNet-C or anything like it
    /// (`CORRUPTION/SEVERITY/CLASS/IMAGE`).
    pub folder: PathBuf,
    /// Column title; otherwise `corruptions`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label: Option<String>,
    /// How images of the second layout are resized and cropped; `Res224`, as RobustBench does, if not
    /// given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preprocessing: Option<String>,
    /// List of the images of ImageNet to take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ids: Option<PathBuf>,
    /// Only the first images of each corruption and severity.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first: Option<usize>,
    /// Corruptions to measure; [`CORRUPTIONS`] if empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub only: Vec<String>,
    /// Name of the network to whose errors those of the others are relative, for the mean corruption error.
    #[serde(default, skip_serializing_if = "is_default")]
    pub baseline: Option<String>,
}

impl From<CorruptionEntry> for Entry {
    fn from(entry: CorruptionEntry) -> Self {
        Self::of(&entry)
    }
}

impl CorruptionEntry {
    /// The corruptions to measure, each once.
    pub fn corruptions(&self) -> Vec<String> {
        match self.only.as_slice() {
            [] => CORRUPTIONS.map(str::to_owned).to_vec(),
            only => distinct(only.iter().cloned()),
        }
    }

    /// Data specification of one corruption and severity.
    pub fn specification(&self, corruption: &str, severity: &str) -> String {
        let folder = self.folder.display();
        if self.folder.join("labels.npy").is_file() {
            return format!("cifar-c:{folder},{corruption},{severity}");
        }
        // ImageNet's classes are numbered by their folders, of which none may be missing.
        let format = if self.is_imagenet() { "imagenet" } else { "folder" };
        let preprocessing = self.preprocessing.as_deref().unwrap_or("Res224");
        let ids = self.ids.as_ref().map_or_else(String::new, |ids| format!(",{}", ids.display()));
        format!("{format}:{folder}/{corruption}/{severity},{preprocessing}{ids}")
    }

    /// The folders of the classes have the names of ImageNet's, `n01440764`.
    fn is_imagenet(&self) -> bool {
        let first = self.corruptions().into_iter().next().unwrap_or_default();
        let names = std::fs::read_dir(self.folder.join(first).join("1")).into_iter().flatten();
        names.flatten().any(|class| {
            let name = class.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix('n'));
            digits.is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_digit()))
        })
    }

    /// The images of one corruption and severity.
    pub(super) fn open(&self, corruption: &str, severity: usize) -> Result<Box<dyn Dataset>> {
        let whole = data::open(&self.specification(corruption, &severity.to_string()))?;
        match self.first {
            Some(n) => Ok(Box::new(Subset::first(whole, n)?)),
            None => Ok(whole),
        }
    }
}

impl Settings for CorruptionEntry {
    /// One job for all corruptions; each is opened before the first is measured.
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        let corruptions = self.corruptions();
        if let Some(bad) = corruptions.iter().find(|c| c.is_empty() || c.contains(['/', '\\'])) {
            let remedy = "name files of the folder, without their ending";
            return Err(Error::setting("corruption", format!("`{bad}` is no name of one"), remedy));
        }
        for corruption in &corruptions {
            fits(subject.network, self.open(corruption, 1)?.as_ref())?;
        }
        let label = self.label.clone().unwrap_or_else(|| "corruptions".into());
        let mut facts = vec![("data", self.specification("CORRUPTION", "SEVERITY"))];
        facts.extend(self.first.map(|first| ("first", first.to_string())));
        facts.extend(self.baseline.clone().map(|name| ("baseline", name)));
        let work = Work {
            kind: NAME.into(),
            label: label.clone(),
            method: "corruptions".into(),
            threat: "corruptions".into(),
            facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Work::default()
        };
        let all = corruptions.iter().flat_map(|c| (1..=SEVERITIES).map(move |s| number(c, s)));
        let rows = Some(all.collect());
        let task = Box::new(CorruptionTask(self.clone()));
        Ok(vec![Resolved { stem: label, work, task, rows }])
    }
}
