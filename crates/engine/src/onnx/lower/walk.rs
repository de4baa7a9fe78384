//! From node to node along an ONNX graph: the image is laid out as the network wants it, every name gets what it
//! stands for, and what the output stands for becomes the logits.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::call::Call;
use super::held::{Batch, Held, Known, Pixels, in_order};
use super::operators::{OPERATORS, refusal};
use super::softmax;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::nn::{IMAGE, Normalise, Scale, Shape};
use crate::onnx::Network;
use crate::onnx::fold;
use crate::onnx::form::{Layout, OnnxForm, Reading};
use crate::onnx::graph::{Attribute, Constant, Graph, Kind, Node, Numbers};

/// Names and what they stand for.
type Names = HashMap<String, Held>;

/// Writes the graph down as a program.
///
/// # Errors
/// If the graph has an operator that is not known, mixes images, or contradicts itself.
pub(in crate::onnx) fn lower(graph: &Graph, form: &OnnxForm) -> Result<Network> {
    supported(graph)?;
    let [input] = &graph.inputs[..] else {
        return Err(Error::setting(
            "inputs",
            format!("the graph has {}", graph.inputs.len()),
            "an image classifier has one",
        ));
    };
    let reading = form.read(input)?;
    let output = chosen(graph, form)?;
    let form = form.resolved(&reading, output);
    let [c, h, w] = reading.image;
    // A batch of any size is followed through the graph, and so is one of several images.
    let (many, followed) = match reading.batch {
        Some(None) => (2, true),
        Some(Some(1)) | None => (1, false),
        Some(Some(images)) => (images, true),
    };
    let stored = graph.constants.values().map(|constant| constant.len()).sum();
    let mut writer = Writer::new(Shape::of_image([h, w], c), many, stored);
    writer.fixed = matches!(reading.batch, Some(Some(_)));
    writer.notes.extend(reading.doubts.iter().cloned());
    let image = image(&mut writer, &reading, &form, followed)?;
    let mut names = Names::from([(input.name.clone(), Held::Pixels(image))]);
    walk(graph, graph.opset, &mut writer, &mut names)?;
    let value = logits(graph, (output, form.keep_softmax), &mut writer, &names)?;
    let notes = writer.notes.iter().cloned().collect();
    Ok(Network { program: writer.finish(value)?, image: reading.image, form, notes })
}

/// The image as the network wants it.
fn image(
    writer: &mut Writer,
    reading: &Reading,
    form: &OnnxForm,
    followed: bool,
) -> Result<Pixels> {
    let mut value = IMAGE;
    if let Some(range) = form.range.filter(|range| *range != 1.0) {
        value = writer.push(Scale(range), &[value])?;
    }
    let [c, h, w] = reading.image;
    if !form.mean.is_empty() {
        let tensor = |numbers: &[f64]| {
            let numbers: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
            Tensor::from_vec(numbers, c, &Device::Cpu)
        };
        let normalise = Normalise::new(tensor(&form.mean)?, tensor(&form.std)?);
        value = writer.push(normalise, &[value])?;
    }
    let batch = followed.then_some(Batch { axis: 0, within: 1 });
    let pixels = |sides: Vec<usize>, order: Vec<usize>| Pixels {
        value,
        sides,
        order,
        batch,
        kind: Kind::Float,
    };
    Ok(match reading.layout {
        Layout::Nhwc => pixels(reading.sides.clone(), in_order(reading.sides.len())),
        Layout::Nchw if reading.sides.len() == 3 => pixels(vec![c, h, w], vec![1, 2, 0]),
        Layout::Nchw => pixels(vec![1, c, h, w], vec![0, 2, 3, 1]),
        Layout::Flat => {
            let planes = pixels(vec![1, c, h, w], vec![0, 2, 3, 1]);
            writer.reshape(&planes, reading.sides.clone(), batch)?
        }
    })
}

