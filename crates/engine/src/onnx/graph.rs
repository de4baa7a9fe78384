//! An ONNX graph as the rest of this room sees it: nodes in the order of their evaluation, constants as
//! numbers, nothing of the wire. What the file left out, merged or hid in functions is settled by
//! [`super::read`]; what the operators mean is settled by `lower`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A graph: the whole network, or a branch of an `If`, which also reads values of the graph around it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Version of the operators of the default domain.
    pub opset: u64,
    /// What the caller feeds: inputs that are no constants.
    pub inputs: Vec<Input>,
    /// Names of the values that come out.
    pub outputs: Vec<String>,
    /// How many numbers of one image each output has, where the file states it.
    #[serde(default)]
    pub promised: Vec<Option<usize>>,
    /// The nodes; each reads constants, inputs and what the nodes before it have made.
    pub nodes: Vec<Node>,
    /// Weights and other constants by name.
    #[serde(skip)]
    pub constants: BTreeMap<String, Arc<Constant>>,
}

/// What the caller feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Name of the value.
    pub name: String,
    /// What its elements are.
    pub kind: Kind,
    /// Its sides, if the file states them.
    pub sides: Option<Vec<Side>>,
}

/// A side of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// A number.
    Known(usize),
    /// A name, `batch`, or nothing.
    Free(String),
}

/// What the elements of a tensor are, as far as networks care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Floating point of any width; computed in f32.
    Float,
    /// Integers of any width; computed in i64.
    Int,
    /// Truth values.
    Bool,
}

/// An operator with its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The name in the file, or one made of the operator and its first output: for messages.
    pub name: String,
    /// The operator: `Conv`; with its domain in front if that is not the default one: `com.example.Norm`.
    pub operator: String,
    /// Names of the values it reads; an empty name is an optional input that is not there.
    pub inputs: Vec<String>,
    /// Names of the values it makes; an empty name is an output that no node reads.
    pub outputs: Vec<String>,
    /// Its settings by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A setting of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A number.
    Float(#[serde(with = "any_number")] f32),
    /// A text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(#[serde(with = "any_numbers")] Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
    /// A tensor.
    Constant(Arc<Constant>),
    /// A branch.
    Graph(Box<Graph>),
    /// Of a type that no operator of this room reads: `sparse_tensor`.
    Other(String),
}

/// A tensor that does not depend on the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// Its sides; none for a scalar.
    pub sides: Vec<usize>,
    /// Its elements in row-major order, as many as the product of the sides.
    pub numbers: Numbers,
}

/// Elements of a [`Constant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Numbers {
    /// Of f16, bf16, f32 and f64.
    Floats(#[serde(with = "any_numbers")] Vec<f32>),
    /// Of all integers; a u64 above 2^63 - 1 is not read.
    Ints(Vec<i64>),
    /// Of bool.
    Bools(Vec<bool>),
}

impl Constant {
    /// Integers in one row, `[N]`.
    pub fn ints(numbers: Vec<i64>) -> Self {
        Self { sides: vec![numbers.len()], numbers: Numbers::Ints(numbers) }
    }

    /// One number, `[]`.
    pub fn scalar(number: f32) -> Self {
        Self { sides: Vec::new(), numbers: Numbers::Floats(vec![number]) }
    }

    /// Numbers of these sides.
    pub fn floats(sides: impl Into<Vec<usize>>, numbers: Vec<f32>) -> Self {
        Self { sides: sides.into(), numbers: Numbers::Floats(numbers) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has as many elements as its sides say.
    pub fn is_whole(&self) -> bool {
        let count = self.sides.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
        count == Some(self.len())
    }

    /// What its elements are.
    pub fn kind(&self) -> Kind {
        match &self.numbers {
            Numbers::Floats(_) => Kind::Float,
            Numbers::Ints(_) => Kind::Int,
            Numbers::Bools(_) => Kind::Bool,
        }
    }

    /// Its elements, if they are floating point.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.numbers {
            Numbers::Floats(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// Its elements, if they are integers.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Ints(numbers) => Some(numbers),
            _ => None,
        }
    }
}

impl Numbers {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(numbers) => numbers.len(),
            Self::Ints(numbers) => numbers.len(),
            Self::Bools(numbers) => numbers.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A number in a format without infinities: those are texts.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f32),
    Other(String),
}

impl From<f32> for Written {
    fn from(number: f32) -> Self {
        if number.is_finite() { Self::Finite(number) } else { Self::Other(number.to_string()) }
    }
}

impl Written {
    fn read<E: serde::de::Error>(self) -> Result<f32, E> {
        match self {
            Self::Finite(number) => Ok(number),
            Self::Other(text) => text.parse().map_err(E::custom),
        }
    }
}

/// How one number is written.
mod any_number {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Written;

    pub(super) fn serialize<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
        Written::from(*number).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        Written::deserialize(from)?.read()
    }
}

/// How several are.
mod any_numbers {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Written;

    pub(super) fn serialize<S: Serializer>(numbers: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|number| Written::from(*number)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        Vec::<Written>::deserialize(from)?.into_iter().map(Written::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_come_back() {
        let sides = vec![4];
        let numbers = vec![f32::NEG_INFINITY, f32::INFINITY, 0.1, -3.4e38];
        let attributes = [
            Attribute::Float(f32::NEG_INFINITY),
            Attribute::Floats(numbers.clone()),
            Attribute::Constant(Arc::new(Constant::floats(sides, numbers))),
        ];
        for attribute in attributes {
            let text = serde_json::to_string(&attribute).unwrap();
            assert_eq!(serde_json::from_str::<Attribute>(&text).unwrap(), attribute, "{text}");
        }
    }
}
