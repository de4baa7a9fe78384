//! Every array of a file, by its name: for files that are no data sets, such as the adversarial images
//! that somebody else made.

use std::path::Path;

use super::array::Array;
use super::source::Source;
use super::{npy, npz, safetensors};
use crate::error::Result;

/// The arrays of the `.npz`, `.safetensors` or `.npy` file `path` with their names; the one of a `.npy`
/// file has none. An array that cannot be used, such as one of Python objects, comes as its error:
/// whether that matters is for the caller to say.
///
/// # Errors
/// If the file cannot be read or its directory is damaged.
pub fn arrays(path: &Path) -> Result<Vec<(String, Result<Array>)>> {
    let named = |names: Vec<String>, read: &dyn Fn(&str) -> Result<Array>| {
        names.into_iter().map(|name| (name.clone(), read(&name))).collect()
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npz") => Ok(named(npz::names(path)?, &|name| npz::member(path, &[name]))),
        Some("safetensors") => {
            Ok(named(safetensors::names(path)?, &|name| safetensors::tensor(path, name)))
        }
        _ => {
            let source = Source::open(path)?;
            let end = source.len();
            Ok(vec![(String::new(), npy::read_header(source, (0, end), "array"))])
        }
    }
}
