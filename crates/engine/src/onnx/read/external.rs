//! Numbers of a tensor in a file beside the model. A model may come from anywhere, so the place that it names is
//! believed only inside the model's own folder, and its size is known before a byte is asked for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::wire::{DAMAGED, Message};
use crate::error::{Error, Result};
use crate::regular;

/// How often the bytes of a file may be read by tensors that share them. Without an end a small model could ask
/// for a large file any number of times.
const SHARED: u64 = 4;

/// The folder of a model.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    /// The model in it.
    pub(super) path: &'a Path,
    /// Bytes that were read of each file.
    read: RefCell<HashMap<PathBuf, u64>>,
}

impl<'a> Folder<'a> {
    /// The folder of the model `path`.
    pub(super) fn of(path: &'a Path) -> Self {
        Self { path, read: RefCell::default() }
    }
}

/// The entries of `external_data`.
#[derive(Debug, Default)]
pub(super) struct External<'a> {
    location: Option<&'a str>,
    offset: Option<&'a str>,
    length: Option<&'a str>,
}

impl<'a> External<'a> {
    /// Reads one entry.
    pub(super) fn merge(&mut self, message: Message<'a>) -> Result<()> {
        let (mut key, mut value) = ("", "");
        for field in message {
            let field = field?;
            match field.number {
                1 => key = field.text("key")?,
                2 => value = field.text("value")?,
                _ => {}
            }
        }
        match key {
            "location" => self.location = Some(value),
            "offset" => self.offset = Some(value),
            "length" => self.length = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// The `need` bytes that the tensor `what` takes.
    ///
    /// # Errors
    /// If the place is not inside the model's folder, not there, or not as long as it has to be.
    pub(super) fn read(&self, what: &str, folder: &Folder<'_>, need: usize) -> Result<Vec<u8>> {
        let wrong = |problem: String| Error::file(folder.path, what, problem, DAMAGED);
        let number = |name: &str, text: Option<&str>| match text {
            None => Ok(None),
            Some(text) if text.trim_start().starts_with('-') => {
                Err(wrong(format!("its external data has the negative {name} {text}")))
            }
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
                wrong(format!("its external data has the {name} `{text}`, which is no number"))
            }),
        };
        let location = self.location.filter(|location| !location.is_empty());
        let location =
            location.ok_or_else(|| wrong("it has external data without a location".into()))?;
        let offset = number("offset", self.offset)?.unwrap_or(0);
        let need = need as u64;
        if let Some(length) = number("length", self.length)?.filter(|length| *length != need) {
            return Err(wrong(format!(
                "its external data has {length} bytes, and its type and sides take {need}"
            )));
        }
        let path = inside(folder.path, location).map_err(|problem| {
            let remedy = "keep the data in the model's folder, and name it without a path";
            Error::file(folder.path, what, problem, remedy)
        })?;
        let Some(path) = path else {
            let problem = format!("the file {location} of its external data is missing");
            let remedy = format!("put {location} beside the model");
            return Err(Error::file(folder.path, what, problem, remedy));
        };
        let mut file = regular::open(&path).map_err(Error::io("read", &path))?;
        let size = file.metadata().map_err(Error::io("read", &path))?.len();
        if offset.checked_add(need).is_none_or(|end| end > size) {
            return Err(wrong(format!(
                "{location} ends before offset {offset} + {need} bytes: it has {size} bytes"
            )));
        }
        let mut read = folder.read.borrow_mut();
        let total = read.entry(path.clone()).or_default();
        *total = total.saturating_add(need);
        if *total > size.saturating_mul(SHARED) {
            return Err(wrong(format!("the same bytes of {location} are used too often")));
        }
        let length = usize::try_from(need).map_err(|_| wrong("it is too large".into()))?;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset)).map_err(Error::io("read", &path))?;
        file.read_exact(&mut bytes).map_err(Error::io("read", &path))?;
        Ok(bytes)
    }
}

/// The file `location` in the folder of `model`, or nothing where there is none. It has not been opened.
fn inside(model: &Path, location: &str) -> Result<Option<PathBuf>, String> {
    let leaves = || format!("its external data {location} leaves the folder of the model");
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(location).components().all(normal) {
        return Err(leaves());
    }
    let folder = match model.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Ok(folder) = folder.canonicalize() else { return Ok(None) };
    let Ok(path) = folder.join(location).canonicalize() else { return Ok(None) };
    if !path.starts_with(&folder) {
        return Err(leaves());
    }
    // A pipe or a device has no end.
    if !path.is_file() {
        return Err(format!("its external data {location} is no file"));
    }
    Ok(Some(path))
}
