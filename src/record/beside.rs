//! TOML files that lie beside a job's table and outlive the process that wrote them.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FORMAT_VERSION;
use crate::error::{Error, Result};

/// Reads the file `path`, in which `what` is; `None` if there is none.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    format_version: impl Fn(&T) -> u32,
) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let record: T = toml::from_str(&text).map_err(|e| {
        let remedy = "the file was changed by hand: delete it and run the job again";
        Error::file(path, what, e.message(), remedy)
    })?;
    let version = format_version(&record);
    if version > FORMAT_VERSION {
        return Err(Error::file(
            path,
            "format_version",
            format!("{version} is newer than {FORMAT_VERSION}"),
            "read it with the epsball version that wrote it",
        ));
    }
    Ok(Some(record))
}

/// Puts `record`, which is `what`, into the file `path` in one step.
pub(super) fn write<T: Serialize>(path: &Path, what: &str, record: &T) -> Result<()> {
    let text = toml::to_string(record)
        .map_err(|e| Error::file(path, what, e.to_string(), "report this as a bug"))?;
    crate::persist::replace(path, text.as_bytes())
}
