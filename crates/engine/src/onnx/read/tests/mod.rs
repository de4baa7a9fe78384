//! Small files written here field by field, good ones and damaged ones; in `oracle`, files of others.

mod constants;
mod files;
mod graphs;
mod oracle;

use std::path::Path;

use super::read;
use crate::error::Result;
use crate::onnx::graph::Graph;

/// A message as bytes. Fields may be written one after another, so messages are added by putting one behind another.
type Bytes = Vec<u8>;

fn varint(mut number: u64) -> Bytes {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn int(field: u64, number: i64) -> Bytes {
    [varint(field << 3), varint(number as u64)].concat()
}

fn bytes(field: u64, content: impl AsRef<[u8]>) -> Bytes {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn node(operator: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Bytes {
    let inputs = inputs.iter().flat_map(|input| bytes(1, input));
    let outputs = outputs.iter().flat_map(|output| bytes(2, output));
    inputs.chain(outputs).chain(bytes(3, name)).chain(bytes(4, operator)).collect()
}

/// An attribute of a node, whose value is the field `value` of type `kind`.
fn attribute(name: &str, kind: i64, value: Bytes) -> Bytes {
    bytes(5, [bytes(1, name), int(20, kind), value].concat())
}

/// A tensor but for its numbers.
fn tensor(name: &str, dims: &[i64], data_type: i64) -> Bytes {
    let dims = dims.iter().flat_map(|dim| int(1, *dim));
    dims.chain(int(2, data_type)).chain(bytes(8, name)).collect()
}

fn floats(name: &str, dims: &[i64], numbers: &[f32]) -> Bytes {
    let raw: Bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    [tensor(name, dims, 1), bytes(9, raw)].concat()
}

/// A value of an element type, with a first side of any size.
fn value(name: &str, element: i64, sides: &[i64]) -> Bytes {
    let free = bytes(1, bytes(2, "N"));
    let sides = sides.iter().flat_map(|side| bytes(1, int(1, *side)));
    let shape: Bytes = free.into_iter().chain(sides).collect();
    let kind = [int(1, element), bytes(2, shape)].concat();
    [bytes(1, name), bytes(2, bytes(1, kind))].concat()
}

fn opset(domain: &str, version: i64) -> Bytes {
    [bytes(1, domain), int(2, version)].concat()
}

/// The parts of a file. The default is two layers: `y = relu(x w)`.
#[derive(Clone)]
struct Net {
    ir: i64,
    opsets: Vec<Bytes>,
    nodes: Vec<Bytes>,
    initializers: Vec<Bytes>,
    inputs: Vec<Bytes>,
    outputs: Vec<&'static str>,
    functions: Vec<Bytes>,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            ir: 8,
            opsets: vec![opset("", 18)],
            nodes: vec![
                node("MatMul", "fc", &["x", "w"], &["h"]),
                node("Relu", "relu", &["h"], &["y"]),
            ],
            initializers: vec![floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])],
            inputs: vec![value("x", 1, &[2])],
            outputs: vec!["y"],
            functions: Vec::new(),
        }
    }
}

impl Net {
    fn graph(&self) -> Bytes {
        let all = |field: u64, parts: &[Bytes]| -> Bytes {
            parts.iter().flat_map(|part| bytes(field, part)).collect()
        };
        let outputs = self.outputs.iter().flat_map(|output| bytes(12, value(output, 1, &[2])));
        let parts = [all(1, &self.nodes), all(5, &self.initializers), all(11, &self.inputs)];
        parts.concat().into_iter().chain(outputs).collect()
    }

    fn file(&self) -> Bytes {
        let sets = self.opsets.iter().flat_map(|set| bytes(8, set));
        let functions = self.functions.iter().flat_map(|function| bytes(25, function));
        let graph = [int(1, self.ir), bytes(7, self.graph())].concat();
        graph.into_iter().chain(sets).chain(functions).collect()
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut net = Self::default();
        change(&mut net);
        net
    }

    fn read(&self) -> Result<Graph> {
        read_here(&self.file())
    }
}

fn read_here(bytes: &[u8]) -> Result<Graph> {
    read(Path::new("net.onnx"), bytes)
}

/// The message of a refusal, which must contain `words`.
fn refused(result: Result<Graph>, words: &[&str]) {
    let message = result.expect_err(words[0]).to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}
