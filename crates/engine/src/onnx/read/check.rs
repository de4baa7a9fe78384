//! What can be said about a file without knowing what an operator means: what kind of file it is, which versions it
//! is written in, whether its weights are numbers, and whether it maps one image to something.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::constant::Element;
use super::model::Model;
use super::order;
use super::wire::DAMAGED;
use crate::error::{Error, Result};
use crate::onnx::graph::{Attribute, Constant, Graph, Kind, Node};

/// Versions of the file format that are known.
const IR: std::ops::RangeInclusive<i64> = 3..=14;
/// Versions of the default operators that are known.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// A gzipped file unpacks to at most this many bytes if that is more than [`RATIO`] times its own.
const UNPACKED: u64 = 64 << 20;
/// How much smaller than the network a larger gzipped file may be. Weights of zeros pack a thousandfold.
const RATIO: u64 = 100;
/// The most bytes that a gzipped file may have, packed or unpacked.
pub(super) const LARGEST: u64 = 768 << 20;

/// First bytes of files that are no networks: what the file is and what to do.
const OTHERS: [(&[u8], &str, &str); 4] = [
    (
        b"version https://git-lfs",
        "this is a Git LFS pointer, which stands for the file and does not hold it",
        "fetch the file itself: git lfs pull",
    ),
    (
        b"PK\x03\x04",
        "this is a zip archive, not an ONNX file",
        "unpack it first, or give a checkpoint",
    ),
    (b"{", "this is a JSON text, perhaps the error message of a failed download", DAMAGED),
    (
        b"\x89HDF",
        "this is an HDF5 file, as Keras writes, not an ONNX file",
        "convert it with tf2onnx",
    ),
];

/// The bytes of the network, unpacked if they are gzipped.
///
/// # Errors
/// If it is the kind of file that ends up under the name of a network without being one.
pub(super) fn unpack<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let wrong = |problem: &str, remedy: &str| Error::file(path, "file", problem, remedy);
    let mut bytes = Cow::Borrowed(bytes);
    if bytes.starts_with(b"\x1f\x8b") {
        let limit = (bytes.len() as u64).saturating_mul(RATIO).clamp(UNPACKED, LARGEST);
        let damaged = |error: std::io::Error| {
            Error::file(path, "gzip", format!("it cannot be unpacked: {error}"), DAMAGED)
        };
        // Counted first: memory is taken for what is allowed only.
        let mut counted = MultiGzDecoder::new(&*bytes).take(limit + 1);
        let length = std::io::copy(&mut counted, &mut std::io::sink()).map_err(damaged)?;
        if length > limit {
            let problem = format!("it unpacks to more than {limit} bytes");
            return Err(Error::file(
                path,
                "gzip",
                problem,
                "unpack it with gunzip if you trust it",
            ));
        }
        let mut unpacked = Vec::with_capacity(length as usize);
        MultiGzDecoder::new(&*bytes).read_to_end(&mut unpacked).map_err(damaged)?;
        bytes = Cow::Owned(unpacked);
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii_start();
    if bytes.is_empty() {
        return Err(wrong("the file is empty", DAMAGED));
    }
    if text.starts_with(b"<") {
        return Err(wrong(
            "this is not an ONNX file: it looks like an HTML page saved by a failed download",
            "open the address in a browser, download the file itself and try again",
        ));
    }
    match OTHERS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        Some((_, problem, remedy)) => Err(wrong(problem, remedy)),
        None => Ok(bytes),
    }
}

/// The version of the default operators.
///
/// # Errors
/// If there is no graph, it is empty, or a version is not known.
pub(super) fn versions(path: &Path, model: &Model<'_>) -> Result<u64> {
    let wrong =
        |field: &str, problem: String, remedy: &str| Error::file(path, field, problem, remedy);
    let Some(graph) = &model.graph else {
        return Err(wrong("graph", "there is no graph".into(), DAMAGED));
    };
    if graph.nodes.is_empty() && graph.inputs.is_empty() && graph.outputs.is_empty() {
        let problem = "the graph is empty: no inputs, no outputs, no nodes";
        return Err(wrong("graph", problem.into(), DAMAGED));
    }
    let (first, last) = (IR.start(), IR.end());
    match model.ir_version {
        Some(version) if IR.contains(&version) => {}
        Some(version) => {
            let problem = format!("ir_version {version} is unknown: {first} to {last} are read");
            return Err(wrong(
                "ir_version",
                problem,
                "export the network again with a current onnx",
            ));
        }
        None => return Err(wrong("ir_version", "there is no ir_version".into(), DAMAGED)),
    }
    let mut found = None;
    for set in model.opsets.iter().filter(|set| set.domain.is_empty()) {
        if found.is_some_and(|found| found != set.version) {
            let problem = "two versions of the default operators are named";
            return Err(wrong("opset_import", problem.into(), DAMAGED));
        }
        found = Some(set.version);
    }
    let Some(version) = found else {
        let problem = match model.opsets.len() {
            0 => "there is no opset_import, so what the operators mean is unknown",
            _ => "opset_import names no version of the default operators",
        };
        return Err(wrong("opset_import", problem.into(), "export the network again"));
    };
    let (first, last) = (OPSETS.start(), OPSETS.end());
    if version > *last {
        let problem =
            format!("opset {version} is newer than any known one: {first} to {last} are read");
        return Err(wrong("opset_import", problem, "export the network with opset_version=18"));
    }
    if version < *first {
        let problem = format!(
            "opset {version} is too old: before {first}, operators broadcast by attribute and took shapes as attributes"
        );
        let remedy = "convert the file with onnx.version_converter.convert_version(model, 13)";
        return Err(wrong("opset_import", problem, remedy));
    }
    u64::try_from(version).map_err(|_| wrong("opset_import", "it is negative".into(), DAMAGED))
}

