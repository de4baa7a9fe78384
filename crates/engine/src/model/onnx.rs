//! Networks that come as ONNX graphs: from the file itself, or from a model file whose card holds the graph and
//! whose tensors are its constants.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::card::ModelCard;
use super::file::{Declared, name_file};
use crate::error::{Error, Result};
use crate::nn::Program;
use crate::onnx::graph::{Attribute, Constant, Graph, Numbers};
use crate::onnx::{self, OnnxForm};

/// What the architecture of a network is called that is of none of the zoo.
const ARCHITECTURE: &str = "onnx";

/// The endings of ONNX files.
const ENDINGS: [&str; 2] = [".onnx", ".onnx.gz"];

/// Whether a file is an ONNX file, by its name.
pub fn is_onnx(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    // A reference to the Hub may end in a hash.
    let name = name.split('#').next().unwrap_or_default();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// An ONNX file as a model file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// What describes the network, with its graph.
    pub card: ModelCard,
    /// The constants of the graph by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The graph as a program.
    pub(super) program: Program,
}

/// Reads an ONNX file and tells what is guessed of it.
///
/// # Errors
/// If the file is damaged, or its graph is no image classifier.
pub fn read(path: &Path, bytes: &[u8], declared: &Declared, stem: &str) -> Result<Opened> {
    if let Some(name) = &declared.architecture {
        return Err(Error::setting(
            "--arch",
            format!("is {name}, but an ONNX file holds its own graph"),
            "leave it out",
        ));
    }
    let mut graph = onnx::read(path, bytes)?;
    hoist(&mut graph).map_err(|error| name_file(error, path))?;
    let network = graph.network(&declared.onnx).map_err(|error| name_file(error, path))?;
    for note in &network.notes {
        tracing::warn!("{}: {note}", path.display());
    }
    let classes = network.program.output_shape().len();
    if classes < 2 {
        return Err(Error::file(
            path,
            "output",
            "is one number: a classifier has a logit for each of its classes",
            "export the network up to its logits",
        ));
    }
    let mut tensors = BTreeMap::new();
    for (name, constant) in &graph.constants {
        tensors.insert(name.clone(), tensor(constant)?);
    }
    let stem = stem.strip_suffix(".onnx").unwrap_or(stem);
    let card = ModelCard {
        input_shape: network.image,
        classes,
        graph: Some(graph),
        onnx: network.form,
        ..ModelCard::bare(stem, ARCHITECTURE)
    };
    Ok(Opened { card, tensors, program: network.program })
}

/// The program of a card with a graph.
pub(super) fn program(
    card: &ModelCard,
    graph: &Graph,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Program> {
    let mut graph = graph.clone();
    for (name, tensor) in tensors {
        graph.constants.insert(name.clone(), Arc::new(constant(tensor)?));
    }
    let network = graph.network(&card.onnx)?;
    let classes = network.program.output_shape().len();
    if network.image == card.input_shape && classes == card.classes {
        return Ok(network.program);
    }
    Err(Error::setting(
        "graph",
        format!(
            "maps {:?} to {classes} classes, the card says {:?} and {}",
            network.image, card.input_shape, card.classes
        ),
        "convert the ONNX file again",
    ))
}

/// Makes the constants of the graph all that is no text: those of `Constant` nodes and of branches too.
fn hoist(graph: &mut Graph) -> Result<()> {
    let mut found = Vec::new();
    collect(graph, &mut found);
    for (name, constant) in found {
        match graph.constants.get(&name) {
            Some(other) if *other != constant => {
                return Err(Error::setting(
                    format!("constant {name}"),
                    "is defined twice",
                    "export the network again",
                ));
            }
            _ => graph.constants.insert(name, constant),
        };
    }
    Ok(())
}

/// Takes the constants of nodes and branches out of the graph.
fn collect(graph: &mut Graph, found: &mut Vec<(String, Arc<Constant>)>) {
    graph.nodes.retain(|node| {
        let (Some(Attribute::Constant(constant)), [output]) =
            (node.attributes.get("value"), &node.outputs[..])
        else {
            return true;
        };
        if node.operator != "Constant" {
            return true;
        }
        found.push((output.clone(), Arc::clone(constant)));
        false
    });
    for node in &mut graph.nodes {
        for attribute in node.attributes.values_mut() {
            if let Attribute::Graph(branch) = attribute {
                found.extend(std::mem::take(&mut branch.constants));
                collect(branch, found);
            }
        }
    }
}

fn tensor(constant: &Constant) -> Result<Tensor> {
    let sides = constant.sides.clone();
    Ok(match &constant.numbers {
        Numbers::Floats(numbers) => Tensor::from_slice(numbers, sides, &Device::Cpu)?,
        Numbers::Ints(numbers) => Tensor::from_slice(numbers, sides, &Device::Cpu)?,
        Numbers::Bools(numbers) => {
            let numbers: Vec<u8> = numbers.iter().map(|yes| u8::from(*yes)).collect();
            Tensor::from_vec(numbers, sides, &Device::Cpu)?
        }
    })
}

fn constant(tensor: &Tensor) -> Result<Constant> {
    let flat = tensor.flatten_all()?;
    let numbers = match tensor.dtype() {
        DType::I64 => Numbers::Ints(flat.to_vec1()?),
        DType::U8 => Numbers::Bools(flat.to_vec1::<u8>()?.into_iter().map(|n| n != 0).collect()),
        _ => Numbers::Floats(flat.to_dtype(DType::F32)?.to_vec1()?),
    };
    Ok(Constant { sides: tensor.dims().to_vec(), numbers })
}

/// Refuses what is said about an ONNX network of a file that is none.
///
/// # Errors
/// If something is said that the card does not say.
pub fn only_onnx(form: &OnnxForm, card: Option<&ModelCard>) -> Result<()> {
    let own = card.map_or_else(OnnxForm::default, |card| card.onnx.clone());
    if *form == OnnxForm::default() || *form == own {
        return Ok(());
    }
    Err(Error::setting(
        "onnx",
        "the form of the input and the output is for ONNX files, and this is none",
        "leave these settings out: a model file says them itself; in an ensemble, convert the ONNX file first",
    ))
}
