//! Functions that a model brings along, written out where they are called. A few short functions that call each
//! other may stand for more nodes than fit into memory, so what is written out is counted.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::build::{Builder, Maker, Scope, Value};
use super::model::{Function, Model, NodeProto};
use super::wire::DAMAGED;
use crate::error::{Error, Result};
use crate::onnx::graph::{Attribute, Node};

/// Most bytes of the file, counted as often as they are written out, of all calls together.
const BUDGET: usize = 16 << 20;

type Key<'a> = (&'a str, &'a str, &'a str);

/// The functions of a model.
pub(super) struct Functions<'a> {
    all: HashMap<Key<'a>, &'a Function<'a>>,
    /// Those around the current node.
    open: Vec<Key<'a>>,
    spent: usize,
}

impl<'a> Functions<'a> {
    /// Those of `model`, whose operators of the default domain are of version `opset`.
    ///
    /// # Errors
    /// If two have the same name, or one is written for another version.
    pub(super) fn of(path: &Path, model: &'a Model<'a>, opset: u64) -> Result<Self> {
        let mut all = HashMap::new();
        for function in &model.functions {
            let wrong = |problem: String, remedy: &str| {
                Error::file(path, format!("function {}", display(function)), problem, remedy)
            };
            let other = function.opsets.iter().find(|set| {
                set.domain.is_empty() && u64::try_from(set.version).ok() != Some(opset)
            });
            if let Some(other) =
                other.filter(|_| function.nodes.iter().any(|n| n.domain.is_empty()))
            {
                let problem =
                    format!("it is written in opset {}, the model in {opset}", other.version);
                return Err(wrong(problem, "export the network without functions"));
            }
            let key = (function.domain, function.name, function.overload);
            if all.insert(key, function).is_some() {
                return Err(wrong("there are two functions of this name".into(), DAMAGED));
            }
        }
        Ok(Self { all, open: Vec::new(), spent: 0 })
    }

    /// The function that a node calls.
    pub(super) fn find(&self, node: &NodeProto<'a>) -> Option<&'a Function<'a>> {
        self.all.get(&(node.domain, node.operator, node.overload)).copied()
    }
}

/// `com.example.Norm`
fn display(function: &Function<'_>) -> String {
    match function.domain {
        "" => function.name.into(),
        domain => format!("{domain}.{}", function.name),
    }
}

impl<'a> Builder<'a> {
    /// Adds what `function` consists of in place of `call`.
    ///
    /// # Errors
    /// If the function calls itself, or does not fit the call.
    pub(super) fn call(
        &mut self,
        function: &'a Function<'a>,
        mut call: Node,
        nodes: &mut Vec<Node>,
    ) -> Result<()> {
        let what = format!("node {}, function {}", call.name, display(function));
        let key = (function.domain, function.name, function.overload);
        if self.functions.open.contains(&key) {
            return Err(
                self.wrong(what, format!("the function {} calls itself", display(function)))
            );
        }
        for (kind, given, known) in [
            ("inputs", call.inputs.len(), function.inputs.len()),
            ("outputs", call.outputs.len(), function.outputs.len()),
        ] {
            if given > known {
                return Err(self.wrong(what, format!("{given} {kind} where {known} are allowed")));
            }
        }
        self.descend()?;
        self.functions.open.push(key);

        let prefix = format!("{}/", call.name);
        let none = Scope { parent: None, names: HashMap::new(), call: None, prefix: &prefix };
        let given = std::mem::take(&mut call.attributes);
        let mut attributes = self.attributes(&function.defaults, &call.name, &none)?;
        attributes.extend(given);
        let mut scope = Scope { call: Some(&attributes), ..none };

        for (place, input) in function.inputs.iter().enumerate() {
            let given = call.inputs.get(place).cloned().unwrap_or_default();
            self.define(&mut scope, input, Maker::Input, Some(given))?;
        }
        let mut outputs: BTreeMap<&str, String> = BTreeMap::new();
        for (place, output) in function.outputs.iter().enumerate() {
            let given = call.outputs.get(place).cloned().unwrap_or_default();
            if outputs.insert(output, given).is_some() {
                return Err(self.wrong(what, format!("it has two outputs `{output}`")));
            }
        }
        for node in &function.nodes {
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                let unique = outputs.get(output).filter(|name| !name.is_empty()).cloned();
                self.define(&mut scope, output, Maker::Node(&node.name), unique)?;
            }
        }
        for (output, given) in &outputs {
            match scope.names.get(output) {
                None => {
                    let problem = format!("its output `{output}` is produced by no node");
                    return Err(self.wrong(what, problem));
                }
                // Handed through: the caller's name for it needs an origin.
                Some(Value { name, maker: Maker::Input }) if !given.is_empty() => {
                    nodes.push(Node {
                        name: format!("{prefix}{output}"),
                        operator: "Identity".into(),
                        inputs: vec![name.clone()],
                        outputs: vec![given.clone()],
                        attributes: BTreeMap::new(),
                    })
                }
                Some(_) => {}
            }
        }
        for node in &function.nodes {
            let names = prefix.len().saturating_mul(node.outputs.len() + 1);
            self.charge(node.size.saturating_add(names), &call.name)?;
            self.node(node, &scope, nodes)?;
        }
        self.functions.open.pop();
        self.depth -= 1;
        Ok(())
    }

    /// Counts an attribute of the call that a node of the function refers to.
    pub(super) fn charge_attribute(&mut self, attribute: &Attribute, node: &str) -> Result<()> {
        let size = match attribute {
            Attribute::Ints(numbers) => numbers.len().saturating_mul(8),
            Attribute::Floats(numbers) => numbers.len().saturating_mul(4),
            Attribute::Text(text) => text.len(),
            Attribute::Texts(texts) => texts.iter().map(|text| text.len() + 24).sum(),
            // Names of its values would occur twice.
            Attribute::Graph(_) => {
                let problem = "a branch is handed to a function, which is not read";
                return Err(self.wrong(format!("node {node}"), problem));
            }
            Attribute::Int(_)
            | Attribute::Float(_)
            | Attribute::Constant(_)
            | Attribute::Other(_) => 8,
        };
        self.charge(size, node)
    }

    /// Counts bytes of a node that is written out.
    ///
    /// # Errors
    /// If all calls together take too many.
    pub(super) fn charge(&mut self, bytes: usize, node: &str) -> Result<()> {
        self.functions.spent = self.functions.spent.saturating_add(bytes);
        if self.functions.spent > BUDGET {
            let problem =
                format!("functions written out would take more than {} MiB", BUDGET >> 20);
            return Err(self.wrong(format!("node {node}"), problem));
        }
        Ok(())
    }
}
