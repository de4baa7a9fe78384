//! TOML files of a run: those that say what it is, and those that lie beside a job's table and outlive
//! the process that wrote them.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FORMAT_VERSION;
use crate::error::{Error, Result};

/// A record that says which version of its format it is.
pub(super) trait Versioned: DeserializeOwned {
    /// What it is called in errors.
    const WHAT: &'static str;
    /// What to do about a file that is not one.
    const REMEDY: &'static str = "the file was changed by hand: delete it and run the job again";

    /// [`FORMAT_VERSION`] at the time of writing.
    fn format_version(&self) -> u32;
}

/// Reads the file `path`.
pub(super) fn read<T: Versioned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let record: T =
        toml::from_str(&text).map_err(|e| Error::file(path, T::WHAT, e.message(), T::REMEDY))?;
    let version = record.format_version();
    if version > FORMAT_VERSION {
        return Err(Error::file(
            path,
            "format_version",
            format!("{version} is newer than {FORMAT_VERSION}"),
            "read it with the epsball version that wrote it",
        ));
    }
    Ok(record)
}

/// As [`read`]; `None` if there is no such file.
pub(super) fn read_if_there<T: Versioned>(path: &Path) -> Result<Option<T>> {
    match path.try_exists().map_err(Error::io("read", path))? {
        true => read(path).map(Some),
        false => Ok(None),
    }
}

/// Puts `record` into the file `path` in one step.
pub(super) fn write<T: Versioned + Serialize>(path: &Path, record: &T) -> Result<()> {
    let text = toml::to_string(record)
        .map_err(|e| Error::file(path, T::WHAT, e.to_string(), "report this as a bug"))?;
    crate::persist::replace(path, text.as_bytes())
}
