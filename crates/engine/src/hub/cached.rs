//! The cache: `refs/REVISION` names a commit, `snapshots/COMMIT/FILE` links to a file of `blobs/`, which is
//! called by its hash if the Hub keeps it outside of git, as it does with weights and images. So a file can
//! be checked whenever it is taken from there.

use std::fs;
use std::path::{Path, PathBuf};

use super::fetch::Hub;
use crate::digest::sha256_file;
use crate::error::{Error, Result};
use crate::regular;

impl Hub<'_> {
    /// The folder of the revision. A commit is its own name, a branch or tag is looked up.
    fn snapshot(&self) -> Option<PathBuf> {
        let (cache, revision) = (self.cache(), self.reference.revision());
        let own = cache.pointer_path(revision);
        if own.is_dir() {
            return Some(own);
        }
        let refs = self.settings.cache.join(self.repo().folder_name()).join("refs");
        let commit = regular::text(refs.join(revision)).ok()?;
        Some(cache.pointer_path(commit.trim()))
    }

    /// The file, if it is there.
    pub(super) fn cached(&self, file: &str) -> Option<PathBuf> {
        self.snapshot().map(|folder| folder.join(file)).filter(|path| path.is_file())
    }

    /// All files of the revision that are there, by their paths in the repository.
    pub(super) fn cached_files(&self) -> Vec<String> {
        let Some(root) = self.snapshot() else { return Vec::new() };
        let (mut folders, mut files) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str) {
                    files.push(name.replace(std::path::MAIN_SEPARATOR, "/"));
                }
            }
        }
        files.sort();
        files
    }

    /// Refuses a file that is not what its own name in the cache or the reference says.
    pub(super) fn verify(&self, path: &Path) -> Result<()> {
        let (stored, pinned) = (stored_hash(path), &self.reference.sha256);
        if stored.is_none() && pinned.is_none() {
            return Ok(());
        }
        let found = sha256_file(path)?;
        if let Some(stored) = stored.filter(|stored| *stored != found) {
            return Err(self.damaged(path, "sha256", &stored, found));
        }
        match pinned.as_ref().filter(|pinned| **pinned != found) {
            None => Ok(()),
            Some(pinned) => Err(Error::file(
                path,
                "sha256",
                format!("{pinned} expected of {}, {found} found", self.reference),
                "it is another file than the one that was meant: name the commit that has that one, \
                 hf:OWNER/NAME@COMMIT/FILE, or correct the hash",
            )),
        }
    }

    /// Takes a file out of the cache that is not whole.
    pub(super) fn damaged(
        &self,
        path: &Path,
        field: &str,
        expected: &str,
        found: impl std::fmt::Display,
    ) -> Error {
        let removed = fs::canonicalize(path).and_then(fs::remove_file);
        // The link to it; where links are not to be had, the file itself was here and is gone already.
        let _ = fs::remove_file(path);
        let by_hand = self.reference.by_hand(&self.settings.endpoint);
        let first = match removed {
            Ok(()) => "it was damaged and is removed: run the command again",
            Err(_) => "it is damaged: remove it and run the command again",
        };
        let problem = format!("{expected} expected, {found} found");
        Error::file(path, field, problem, format!("{first}, or {by_hand}"))
    }
}

/// The hash that a file in the cache is called by.
fn stored_hash(path: &Path) -> Option<String> {
    let blob = fs::canonicalize(path).ok()?;
    let name = blob.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_lowercase())
}

/// Bytes of a file.
pub(super) fn length(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).map_err(Error::io("read", path))?.len())
}
