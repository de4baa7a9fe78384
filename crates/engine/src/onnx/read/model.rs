//! The messages of an ONNX file as plain structures that borrow from its bytes. A field that occurs twice is
//! merged as protobuf does it; what no reader of networks needs (documentation, shapes of inner values) is
//! passed over.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::constant::Tensor;
use super::wire::{Field, Message};
use crate::error::{Error, Result};

/// Most levels of graphs in graphs.
pub(super) const DEPTH: usize = 64;

/// A `ModelProto`.
#[derive(Debug, Default)]
pub(super) struct Model<'a> {
    pub(super) ir_version: Option<i64>,
    pub(super) graph: Option<GraphProto<'a>>,
    pub(super) opsets: Vec<Opset<'a>>,
    pub(super) functions: Vec<Function<'a>>,
}

/// An `OperatorSetIdProto`.
#[derive(Debug, Default)]
pub(super) struct Opset<'a> {
    pub(super) domain: &'a str,
    pub(super) version: i64,
}

/// A `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct GraphProto<'a> {
    pub(super) nodes: Vec<NodeProto<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<ValueInfo<'a>>,
    pub(super) outputs: Vec<&'a str>,
    /// How many numbers of one image the file says that each output has.
    pub(super) promised: Vec<Option<usize>>,
    pub(super) has_sparse: bool,
}

/// A `NodeProto`.
#[derive(Debug, Default)]
pub(super) struct NodeProto<'a> {
    /// Its name, or one made of the operator and the first output.
    pub(super) name: Cow<'a, str>,
    pub(super) operator: &'a str,
    pub(super) domain: &'a str,
    pub(super) overload: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<AttributeProto<'a>>,
    /// Number of its bytes in the file without those of tensors.
    pub(super) size: usize,
}

/// An `AttributeProto`.
#[derive(Debug)]
pub(super) struct AttributeProto<'a> {
    pub(super) name: &'a str,
    pub(super) value: Setting<'a>,
}

/// The value of an attribute.
#[derive(Debug)]
pub(super) enum Setting<'a> {
    Int(i64),
    Float(f32),
    Text(&'a [u8]),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'a [u8]>),
    Tensor(Box<Tensor<'a>>),
    Graph(Box<GraphProto<'a>>),
    /// The value of this attribute of the function's call.
    Reference(&'a str),
    Other(&'static str),
}

/// A `ValueInfoProto`.
#[derive(Debug, Default)]
pub(super) struct ValueInfo<'a> {
    pub(super) name: &'a str,
    /// Whether it has a type that is no tensor: a sequence, a map.
    pub(super) is_no_tensor: bool,
    /// The number of the element type in the schema; 0 if it is not stated.
    pub(super) element: i64,
    /// A number or a name per side.
    pub(super) sides: Option<Vec<(i64, &'a str)>>,
}

impl ValueInfo<'_> {
    /// The product of the sides behind the first, if all are stated.
    fn numbers_of_an_image(&self) -> Option<usize> {
        let [_, sides @ ..] = self.sides.as_deref()? else { return None };
        let side = |(number, _): &(i64, &str)| usize::try_from(*number).ok().filter(|n| *n > 0);
        let product = |n: usize, stated| n.checked_mul(side(stated)?);
        (!sides.is_empty()).then(|| sides.iter().try_fold(1, product)).flatten()
    }
}

/// A `FunctionProto`.
#[derive(Debug, Default)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) domain: &'a str,
    pub(super) overload: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) nodes: Vec<NodeProto<'a>>,
    pub(super) defaults: Vec<AttributeProto<'a>>,
    pub(super) opsets: Vec<Opset<'a>>,
}

/// The default domain has two names.
fn domain<'a>(field: &Field<'a>) -> Result<&'a str> {
    Ok(match field.text("domain")? {
        "ai.onnx" => "",
        domain => domain,
    })
}

impl<'a> Model<'a> {
    /// Reads a file.
    pub(super) fn read(message: Message<'a>) -> Result<Self> {
        let mut model = Self::default();
        for field in message {
            let field = field?;
            match field.number {
                1 => model.ir_version = Some(field.int("ir_version")?),
                7 => {
                    let graph = field.message("graph", "GraphProto")?;
                    model.graph.get_or_insert_default().merge(graph, 0)?;
                }
                8 => model.opsets.push(Opset::read(&field)?),
                25 => model.functions.push(Function::read(&field)?),
                _ => {}
            }
        }
        Ok(model)
    }
}

impl<'a> Opset<'a> {
    fn read(field: &Field<'a>) -> Result<Self> {
        let mut opset = Self::default();
        for field in field.message("opset_import", "OperatorSetIdProto")? {
            let field = field?;
            match field.number {
                1 => opset.domain = domain(&field)?,
                2 => opset.version = field.int("version")?,
                _ => {}
            }
        }
        Ok(opset)
    }
}