/// The name of the output that holds the logits.
fn chosen<'a>(graph: &'a Graph, form: &OnnxForm) -> Result<&'a str> {
    if let Some(name) = &form.output {
        return match graph.outputs.iter().find(|output| *output == name) {
            Some(output) => Ok(output),
            None => Err(Error::unknown("output", name, graph.outputs.clone())),
        };
    }
    match &graph.outputs[..] {
        [output] => Ok(output),
        outputs => Err(Error::setting(
            "outputs",
            format!("the network has {}: {}", outputs.len(), outputs.join(", ")),
            "say which one holds the logits: --output-name NAME, in a suite onnx = { output = \"NAME\" }",
        )),
    }
}

/// Does what the nodes of `graph` say.
fn walk(graph: &Graph, opset: u64, writer: &mut Writer, names: &mut Names) -> Result<()> {
    for (name, constant) in &graph.constants {
        names.insert(name.clone(), Held::Known(Arc::clone(constant).into()));
    }
    for node in &graph.nodes {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(match names.get(name) {
                Some(held) => Some(held.clone()),
                None if name.is_empty() => None,
                None => {
                    return Err(node.error(
                        format!("reads {name}, which nothing produces"),
                        "export the network again",
                    ));
                }
            });
        }
        let call = Call { node, inputs, opset };
        let outputs = match node.operator.as_str() {
            "If" => branch(&call, opset, writer, names)?,
            _ => evaluate(&call, writer)?,
        };
        for (name, output) in node.outputs.iter().zip(outputs) {
            if !name.is_empty() {
                names.insert(name.clone(), output);
            }
        }
    }
    Ok(())
}

/// The outputs of a node.
fn evaluate(call: &Call<'_>, writer: &mut Writer) -> Result<Vec<Held>> {
    let node = call.node;
    let mut known = Vec::with_capacity(call.inputs.len());
    for input in &call.inputs {
        match input {
            Some(Held::Known(one)) => known.push(Some(one)),
            Some(Held::Pixels(_)) => break,
            None => known.push(None),
        }
    }
    let name = node.operator.as_str();
    if known.len() == call.inputs.len()
        && !fold::knows(name)
        && let Some(Some(first)) = known.first()
    {
        // What only has a meaning for pixels gets its first input as if it were some.
        if !first.alike() {
            return Err(call.mixes());
        }
        let first = Held::Pixels(writer.constant(&first.one)?);
        let mut inputs = call.inputs.clone();
        inputs[0] = Some(first);
        return evaluate(&Call { inputs, ..*call }, writer);
    }
    if known.len() < call.inputs.len() {
        let Some(operator) = OPERATORS.iter().find(|operator| operator.name == name) else {
            return Err(node.error("depends on the image", refusal(name)));
        };
        operator.fits(call)?;
        return (operator.write)(writer, call);
    }
    let one: Vec<Option<&Constant>> = known.iter().map(|k| k.map(|k| k.one.as_ref())).collect();
    let outputs = fold::evaluate(node, &one, call.opset)?;
    writer.computed(call, &outputs)?;
    if known.iter().flatten().all(|known| known.many.is_none()) {
        return Ok(outputs.into_iter().map(Held::from).collect());
    }
    let many: Vec<Option<&Constant>> = known.iter().map(|k| k.map(|k| k.many().as_ref())).collect();
    // Sizes that are written into the graph may fit one image only.
    let many = fold::evaluate(node, &many, call.opset).unwrap_or_else(|_| outputs.clone());
    writer.computed(call, &many)?;
    let pairs = outputs.into_iter().zip(many).map(|(one, many)| {
        let many = (one != many).then(|| Arc::new(many));
        Held::Known(Known { one: Arc::new(one), many })
    });
    Ok(pairs.collect())
}

