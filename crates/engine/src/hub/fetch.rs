//! From a reference to a file in the cache. The library downloads, continues what was broken off, and keeps
//! the cache in the layout of the Hub's own tools; what this adds is the refusal of anything that is not the
//! file that was asked for, and errors that say what to do.

use std::fs;
use std::path::PathBuf;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, Metadata};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use indicatif::{ProgressBar, ProgressStyle};

use super::cached::length;
use super::reference::{Kind, Reference, is_plain_path};
use super::settings::Settings;
use crate::error::{Error, Result};

/// Endings of files that hold weights, beside safetensors.
const CHECKPOINTS: [&str; 5] = [".pt", ".pth", ".pth.tar", ".ckpt", ".bin"];
/// Names of files in an error.
const NAMES: usize = 20;

/// The file that `reference` names, from the cache or else from the Hub.
pub(super) fn fetch(reference: &Reference, settings: &Settings) -> Result<PathBuf> {
    let mut hub = Hub { reference: reference.clone(), settings };
    let file = match &reference.file {
        Some(file) => file.clone(),
        None => hub.only_checkpoint()?,
    };
    hub.reference.file = Some(file.clone());
    let path = match hub.cached(&file) {
        Some(path) => path,
        None => hub.download(&file)?,
    };
    hub.verify(&path)?;
    Ok(path)
}

/// One reference and where to look for it.
pub(super) struct Hub<'s> {
    pub(super) reference: Reference,
    pub(super) settings: &'s Settings,
}

impl Hub<'_> {
    pub(super) fn repo(&self) -> Repo {
        let kind = match self.reference.kind {
            Kind::Model => RepoType::Model,
            Kind::Dataset => RepoType::Dataset,
        };
        let revision = self.reference.revision().to_owned();
        Repo::with_revision(self.reference.repository.clone(), kind, revision)
    }

    pub(super) fn cache(&self) -> CacheRepo {
        Cache::new(self.settings.cache.clone()).repo(self.repo())
    }

    /// The library, or why there is no asking the network.
    fn api(&self) -> Result<Api> {
        if self.settings.offline {
            let folder = self.settings.cache.display();
            let problem = format!("is not in the cache {folder}, and HF_HUB_OFFLINE is set");
            return Err(self.error(problem, "unset HF_HUB_OFFLINE"));
        }
        ApiBuilder::from_cache(Cache::new(self.settings.cache.clone()))
            .with_endpoint(self.settings.endpoint.clone())
            .with_token(self.settings.token.clone())
            .with_user_agent(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| self.refused(error))
    }

    /// The files of the repository; offline those of them that are in the cache.
    fn files(&self) -> Result<Vec<String>> {
        let cached = self.cached_files();
        if self.settings.offline && !cached.is_empty() {
            return Ok(cached);
        }
        let info = self.api()?.repo(self.repo()).info().map_err(|error| self.refused(error))?;
        Ok(info.siblings.into_iter().map(|file| file.rfilename).collect())
    }

    /// The only safetensors file of the repository, or else its only checkpoint.
    fn only_checkpoint(&self) -> Result<String> {
        let files = self.files()?;
        let ending = |ends: &[&str]| -> Vec<&String> {
            files.iter().filter(|file| ends.iter().any(|end| file.ends_with(end))).collect()
        };
        let mut found = ending(&[".safetensors"]);
        if found.is_empty() {
            found = ending(&CHECKPOINTS);
        }
        let problem = match found.as_slice() {
            [file] if is_plain_path(file) => return Ok((*file).clone()),
            [] => {
                let all: Vec<&String> = files.iter().collect();
                format!("has no file with weights, only these: {}", listed(&all))
            }
            several => format!("has several files with weights: {}", listed(several)),
        };
        let remedy = format!("name a file: {}/FILE", self.reference);
        Err(Error::setting(self.reference.to_string(), problem, remedy))
    }

    fn download(&self, file: &str) -> Result<PathBuf> {
        let api = self.api()?;
        let remote = api.repo(self.repo());
        let refused = |error| self.refused(error);
        let metadata = api.metadata(&remote.url(file)).map_err(refused)?;
        self.prepare(&metadata)?;
        let path = remote.download_with_progress(file, Bar::new()).map_err(refused)?;
        let (found, expected) = (length(&path)?, metadata.size() as u64);
        if found != expected {
            return Err(self.damaged(&path, "length", &format!("{expected} bytes"), found));
        }
        Ok(path)
    }

    /// Looks at what the library would believe: names that become paths in the cache, and the rest of a
    /// download that was broken off, which is continued only where it is shorter than the file.
    fn prepare(&self, metadata: &Metadata) -> Result<()> {
        let etag = metadata.etag();
        for name in [etag.strip_prefix("W/").unwrap_or(etag), metadata.commit_hash()] {
            if name.contains('/') || !is_plain_path(name) {
                return Err(self.error(format!("the Hub calls it `{name}`"), "check HF_ENDPOINT"));
            }
        }
        let part = self.cache().blob_path(etag).with_extension("part");
        if part.is_file() && length(&part)? >= metadata.size() as u64 {
            fs::remove_file(&part).map_err(Error::io("remove", &part))?;
        }
        Ok(())
    }
}

/// The first of them.
fn listed(files: &[&String]) -> String {
    let names: Vec<&str> = files.iter().take(NAMES).map(|file| file.as_str()).collect();
    match files.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// A download on the terminal; it leaves no trace. Nothing is shown where stderr is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(ProgressBar::no_length())
    }
}

impl Progress for Bar {
    fn init(&mut self, size: usize, filename: &str) {
        let style = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}",
        );
        if let Ok(style) = style {
            self.0.set_style(style);
        }
        self.0.set_length(size as u64);
        self.0.set_message(filename.to_owned());
    }

    fn update(&mut self, size: usize) {
        self.0.inc(size as u64);
    }

    fn finish(&mut self) {
        self.0.finish_and_clear();
    }
}