/// Operators that multiply by constants, which then are weights.
const WEIGHTED: [&str; 5] = ["Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"];

/// Checks that weights are there and finite. Infinity elsewhere may be meant: a mask before a softmax.
///
/// # Errors
/// If one is not.
pub(super) fn weights(path: &Path, graph: &Graph) -> Result<()> {
    weights_within(path, &mut vec![graph], &mut HashSet::new())
}

/// `seen` are the constants that were looked at: one may be a weight of any number of nodes.
fn weights_within(
    path: &Path,
    graphs: &mut Vec<&Graph>,
    seen: &mut HashSet<*const Constant>,
) -> Result<()> {
    let Some(graph) = graphs.last().copied() else { return Ok(()) };
    let made: HashMap<&str, &Constant> = graph
        .nodes
        .iter()
        .filter(|node| node.operator == "Constant")
        .filter_map(|node| match (node.attributes.get("value"), node.outputs.first()) {
            (Some(Attribute::Constant(constant)), Some(output)) => {
                Some((output.as_str(), &**constant))
            }
            _ => None,
        })
        .collect();
    for node in &graph.nodes {
        if WEIGHTED.contains(&node.operator.as_str()) {
            for name in &node.inputs {
                let stored = graphs.iter().rev().find_map(|graph| graph.constants.get(name));
                let (kind, constant) = match (stored, made.get(name.as_str())) {
                    (Some(constant), _) => ("initializer", &**constant),
                    (None, Some(constant)) => ("constant", *constant),
                    (None, None) => continue,
                };
                if seen.insert(std::ptr::from_ref(constant)) {
                    weight(path, node, &format!("{kind} {name}"), constant)?;
                }
            }
        }
        for attribute in node.attributes.values() {
            if let Attribute::Graph(inner) = attribute {
                graphs.push(inner);
                weights_within(path, graphs, seen)?;
                graphs.pop();
            }
        }
    }
    Ok(())
}

fn weight(path: &Path, node: &Node, what: &str, constant: &Constant) -> Result<()> {
    let problem = if constant.is_empty() {
        "is empty, it has sides of 0"
    } else if constant.as_floats().is_some_and(|all| all.iter().any(|x| !x.is_finite())) {
        "has values that are not finite"
    } else {
        return Ok(());
    };
    let problem = format!("{what} {problem}, and it is a weight");
    Err(Error::file(path, format!("node {}", node.name), problem, DAMAGED))
}

/// Checks that the graph is a function of one image.
///
/// # Errors
/// If it has no or several inputs, one of integers, or outputs that do not depend on it.
pub(super) fn network(path: &Path, model: &Model<'_>, graph: &Graph) -> Result<()> {
    let wrong = |problem: String, remedy: &str| Err(Error::file(path, "graph", problem, remedy));
    let input = match &graph.inputs[..] {
        [input] => input,
        [] => return wrong("it has no input: nothing in it is an image".into(), DAMAGED),
        inputs => {
            let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
            let count = if let [_, _] = inputs { "two".into() } else { inputs.len().to_string() };
            let problem =
                format!("it has {count} inputs, {}: an image classifier has one", list(&names));
            return wrong(problem, "export the network with the image as its only input");
        }
    };
    if graph.outputs.is_empty() {
        return wrong("it has no output".into(), DAMAGED);
    }
    if input.kind != Kind::Float {
        let mut protos = model.graph.iter().flat_map(|graph| &graph.inputs);
        let proto = protos.find(|proto| proto.name == input.name);
        let element = proto.and_then(|proto| Element::of(proto.element).ok());
        let problem = format!(
            "the input {} is {}: a network that takes or makes whole numbers of its image has no gradient",
            input.name,
            element.map_or("not floating point", |element| element.name)
        );
        return wrong(problem, "export the network with an input of f32, without the conversion");
    }
    let mut is_read = false;
    order::each_read_of(graph, &mut |name| is_read |= name == input.name);
    if !is_read {
        let problem = format!("the output does not depend on the input {}", input.name);
        return wrong(problem, "export the network again, with its layers");
    }
    Ok(())
}

/// `a and b`, or the first of many.
fn list(names: &[&str]) -> String {
    match names {
        [first, second] => format!("{first} and {second}"),
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and more"),
        _ => names.join(", "),
    }
}