/// The branch of an `If` that its condition, which is known, chooses.
fn branch(
    call: &Call<'_>,
    opset: u64,
    writer: &mut Writer,
    names: &mut Names,
) -> Result<Vec<Held>> {
    let node = call.node;
    let Some(Held::Known(condition)) = call.input(0) else {
        return Err(node.error(
            "control flow depends on the image",
            "an attack needs a network that computes the same for every image: export it without",
        ));
    };
    if condition.many.is_some() {
        return Err(call.mixes());
    }
    let Numbers::Bools(condition) = &condition.one.numbers else {
        return Err(node.error("the condition is no truth value", "export the network again"));
    };
    let name = match condition[..] {
        [true] => "then_branch",
        [false] => "else_branch",
        _ => return Err(node.error("the condition is not one value", "export it again")),
    };
    let Some(Attribute::Graph(graph)) = node.attributes.get(name) else {
        return Err(node.error(format!("has no {name}"), "export the network again"));
    };
    // A name occurs once in the whole graph, so those of the branch are no others' names.
    walk(graph, opset, writer, names)?;
    let output = |name: &String| {
        names.get(name).cloned().ok_or_else(|| {
            node.error(format!("the branch does not produce {name}"), "export it again")
        })
    };
    graph.outputs.iter().map(output).collect()
}

/// The value of the logits.
fn logits(
    graph: &Graph,
    (output, keeps_softmax): (&str, bool),
    writer: &mut Writer,
    names: &Names,
) -> Result<usize> {
    let mut name = output;
    let mut makers: HashMap<&str, &Node> = HashMap::new();
    for node in &graph.nodes {
        for output in &node.outputs {
            makers.entry(output).or_insert(node);
        }
    }
    // What comes before a final softmax: the same classes win, and gradients do not vanish.
    while let Some(last) = makers.remove(name) {
        let Some(input) = last.inputs.first() else { break };
        let Some(Held::Pixels(pixels)) = names.get(input) else { break };
        match last.operator.as_str() {
            "Identity" => {}
            "Softmax" | "LogSoftmax" if !keeps_softmax && covers(last, pixels, graph.opset)? => {
                writer.notes.insert(format!(
                    "output {output}: ends in a {}, which is left out: attacks read the logits (--keep-softmax \
                     leaves it)",
                    last.operator
                ));
            }
            _ => break,
        }
        name = input;
    }
    let field = format!("output {output}");
    let pixels = match names.get(name) {
        Some(Held::Pixels(pixels)) if pixels.kind == Kind::Float => pixels.clone(),
        Some(Held::Pixels(_)) => {
            return Err(Error::setting(
                field,
                "holds truth values, not logits",
                "export the network up to its last floating point layer",
            ));
        }
        Some(Held::Known(_)) => {
            return Err(Error::setting(
                field,
                "does not depend on the image",
                "export the network again",
            ));
        }
        None => {
            let problem = "is produced by no node";
            return Err(Error::setting(field, problem, "export the network again"));
        }
    };
    if pixels.batch.is_some_and(|batch| batch.axis != 0 || pixels.sides[0] != 1) {
        return Err(Error::setting(
            field,
            "does not have the batch on its first axis: the images of a batch are mixed",
            "a classifier gives logits of sides [N, classes]",
        ));
    }
    let classes = pixels.len();
    if pixels.sides.iter().filter(|side| **side > 1).count() > 1 {
        return Err(Error::setting(
            field,
            format!("has sides {:?}: it is no list of logits", pixels.sides),
            "a classifier gives logits of sides [N, classes]",
        ));
    }
    let place = graph.outputs.iter().position(|name| name == output);
    let promised = place.and_then(|place| graph.promised.get(place).copied().flatten());
    if let Some(promised) = promised.filter(|promised| *promised != classes) {
        writer.notes.insert(format!(
            "{field}: the file declares {promised} numbers for an image, and its nodes give {classes}"
        ));
    }
    let pixels = writer.row_major(&pixels)?;
    writer.view(pixels.value, Shape::Flat(classes))
}

