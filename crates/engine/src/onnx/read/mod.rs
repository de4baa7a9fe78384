//! From the bytes of an ONNX file to a [`Graph`]: the wire format, constants wherever they are stored,
//! functions written out where they are called, and everything checked that can be without knowing what an
//! operator means.

mod build;
mod check;
mod constant;
mod external;
mod functions;
mod model;
mod order;
mod probe;
#[cfg(test)]
mod tests;
mod wire;

use std::path::Path;

pub use probe::probe;

use super::graph::Graph;
use crate::error::{Error, Result};

/// Reads an ONNX file, gzipped or not. `path` is where it is: for messages, and external data is looked for in
/// its folder only. Nodes that no output needs are left out, and every value has a name that occurs once,
/// branches included.
///
/// # Errors
/// If the file is damaged or describes no graph of one float input, with the field at fault.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Graph> {
    read_any(path, bytes, true)
}

/// [`read`] for any number and type of inputs: a single operator.
///
/// # Errors
/// If the file is damaged.
#[cfg(test)]
pub(super) fn read_operator(path: &Path, bytes: &[u8]) -> Result<Graph> {
    read_any(path, bytes, false)
}

fn read_any(path: &Path, bytes: &[u8], is_network: bool) -> Result<Graph> {
    let bytes = check::unpack(path, bytes)?;
    let model = model::Model::read(wire::Message::new(path, "ModelProto", &bytes))?;
    let opset = check::versions(path, &model)?;
    let functions = functions::Functions::of(path, &model, opset)?;
    let mut builder = build::Builder::new(external::Folder::of(path), opset, functions);
    let Some(proto) = &model.graph else {
        return Err(Error::file(path, "graph", "there is no graph", wire::DAMAGED));
    };
    let graph = builder.graph(proto, None)?;
    check::weights(path, &graph)?;
    if is_network {
        check::network(path, &model, &graph)?;
    }
    Ok(graph)
}

/// The constant in a file of one `TensorProto`, as tests of operators come with.
///
/// # Errors
/// If it is damaged.
#[cfg(test)]
pub(super) fn read_tensor(path: &Path, bytes: &[u8]) -> Result<super::graph::Constant> {
    let mut tensor = constant::Tensor::default();
    tensor.merge(wire::Message::new(path, "TensorProto", bytes))?;
    let constant = tensor.decode("tensor", &external::Folder::of(path))?;
    Ok(std::sync::Arc::unwrap_or_clone(constant))
}
