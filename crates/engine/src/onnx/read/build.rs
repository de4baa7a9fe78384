//! From the messages of a file to a [`Graph`]: every name is resolved, every value gets a name that occurs once in
//! the whole graph, branches included, so that whoever writes a branch or a function out need not rename.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::constant::{Element, Tensor};
use super::external::Folder;
use super::functions::Functions;
use super::model::{AttributeProto, DEPTH, GraphProto, NodeProto, Setting, ValueInfo};
use super::order;
use super::wire::DAMAGED;
use crate::error::{Error, Result};
use crate::onnx::graph::{Attribute, Graph, Input, Kind, Node, Side};

/// What is being built.
pub(super) struct Builder<'a> {
    pub(super) folder: Folder<'a>,
    pub(super) opset: u64,
    pub(super) functions: Functions<'a>,
    /// Names of values that are in use, with the number of the last one that was made of it.
    taken: HashMap<String, usize>,
    /// Levels of graphs and functions around the current node.
    pub(super) depth: usize,
}

/// The names that are known in a graph or a function.
pub(super) struct Scope<'s, 'a> {
    /// The graph around this one.
    pub(super) parent: Option<&'s Scope<'s, 'a>>,
    pub(super) names: HashMap<&'a str, Value<'a>>,
    /// Attributes of the call, in a function.
    pub(super) call: Option<&'s BTreeMap<String, Attribute>>,
    /// Stands before the names of nodes, and of values made in a function.
    pub(super) prefix: &'s str,
}

/// A value as the graph knows it.
pub(super) struct Value<'a> {
    pub(super) name: String,
    pub(super) maker: Maker<'a>,
}

/// Where a value comes from.
#[derive(Clone, Copy)]
pub(super) enum Maker<'a> {
    Input,
    Initializer,
    Node(&'a str),
}

impl<'s, 'a> Scope<'s, 'a> {
    /// The name in the graph of what is called `name` here.
    fn find(&self, name: &str) -> Option<&str> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some(value) = here.names.get(name) {
                return Some(&value.name);
            }
            scope = here.parent;
        }
        None
    }
}

impl<'a> Builder<'a> {
    /// Nothing so far.
    pub(super) fn new(folder: Folder<'a>, opset: u64, functions: Functions<'a>) -> Self {
        Self { folder, opset, functions, taken: HashMap::new(), depth: 0 }
    }

    /// An error about the file.
    pub(super) fn wrong(&self, field: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::file(self.folder.path, field, problem, DAMAGED)
    }