/// Whether a softmax is over all numbers of an image: its result is then that of a classifier.
fn covers(node: &Node, pixels: &Pixels, opset: u64) -> Result<bool> {
    let axes = softmax::axes(node, pixels.sides.len(), opset)?;
    Ok(axes.iter().map(|axis| pixels.sides[*axis]).product::<usize>() == pixels.len())
}

/// Refuses a graph with operators that are not known, all at once.
fn supported(graph: &Graph) -> Result<()> {
    let mut unknown: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut graphs = vec![graph];
    let mut first: Option<&Node> = None;
    while let Some(graph) = graphs.pop() {
        for node in &graph.nodes {
            // Those of a model file were written by anybody.
            for attribute in node.attributes.values() {
                if let Attribute::Constant(constant) = attribute
                    && !constant.is_whole()
                {
                    let problem = "holds a constant whose sides are not those of its numbers";
                    return Err(node.error(problem, "convert the ONNX file again"));
                }
            }
            let name = node.operator.as_str();
            let known = name == "If"
                || fold::knows(name)
                || OPERATORS.iter().any(|operator| operator.name == name);
            if !known {
                first = first.or(Some(node));
                unknown.insert((name, refusal(name)));
            }
            for attribute in node.attributes.values() {
                if let Attribute::Graph(graph) = attribute {
                    graphs.push(graph);
                }
            }
        }
    }
    let Some(first) = first else { return Ok(()) };
    let names: Vec<&str> = unknown.iter().map(|(name, _)| *name).collect();
    let reasons: BTreeSet<&String> = unknown.iter().map(|(_, reason)| reason).collect();
    let reasons: Vec<&str> = reasons.into_iter().map(String::as_str).collect();
    Err(first.error(format!("not supported: operator {}", names.join(", ")), reasons.join("; ")))
}

/// The sides of `pixels` as integers, for `Shape` and `Size`.
pub(super) fn sides_of(writer: &Writer, pixels: &Pixels) -> (Vec<i64>, Option<Vec<i64>>) {
    let one: Vec<i64> = pixels.sides.iter().map(|side| *side as i64).collect();
    let many = pixels.batch.map(|batch| {
        let mut many = one.clone();
        many[batch.axis] *= writer.many as i64;
        many
    });
    (one, many)
}

/// What an output of a single operator is: a program with the sides of its result, or numbers.
#[cfg(test)]
pub(in crate::onnx) type Outcome = Result<(crate::nn::Program, Vec<usize>), Arc<Constant>>;

/// A graph whose first input, of sides `sides`, is the image, and the others are `known`: for every output its
/// program with its sides, or its numbers.
#[cfg(test)]
pub(in crate::onnx) fn operator(
    graph: &Graph,
    sides: &[usize],
    known: &HashMap<String, Arc<Constant>>,
) -> Result<Vec<Outcome>> {
    supported(graph)?;
    let length = sides.iter().product();
    let mut outputs = Vec::new();
    for output in &graph.outputs {
        let mut writer = Writer::new(Shape::of_image([length, 1], 1), 1, 0);
        let order = in_order(sides.len());
        let image =
            Pixels { value: IMAGE, sides: sides.to_vec(), order, batch: None, kind: Kind::Float };
        let mut names: Names = known
            .iter()
            .map(|(name, constant)| (name.clone(), Held::Known(Arc::clone(constant).into())))
            .collect();
        names.insert(graph.inputs[0].name.clone(), Held::Pixels(image));
        walk(graph, graph.opset, &mut writer, &mut names)?;
        outputs.push(match names.remove(output) {
            Some(Held::Pixels(pixels)) => {
                let pixels = writer.row_major(&pixels)?;
                let value = writer.view(pixels.value, Shape::Flat(pixels.len()))?;
                Ok((writer.finish(value)?, pixels.sides))
            }
            Some(Held::Known(known)) => Err(known.one),
            // An optional output that no classifier reads.
            None => break,
        });
    }
    Ok(outputs)
}
