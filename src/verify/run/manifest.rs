//! `SHA256SUMS`: the hashes of a run's files, in the form that `sha256sum -c` reads.

use std::path::{Path, PathBuf};

use crate::digest::sha256_file;
use crate::error::{Error, Result};
use crate::persist;

/// Name of the file.
const NAME: &str = "SHA256SUMS";

/// Writes the manifest of `folder` into it and returns its path. Hidden files are left out.
///
/// # Errors
/// If a file cannot be read or the folder cannot be written to.
pub fn write_manifest(folder: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|file| *file != NAME) {
        text += &format!("{}  {file}\n", sha256_file(&folder.join(file))?);
    }
    let path = folder.join(NAME);
    persist::replace(&path, text.as_bytes())?;
    Ok(path)
}

/// Adds the files below `below`, with their paths from `folder` on.
fn collect(folder: &Path, below: &Path, files: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(below).map_err(Error::io("read", below))? {
        let entry = entry.map_err(Error::io("read", below))?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(folder, &path, files)?;
        } else if let Ok(part) = path.strip_prefix(folder) {
            let parts: Vec<_> = part.iter().map(|part| part.to_string_lossy()).collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}
