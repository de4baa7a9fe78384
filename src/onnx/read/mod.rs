//! From the bytes of an ONNX file to a [`Graph`]: the wire format, constants wherever they are stored,
//! functions written out where they are called, and everything checked that can be without knowing what an operator means.

use std::path::Path;

use super::graph::Graph;
use crate::error::{Error, Result};

/// Reads an ONNX file, gzipped or not. `path` is where it is: for messages, and external data is looked for in
/// its folder only.
///
/// # Errors
/// If the file is damaged or describes no graph of one float input, with the field at fault.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Graph> {
    let _ = bytes;
    Err(Error::file(path, "format", "ONNX files are not read yet", "use a safetensors file"))
}
