//! Labels in a file beside the images: how a specification names it, and where the usual naming puts
//! it if the specification does not.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Splits `IMAGES[,LABELS]`. A comma inside the name of a file that exists does not separate.
pub(super) fn split(spec: &str) -> (PathBuf, Option<PathBuf>) {
    match spec.split_once(',') {
        Some((images, labels)) if !Path::new(spec).exists() => (images.into(), Some(labels.into())),
        _ => (spec.into(), None),
    }
}

/// The first of `names` that exists in the folder of `images`.
///
/// # Errors
/// If `images` or all of `names` do not exist; `usage` shows how to name the file.
pub(super) fn beside(images: &Path, names: &[String], usage: &str) -> Result<PathBuf> {
    // Without images it makes no sense to ask for their labels.
    std::fs::metadata(images).map_err(Error::io("read", images))?;
    let own = images.file_name().unwrap_or_default();
    let names: Vec<_> = names.iter().filter(|name| name.as_str() != own).collect();
    let found = names.iter().map(|name| images.with_file_name(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let looked_for = match names.as_slice() {
            [] => "its name does not tell that of the label file".to_owned(),
            names => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("no {} beside it", names.join(" or "))
            }
        };
        Error::file(images, "labels", looked_for, format!("name the label file: {usage}"))
    })
}

/// The file name of `images` as text, empty if it is not UTF-8.
pub(super) fn name(images: &Path) -> &str {
    images.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