impl<'a> GraphProto<'a> {
    fn merge(&mut self, message: Message<'a>, depth: usize) -> Result<()> {
        if depth > DEPTH {
            let problem = format!("subgraphs are nested too deeply: more than {DEPTH} levels");
            let remedy = "export the network without control flow";
            return Err(Error::file(message.path, "graph", problem, remedy));
        }
        for field in message {
            let field = field?;
            match field.number {
                1 => self.nodes.push(NodeProto::read(&field, depth)?),
                5 => {
                    let mut tensor = Tensor::default();
                    tensor.merge(field.message("initializer", "TensorProto")?)?;
                    if tensor.name.is_empty() {
                        return Err(field.error("initializer", "has no name"));
                    }
                    self.initializers.push(tensor);
                }
                11 => self.inputs.push(ValueInfo::read(&field, "input")?),
                12 => {
                    let output = ValueInfo::read(&field, "output")?;
                    self.outputs.push(output.name);
                    self.promised.push(output.numbers_of_an_image());
                }
                15 => self.has_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> NodeProto<'a> {
    fn read(field: &Field<'a>, depth: usize) -> Result<Self> {
        let message = field.message("node", "NodeProto")?;
        let mut node = Self { size: message.len(), ..Self::default() };
        let mut names = BTreeSet::new();
        for inner in message {
            let inner = inner?;
            match inner.number {
                1 => node.inputs.push(inner.text("input")?),
                2 => node.outputs.push(inner.text("output")?),
                3 => node.name = inner.text("name")?.into(),
                4 => node.operator = inner.text("op_type")?,
                5 => {
                    let attribute = AttributeProto::read(&inner, depth)?;
                    if !names.insert(attribute.name) {
                        let problem = format!("names `{}` for the second time", attribute.name);
                        return Err(inner.error("attribute", &problem));
                    }
                    if let Setting::Tensor(tensor) = &attribute.value {
                        node.size = node.size.saturating_sub(tensor.size);
                    }
                    node.attributes.push(attribute);
                }
                7 => node.domain = domain(&inner)?,
                8 => node.overload = inner.text("overload")?,
                _ => {}
            }
        }
        if node.operator.is_empty() {
            return Err(field.error("node", "has no op_type"));
        }
        if node.name.is_empty() {
            let output = node.outputs.iter().find(|name| !name.is_empty());
            node.name = format!("{} of {}", node.operator, output.unwrap_or(&"nothing")).into();
        }
        Ok(node)
    }

    /// The operator, with its domain in front if that is not the default one.
    pub(super) fn operator(&self) -> String {
        match self.domain {
            "" => self.operator.into(),
            domain => format!("{domain}.{}", self.operator),
        }
    }
}

impl<'a> AttributeProto<'a> {
    fn read(field: &Field<'a>, depth: usize) -> Result<Self> {
        let (mut name, mut reference, mut declared) = ("", "", 0);
        let mut value: Option<Setting<'a>> = None;
        for inner in field.message("attribute", "AttributeProto")? {
            let inner = inner?;
            match inner.number {
                1 => name = inner.text("name")?,
                20 => declared = inner.int("type")?,
                21 => reference = inner.text("ref_attr_name")?,
                2..=11 | 14 | 15 | 22 | 23 => {
                    value = Some(Setting::merge(value, &inner, depth)?);
                }
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(field.error("attribute", "has no name"));
        }
        if !reference.is_empty() {
            return Ok(Self { name, value: Setting::Reference(reference) });
        }
        // Writers of protobuf 3 leave out what is zero or empty.
        let value = match (value, declared) {
            (Some(value), _) => value,
            (None, 1) => Setting::Float(0.0),
            (None, 2) => Setting::Int(0),
            (None, 3) => Setting::Text(b""),
            (None, 6) => Setting::Floats(Vec::new()),
            (None, 7) => Setting::Ints(Vec::new()),
            (None, 8) => Setting::Texts(Vec::new()),
            (None, _) => return Err(field.error("attribute", &format!("`{name}` has no value"))),
        };
        let (number, held) = value.kind();
        if declared != 0 && number != 0 && declared != number {
            let problem = format!("`{name}` is declared as type {declared} and holds {held}");
            return Err(field.error("attribute", &problem));
        }
        Ok(Self { name, value })
    }
}

impl<'a> Setting<'a> {
    /// The value `field`, after `before` of the same attribute.
    fn merge(before: Option<Self>, field: &Field<'a>, depth: usize) -> Result<Self> {
        Ok(match (field.number, before) {
            (2, None | Some(Self::Float(_))) => Self::Float(field.float("f")?),
            (3, None | Some(Self::Int(_))) => Self::Int(field.int("i")?),
            (4, None | Some(Self::Text(_))) => Self::Text(field.bytes("s")?),
            (5, None) => {
                let mut tensor = Box::<Tensor<'a>>::default();
                tensor.merge(field.message("t", "TensorProto")?)?;
                Self::Tensor(tensor)
            }
            (5, Some(Self::Tensor(mut tensor))) => {
                tensor.merge(field.message("t", "TensorProto")?)?;
                Self::Tensor(tensor)
            }
            (6, None) => {
                let mut graph = Box::<GraphProto<'a>>::default();
                graph.merge(field.message("g", "GraphProto")?, depth + 1)?;
                Self::Graph(graph)
            }
            (7, None) => {
                let mut numbers = Vec::new();
                field.floats("floats", &mut numbers)?;
                Self::Floats(numbers)
            }
            (7, Some(Self::Floats(mut numbers))) => {
                field.floats("floats", &mut numbers)?;
                Self::Floats(numbers)
            }
            (8, None) => {
                let mut numbers = Vec::new();
                field.ints("ints", &mut numbers)?;
                Self::Ints(numbers)
            }
            (8, Some(Self::Ints(mut numbers))) => {
                field.ints("ints", &mut numbers)?;
                Self::Ints(numbers)
            }
            (9, None) => Self::Texts(vec![field.bytes("strings")?]),
            (9, Some(Self::Texts(mut texts))) => {
                texts.push(field.bytes("strings")?);
                Self::Texts(texts)
            }
            (10, None | Some(Self::Other("tensors"))) => Self::Other("tensors"),
            (11, None | Some(Self::Other("graphs"))) => Self::Other("graphs"),
            (14, None) => Self::Other("a type"),
            (15, None | Some(Self::Other("types"))) => Self::Other("types"),
            (22, None) => Self::Other("a sparse tensor"),
            (23, None | Some(Self::Other("sparse tensors"))) => Self::Other("sparse tensors"),
            (_, before) => {
                let held = before.map_or("nothing", |before| before.kind().1);
                let problem = format!("comes after {held}: an attribute has one value");
                return Err(field.error("value of an attribute", &problem));
            }
        })
    }

    /// The number of its type in the schema, 0 where it does not matter, and what it holds.
    fn kind(&self) -> (i64, &'static str) {
        match self {
            Self::Float(_) => (1, "a number"),
            Self::Int(_) => (2, "an integer"),
            Self::Text(_) => (3, "a text"),
            Self::Tensor(_) => (4, "a tensor"),
            Self::Graph(_) => (5, "a graph"),
            Self::Floats(_) => (6, "numbers"),
            Self::Ints(_) => (7, "integers"),
            Self::Texts(_) => (8, "texts"),
            Self::Reference(_) => (0, "a reference"),
            Self::Other(held) => (0, held),
        }
    }
}

impl<'a> ValueInfo<'a> {
    fn read(field: &Field<'a>, name: &str) -> Result<Self> {
        let mut value = Self::default();
        for inner in field.message(name, "ValueInfoProto")? {
            let inner = inner?;
            match inner.number {
                1 => value.name = inner.text("name")?,
                2 => value.merge_type(inner.message("type", "TypeProto")?)?,
                _ => {}
            }
        }
        if value.name.is_empty() {
            return Err(field.error(name, "has no name"));
        }
        Ok(value)
    }

    fn merge_type(&mut self, message: Message<'a>) -> Result<()> {
        for field in message {
            let field = field?;
            match field.number {
                1 => {
                    for field in field.message("tensor_type", "TypeProto.Tensor")? {
                        let field = field?;
                        match field.number {
                            1 => self.element = field.int("elem_type")?,
                            2 => self.merge_shape(field.message("shape", "TensorShapeProto")?)?,
                            _ => {}
                        }
                    }
                }
                4 | 5 | 7 | 8 | 9 => self.is_no_tensor = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn merge_shape(&mut self, message: Message<'a>) -> Result<()> {
        let sides = self.sides.get_or_insert_default();
        for field in message {
            let field = field?;
            if field.number == 1 {
                let mut side = (0, "");
                for field in field.message("dim", "TensorShapeProto.Dimension")? {
                    let field = field?;
                    match field.number {
                        1 => side.0 = field.int("dim_value")?,
                        2 => side.1 = field.text("dim_param")?,
                        _ => {}
                    }
                }
                sides.push(side);
            }
        }
        Ok(())
    }
}

impl<'a> Function<'a> {
    fn read(field: &Field<'a>) -> Result<Self> {
        let mut function = Self::default();
        for inner in field.message("functions", "FunctionProto")? {
            let inner = inner?;
            match inner.number {
                1 => function.name = inner.text("name")?,
                4 => function.inputs.push(inner.text("input")?),
                5 => function.outputs.push(inner.text("output")?),
                7 => function.nodes.push(NodeProto::read(&inner, 0)?),
                9 => function.opsets.push(Opset::read(&inner)?),
                10 => function.domain = domain(&inner)?,
                11 => function.defaults.push(AttributeProto::read(&inner, 0)?),
                13 => function.overload = inner.text("overload")?,
                _ => {}
            }
        }
        if function.name.is_empty() {
            return Err(field.error("functions", "has no name"));
        }
        Ok(function)
    }
}