    /// One level deeper.
    ///
    /// # Errors
    /// If that is too deep.
    pub(super) fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            let problem = format!("subgraphs and functions are nested more than {DEPTH} deep");
            return Err(self.wrong("graph", problem));
        }
        Ok(())
    }

    /// `name`, or if that is in use, `name` with a number behind.
    pub(super) fn fresh(&mut self, name: String) -> String {
        let Some(last) = self.taken.get(&name) else {
            self.taken.insert(name.clone(), 1);
            return name;
        };
        let mut number = *last;
        loop {
            number += 1;
            let made = format!("{name}#{number}");
            if !self.taken.contains_key(&made) {
                self.taken.insert(made.clone(), 1);
                self.taken.insert(name, number);
                return made;
            }
        }
    }

    /// Makes `name` known in `scope`, as `unique` or a name of its own.
    ///
    /// # Errors
    /// If it is known there.
    pub(super) fn define(
        &mut self,
        scope: &mut Scope<'_, 'a>,
        name: &'a str,
        maker: Maker<'a>,
        unique: Option<String>,
    ) -> Result<()> {
        if let Some(known) = scope.names.get(name) {
            let problem = match (known.maker, maker) {
                (Maker::Initializer, Maker::Node(node)) => {
                    format!("`{name}` is an initializer and the output of node {node}")
                }
                (Maker::Input, Maker::Node(node)) => {
                    format!("`{name}` is an input and the output of node {node}")
                }
                (Maker::Node(first), Maker::Node(second)) => format!(
                    "`{name}` is produced twice, by node {first} and node {second}: a value has one origin"
                ),
                (_, Maker::Initializer) => format!("there are two initializers `{name}`"),
                (_, Maker::Input) => format!("there are two inputs `{name}`"),
            };
            return Err(self.wrong("graph", problem));
        }
        let unique = match unique {
            Some(unique) => unique,
            None => self.fresh(format!("{}{name}", scope.prefix)),
        };
        scope.names.insert(name, Value { name: unique, maker });
        Ok(())
    }

    /// A graph, in the `scope` of the graph around it.
    ///
    /// # Errors
    /// If a name is missing or made twice, nodes are in a cycle, or a constant is damaged.
    pub(super) fn graph(
        &mut self,
        proto: &'a GraphProto<'a>,
        around: Option<&Scope<'_, 'a>>,
    ) -> Result<Graph> {
        if proto.has_sparse {
            return Err(self.wrong("sparse_initializer", "sparse initializers are not read"));
        }
        let mut scope = Scope {
            parent: around,
            names: HashMap::new(),
            call: around.and_then(|around| around.call),
            prefix: around.map_or("", |around| around.prefix),
        };
        let mut stored: HashMap<String, &'a Tensor<'a>> = HashMap::new();
        for tensor in &proto.initializers {
            self.define(&mut scope, tensor.name, Maker::Initializer, None)?;
            if let Some(value) = scope.names.get(tensor.name) {
                stored.insert(value.name.clone(), tensor);
            }
        }
        let mut inputs = Vec::new();
        for input in &proto.inputs {
            // Files before IR version 4 list the initializers among the inputs.
            if matches!(scope.names.get(input.name), Some(value) if matches!(value.maker, Maker::Initializer))
            {
                continue;
            }
            self.define(&mut scope, input.name, Maker::Input, None)?;
            let name = scope.find(input.name).unwrap_or_default().to_owned();
            inputs.push(self.input(input, name, around.is_some())?);
        }
        for node in &proto.nodes {
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                self.define(&mut scope, output, Maker::Node(&node.name), None)?;
            }
        }
        let mut nodes = Vec::with_capacity(proto.nodes.len());
        for node in &proto.nodes {
            self.node(node, &scope, &mut nodes)?;
        }
        let outputs = proto.outputs.iter().map(|name| {
            let found = scope.find(name).map(str::to_owned);
            found.ok_or_else(|| {
                self.wrong("graph", format!("the graph output `{name}` is produced by no node"))
            })
        });
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let nodes = order::prune(order::sort(self.folder.path, nodes)?, &outputs);
        let (promised, constants) = (proto.promised.clone(), BTreeMap::new());
        let mut graph = Graph { opset: self.opset, inputs, outputs, promised, nodes, constants };
        let mut needed = BTreeMap::new();
        order::each_read_of(&graph, &mut |name| {
            if let Some(tensor) = stored.get(name) {
                needed.insert(name.to_owned(), *tensor);
            }
        });
        for (name, tensor) in needed {
            let constant = tensor.decode(&format!("initializer {}", tensor.name), &self.folder)?;
            graph.constants.insert(name, constant);
        }
        Ok(graph)
    }

    /// An input. One of a branch may lack a type: a body of a loop, which is refused by name later.
    fn input(&self, info: &ValueInfo<'a>, name: String, is_inner: bool) -> Result<Input> {
        let refused = |held: String| {
            let remedy = "export the network with an input of f32";
            let problem = format!("it holds {held}");
            Error::file(self.folder.path, format!("input {}", info.name), problem, remedy)
        };
        let kind = match Element::of(info.element) {
            Ok(element) if !info.is_no_tensor => element.kind,
            _ if is_inner => Kind::Float,
            Ok(_) => return Err(refused("no tensor".into())),
            Err(_) if info.is_no_tensor => return Err(refused("no tensor".into())),
            Err(held) => return Err(refused(held)),
        };
        let side = |(number, name): &(i64, &str)| match usize::try_from(*number) {
            Ok(number) if number > 0 => Side::Known(number),
            _ => Side::Free((*name).to_owned()),
        };
        let sides = info.sides.as_ref().map(|sides| sides.iter().map(side).collect());
        Ok(Input { name, kind, sides })
    }

    /// Adds a node to `nodes`, or what the function that it calls consists of.
    pub(super) fn node(
        &mut self,
        proto: &'a NodeProto<'a>,
        scope: &Scope<'_, 'a>,
        nodes: &mut Vec<Node>,
    ) -> Result<()> {
        let name = format!("{}{}", scope.prefix, proto.name);
        let mut inputs = Vec::with_capacity(proto.inputs.len());
        for input in &proto.inputs {
            let found = if input.is_empty() { Some("") } else { scope.find(input) };
            let missing = || {
                self.wrong(
                    format!("node {name}"),
                    format!("it takes `{input}`, which nothing produces"),
                )
            };
            inputs.push(found.ok_or_else(missing)?.to_owned());
        }
        if scope.call.is_some() {
            // A short name in a function may stand for a long one of the caller.
            self.charge(inputs.iter().map(String::len).sum(), &name)?;
        }
        let outputs = proto.outputs.iter();
        let mut outputs: Vec<_> =
            outputs.map(|output| scope.find(output).unwrap_or_default().to_owned()).collect();
        // Optional values at the end may be named by nothing, or not at all.
        for names in [&mut inputs, &mut outputs] {
            while names.last().is_some_and(String::is_empty) {
                names.pop();
            }
        }
        let attributes = self.attributes(&proto.attributes, &name, scope)?;
        let node = Node { name, operator: proto.operator(), inputs, outputs, attributes };
        match self.functions.find(proto) {
            Some(function) => self.call(function, node, nodes),
            None => {
                nodes.push(node);
                Ok(())
            }
        }
    }

    /// The settings of the node `node`.
    pub(super) fn attributes(
        &mut self,
        protos: &'a [AttributeProto<'a>],
        node: &str,
        scope: &Scope<'_, 'a>,
    ) -> Result<BTreeMap<String, Attribute>> {
        let mut attributes = BTreeMap::new();
        for proto in protos {
            if let Some(attribute) = self.attribute(proto, node, scope)? {
                attributes.insert(proto.name.to_owned(), attribute);
            }
        }
        Ok(attributes)
    }

    fn attribute(
        &mut self,
        proto: &'a AttributeProto<'a>,
        node: &str,
        scope: &Scope<'_, 'a>,
    ) -> Result<Option<Attribute>> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let no_text = || Attribute::Other("bytes that are no text".into());
        let attribute = match &proto.value {
            Setting::Int(number) => Attribute::Int(*number),
            Setting::Float(number) => Attribute::Float(*number),
            Setting::Ints(numbers) => Attribute::Ints(numbers.clone()),
            Setting::Floats(numbers) => Attribute::Floats(numbers.clone()),
            Setting::Text(bytes) => text(bytes).map_or_else(|_| no_text(), Attribute::Text),
            Setting::Texts(texts) => {
                let texts = texts.iter().map(|bytes| text(bytes)).collect::<Result<_, _>>();
                texts.map_or_else(|_| no_text(), Attribute::Texts)
            }
            Setting::Tensor(tensor) => match tensor.element() {
                Ok(_) => {
                    let what = format!("node {node}, attribute {}", proto.name);
                    Attribute::Constant(Arc::clone(&tensor.decode(&what, &self.folder)?))
                }
                Err(held) => Attribute::Other(format!("a tensor of {held}")),
            },
            Setting::Graph(graph) => {
                self.descend()?;
                let graph = self.graph(graph, Some(scope))?;
                self.depth -= 1;
                Attribute::Graph(Box::new(graph))
            }
            Setting::Reference(name) => {
                let Some(call) = scope.call else {
                    let problem = format!(
                        "attribute {} refers to `{name}` outside of a function",
                        proto.name
                    );
                    return Err(self.wrong(format!("node {node}"), problem));
                };
                // What an optional attribute refers to may be absent, and it is then too.
                let Some(attribute) = call.get(*name) else { return Ok(None) };
                self.charge_attribute(attribute, node)?;
                attribute.clone()
            }
            Setting::Other(held) => Attribute::Other((*held).to_owned()),
        };
        let is_nan = match &attribute {
            Attribute::Float(number) => number.is_nan(),
            Attribute::Floats(numbers) => numbers.iter().any(|number| number.is_nan()),
            _ => false,
        };
        if is_nan {
            let problem = format!("attribute {} is not finite (NaN)", proto.name);
            return Err(self.wrong(format!("node {node}"), problem));
        }
        Ok(Some(attribute))
    }
}
