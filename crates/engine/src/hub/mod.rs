//! Files of the Hugging Face Hub by name: wherever a model or data is a path, it may be a reference such as
//! `hf:OWNER/NAME/FILE`, which becomes the path of a file in the cache before anything reads it. The cache is
//! the one that other programs use too, with its layout and its environment variables. References are
//! understood by every build, fetched by those with the feature `hub`.

#[cfg(feature = "hub")]
mod cached;
#[cfg(feature = "hub")]
mod fetch;
mod reference;
#[cfg(feature = "hub")]
mod refusal;
#[cfg(feature = "hub")]
mod settings;

use std::path::{Path, PathBuf};

pub use reference::{Kind, Reference, is_reference};

use crate::error::Result;

/// `path` itself, or the file in the cache if it is a reference to a model repository.
///
/// # Errors
/// If it begins like a reference and is none, and as [`fetch`].
pub fn local(path: &Path) -> Result<PathBuf> {
    let reference = path.to_str().map(|text| Reference::parse(text, Kind::Model)).transpose()?;
    match reference.flatten() {
        Some(reference) => fetch(&reference),
        None => Ok(path.to_path_buf()),
    }
}

/// The file of this name in the folder of `path`, which may not be there, or in its repository and revision.
/// `None` if `path` begins like a reference and is none.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn beside(path: &Path, file: &str) -> Result<Option<PathBuf>> {
    match path.to_str().map(|text| Reference::parse(text, Kind::Model)) {
        Some(Ok(Some(reference))) => fetch(&reference.beside(file)).map(Some),
        Some(Err(_)) => Ok(None),
        _ => Ok(Some(path.with_file_name(file))),
    }
}

/// Whose repository `path` refers to, if it does.
pub(crate) fn owner(path: &Path) -> Option<String> {
    let reference = path.to_str().and_then(|text| Reference::parse(text, Kind::Model).ok());
    Some(reference.flatten()?.owner().to_owned())
}

/// What a model at `path` is called for want of a better name: the file stem, or the name of the repository,
/// whose file is often just `model`.
pub fn stem(path: &Path) -> String {
    let reference = path.to_str().and_then(|text| Reference::parse(text, Kind::Model).ok());
    match reference.flatten() {
        Some(reference) => reference.name().to_owned(),
        None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

/// The file in the cache that `reference` names, downloaded if it is not there yet. A file in the cache is
/// taken as it is, also when its branch has moved on: so a run can be resumed, and offline too.
///
/// # Errors
/// If it is not in the cache and cannot be downloaded, or is not what a hash says that it is.
#[cfg(feature = "hub")]
pub fn fetch(reference: &Reference) -> Result<PathBuf> {
    fetch::fetch(reference, &settings::Settings::from_environment()?)
}

/// Refuses.
///
/// # Errors
/// Always: this build downloads nothing, and the error says how to do it by hand.
#[cfg(not(feature = "hub"))]
pub fn fetch(reference: &Reference) -> Result<PathBuf> {
    Err(crate::error::Error::setting(
        reference.to_string(),
        "this build of epsball does not fetch files of the Hugging Face Hub",
        format!("{}, or build it with `--features hub`", reference.by_hand(reference::ENDPOINT)),
    ))
}
