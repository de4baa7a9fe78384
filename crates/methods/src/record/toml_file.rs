//! TOML files of a run: those that say what it is, and those that lie beside a job's table and outlive
//! the process that wrote them.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FORMAT_VERSION, checksum};
use crate::error::{Error, Result};
use crate::hidden::is_hidden;
use crate::regular;

/// A record that says which version of its format it is.
pub trait Versioned: DeserializeOwned {
    /// What it is called in errors.
    const WHAT: &'static str;
    /// What to do about a file that is not one.
    const REMEDY: &'static str = "the file was changed by hand: delete it and run the job again";
}

/// Reads the file `path`, which belongs to the job `key`, or to the whole run if that is empty.
pub(super) fn read<T: Versioned>(path: &Path, key: &str) -> Result<T> {
    let bytes = regular::record(path).map_err(Error::io("read", path))?;
    let bad = |problem: &str| Error::file(path, T::WHAT, problem, T::REMEDY);
    let text = String::from_utf8(bytes).map_err(|_| bad("the file is not text"))?;
    if let Some(version) = version(&text).filter(|version| *version != FORMAT_VERSION) {
        return Err(Error::file(
            path,
            "format_version",
            format!("it is {version}, and this version of epsball reads {FORMAT_VERSION}"),
            "read it with the epsball version that wrote it, or run the suite in another folder",
        ));
    }
    let Some(text) = checksum::opened(key, &text) else {
        return Err(bad("its checksum does not fit: the file was changed, or belongs elsewhere"));
    };
    let table: toml::Table = toml::from_str(text).map_err(|e| bad(e.message()))?;
    let value = toml::Value::Table(table);
    if let Some(hidden) = hidden(&value) {
        return Err(bad(&format!(
            "`{}` holds a character that is not seen",
            hidden.escape_debug()
        )));
    }
    value.try_into().map_err(|e: toml::de::Error| bad(e.message()))
}

/// A text in it, or a name, with a character that is not seen: what is read here is shown on terminals.
fn hidden(value: &toml::Value) -> Option<String> {
    let shown = |text: &str| !text.chars().any(is_hidden);
    match value {
        toml::Value::String(text) => (!shown(text)).then(|| text.clone()),
        toml::Value::Array(all) => all.iter().find_map(hidden),
        toml::Value::Table(table) => table.iter().find_map(|(name, value)| match shown(name) {
            true => hidden(value),
            false => Some(name.clone()),
        }),
        _ => None,
    }
}

/// The version that a file states in its first line, if it does.
fn version(text: &str) -> Option<u32> {
    text.lines().next()?.strip_prefix("format_version = ")?.parse().ok()
}

/// Reads the file; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read, or is of a version that this program does not know.
pub fn read_if_there<T: Versioned>(path: &Path, key: &str) -> Result<Option<T>> {
    match path.try_exists().map_err(Error::io("read", path))? {
        true => read(path, key).map(Some),
        false => Ok(None),
    }
}

/// Puts `record` into the file `path` of the job `key` in one step.
pub fn write<T: Versioned + Serialize>(path: &Path, key: &str, record: &T) -> Result<()> {
    let bug =
        |e: toml::ser::Error| Error::file(path, T::WHAT, e.to_string(), "report this as a bug");
    // What could not be read again is not written.
    if let Some(hidden) = hidden(&toml::Value::try_from(record).map_err(bug)?) {
        return Err(Error::file(
            path,
            T::WHAT,
            format!("`{}` holds a character that is not seen", hidden.escape_debug()),
            "rename the file or the entry that is called so",
        ));
    }
    let text = toml::to_string(record).map_err(bug)?;
    crate::persist::replace(path, checksum::sealed(key, &text).as_bytes())
}
