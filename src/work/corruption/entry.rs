//! A `[[corruption]]` of a suite: which corruptions, and where their images lie.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::task::CorruptionTask;
use super::{CORRUPTIONS, NAME, SEVERITIES, number};
use crate::data::{self, Dataset, Subset, cifar_c};
use crate::error::{Error, Result, nearest};
use crate::record::Work;
use crate::results::distinct;
use crate::work::entry::{Entry, is_default};
use crate::work::fits::fits;
use crate::work::kind::{Settings, Subject};
use crate::work::task::Resolved;

/// How images are resized and cropped unless the entry says otherwise.
const PREPROCESSING: &str = "Res224";

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
        if self.is_stacked() {
            return format!("cifar-c:{folder},{corruption},{severity}");
        }
        // ImageNet's classes are numbered by their folders, of which none may be missing.
        let format = if self.is_imagenet() { "imagenet" } else { "folder" };
        let preprocessing = self.preprocessing.as_deref().unwrap_or(PREPROCESSING);
        let ids = self.ids.as_ref().map_or_else(String::new, |ids| format!(",{}", ids.display()));
        format!("{format}:{folder}/{corruption}/{severity},{preprocessing}{ids}")
    }

    /// Makes sure that the folder has every corruption, and that what else is said has a use there.
    ///
    /// # Errors
    /// If a file or folder is missing, or a field is for another layout.
    pub fn check(&self) -> Result<()> {
        let corruptions = self.corruptions();
        if let Some(bad) = corruptions.iter().find(|c| c.is_empty() || c.contains(['/', '\\', ',']))
        {
            let remedy = "name files of the folder, without their ending";
            return Err(Error::setting("corruption", format!("`{bad}` is no name of one"), remedy));
        }
        if !self.folder.is_dir() {
            let folder = self.folder.to_string_lossy();
            let remedy = match folder.split_once(':').filter(|(format, _)| data::is_format(format)) {
                Some((_, rest)) => format!(
                    "give the folder alone: {}; `only` names corruptions",
                    rest.split(',').next().unwrap_or(rest)
                ),
                None => "name a folder of CIFAR-C or ImageNet-C; `epsball data list` says how to get one"
                    .into(),
            };
            return Err(Error::file(&self.folder, "folder", "there is no such folder", remedy));
        }
        if self.is_stacked() {
            let preprocessing = self.preprocessing.as_ref().map(|_| "preprocessing");
            if let Some(field) = preprocessing.or(self.ids.as_ref().map(|_| "ids")) {
                let problem = "does not apply to CIFAR-C, whose images are arrays of one size";
                let remedy = format!("leave {field} out, or name a folder of images");
                return Err(Error::setting(format!("corruption: {field}"), problem, remedy));
            }
            cifar_c::file(&self.folder, cifar_c::LABELS, "labels")?;
            corruptions
                .iter()
                .try_for_each(|name| cifar_c::file(&self.folder, name, "corruption").map(|_| ()))?;
            return Ok(());
        }
        for corruption in &corruptions {
            for severity in 1..=SEVERITIES {
                let path = self.folder.join(corruption).join(severity.to_string());
                if !path.is_dir() {
                    let remedy = self.there(corruption);
                    return Err(Error::file(path, "corruption", "there is no such folder", remedy));
                }
            }
        }
        Ok(())
    }

    /// The folder is one of arrays, as that of CIFAR-C.
    fn is_stacked(&self) -> bool {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        files.into_iter().any(|file| file.path().extension().is_some_and(|ending| ending == "npy"))
    }

    /// Which corruptions the folder has, and the one that `name` may mean.
    fn there(&self, name: &str) -> String {
        let folders = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = folders
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let near = nearest(name, &names).filter(|near| *near != name);
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let names = names.join(", ");
        format!(
            "{near}there are: {names}; the images lie in CORRUPTION/SEVERITY/CLASS, severity 1 to 5"
        )
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

    /// The images of one corruption and severity, at least so many.
    pub(super) fn open(
        &self,
        corruption: &str,
        severity: usize,
        least: usize,
    ) -> Result<Box<dyn Dataset>> {
        let whole = data::open(&self.specification(corruption, &severity.to_string()))?;
        match self.first {
            Some(n) => Ok(Box::new(Subset::first(whole, n.max(least))?)),
            None => Ok(whole),
        }
    }
}

impl Settings for CorruptionEntry {
    /// One job for all corruptions; each is opened before the first is measured.
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        self.check()?;
        let corruptions = self.corruptions();
        for corruption in &corruptions {
            fits(subject.network, self.open(corruption, 1, 0)?.as_ref())?;
        }
        let label = self.label.clone().unwrap_or_else(|| "corruptions".into());
        let mut facts = vec![("data", self.specification("CORRUPTION", "SEVERITY"))];
        facts.push(("only", corruptions.join(",")));
        facts.extend(self.first.map(|first| ("first", first.to_string())));
        // Other pixels or other images, and so another job.
        let other = self.preprocessing.clone().filter(|name| name != PREPROCESSING);
        facts.extend(other.map(|name| ("preprocessing", name)));
        let list = self.ids.as_ref().and_then(|ids| ids.file_name());
        facts.extend(list.map(|name| ("ids", name.to_string_lossy().into_owned())));
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
